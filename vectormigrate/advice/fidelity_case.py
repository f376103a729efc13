"""A small collection with one kind of thing that a database may or may not hold: a question for the planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np

from vectormigrate.adapter import Capabilities
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    DenseColumn,
    RecordBatch,
    Value,
    VectorColumn,
)
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
    Weight,
)

DIM = 8

IDS = ("id-",)

NAMESPACES = ("namespace-",)

STORED = ("vector-type", "vector-dtype", "vector-field")

LENGTH = (*STORED, "vector-length", "vector-rounding")

METRICS = ("metric",)

INDEXES = ("index:",)

PARAMS = (*STORED, "index-params")

SETTINGS = tuple(f"{weight}:" for weight in Weight)

VALUES = ()
"""Every loss that concerns none of ids, namespaces, vectors and indexes."""

OTHERS = (*IDS, *NAMESPACES, "vector-", *METRICS, "index", *SETTINGS, "excluded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A collection to plan for."""

    schema: CollectionSchema
    batches: tuple[RecordBatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`make` gives the collection on a source with these capabilities, None where such a thing cannot be. `effects`:
    beginnings of the names of the losses that concern this thing; VALUES: of all that concern metadata values."""

    group: str
    name: str
    effects: tuple[str, ...]
    make: Callable[[Capabilities], Collection | None]

    def concerned(self, loss: str) -> bool:
        """Whether the loss of this name is about this thing."""
        return loss.startswith(self.effects) if self.effects else not loss.startswith(OTHERS)


def _ids(caps: Capabilities) -> list[RecordId]:
    """Two ids that any target with such ids takes."""
    if IdKind.STRING in caps.ids.kinds:
        return ["one", "two"]
    return [UUID(int=1), UUID(int=2)] if IdKind.UUID in caps.ids.kinds else [1, 2]


def _kinds(caps: Capabilities, ids: Sequence[RecordId]) -> frozenset[IdKind]:
    if isinstance(ids[0], str):
        return frozenset({IdKind.STRING})
    if isinstance(ids[0], UUID):
        return frozenset({IdKind.UUID})
    large = any(isinstance(item, int) and item >= 2**63 for item in ids)
    signed = IdKind.INT64 in caps.ids.kinds and not large
    return frozenset({IdKind.INT64 if signed else IdKind.UINT64})


def vector_field(
    caps: Capabilities, name: str, metric: Metric | None = None, dtype: DType = DType.FLOAT32
) -> VectorField:
    """A dense vector field that such a database can have."""
    order = [Metric.DOT, Metric.L2, Metric.COSINE] if dtype is not DType.BITS else [Metric.HAMMING, Metric.JACCARD]
    chosen = metric or next((item for item in order if item in caps.vectors.metrics), order[0])
    name = caps.vectors.fixed_names.get(VectorKind.DENSE, name)
    return VectorField(name=name, kind=VectorKind.DENSE, dim=DIM, metric=chosen, dtype=dtype)


def dense_column(
    item: VectorField, rows: int, *, valid: Sequence[bool] | None = None, zero: bool = False
) -> DenseColumn:
    """Values for such a field."""
    width = DIM // 8 if item.dtype is DType.BITS else DIM
    values = (np.arange(rows * width).reshape(rows, width) % 7 + 1).astype(NUMPY_DTYPE[item.dtype])
    return DenseColumn(values * 0 if zero else values, item.dtype, None if valid is None else np.array(valid))


def collection(
    caps: Capabilities,
    *,
    ids: Sequence[RecordId] | None = None,
    vectors: Mapping[str, tuple[VectorField, VectorColumn]] | None = None,
    values: Sequence[Value] | None = None,
    field: MetadataField | None = None,
    namespaces: Sequence[str] = ("",),
    key: str = "f",
) -> Collection:
    """A collection of two records, or of these ids, with a dense vector unless others are given."""
    chosen = list(_ids(caps) if ids is None else ids)
    if vectors is None:
        item = vector_field(caps, "v")
        vectors = {item.name: (item, dense_column(item, len(chosen)))}
    rows = [{} if values is None or n >= len(values) else {key: values[n]} for n in range(len(chosen))]
    columns = {name: column for name, (_, column) in vectors.items()}
    schema = CollectionSchema(
        name="c",
        id_kinds=_kinds(caps, chosen),
        vectors=tuple(item for item, _ in vectors.values()),
        fields=() if field is None else (field,),
        dynamic=caps.metadata.dynamic,
        divided=caps.namespaces.declared and any(namespaces),
    )
    return Collection(schema=schema, batches=tuple(RecordBatch(name, chosen, columns, rows) for name in namespaces))
