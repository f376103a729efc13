"""Capability profiles, a strict pure target, and a whole migration without any I/O."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from vectormigrate.adapter import (
    Capabilities,
    IdCapabilities,
    MetadataCapabilities,
    NamespaceCapabilities,
    Reject,
    ValueKind,
    VectorCapabilities,
    WriteCapabilities,
)
from vectormigrate.adapters.memory.limits import check_schema, normalised, rejects
from vectormigrate.engine.round_trip import lost_on_the_round_trip
from vectormigrate.mapping.convert.keys import TargetKeys
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.mapping.limits import Limits
from vectormigrate.mapping.losses import ALL
from vectormigrate.mapping.plan.planner import Decision, decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.batch import DenseColumn, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import IdKind, RecordId, id_key
from vectormigrate.model.plan import EndpointRef, MappingRules, MigrationSpec
from vectormigrate.model.schema import CollectionSchema, DType, FieldType, Metric, VectorField, VectorKind

WIDE = Capabilities(
    ids=IdCapabilities(kinds=frozenset(IdKind), per_namespace=True),
    vectors=VectorCapabilities(
        kinds=frozenset(VectorKind),
        dtypes=frozenset(DType),
        metrics=frozenset(Metric),
        max_dim=10_000,
        unnamed=True,
    ),
    metadata=MetadataCapabilities(
        value_kinds=frozenset(ValueKind),
        int_range=(-(10**31), 10**31),
    ),
    namespaces=NamespaceCapabilities(supported=True),
    writes=WriteCapabilities(rows=10_000, bytes=2**26),
)
STRING_IDS = WIDE.changed(
    ids={"kinds": frozenset({IdKind.STRING})},
    metadata={"int_range": (-(2**63), 2**63 - 1)},
)
JSON_KINDS = frozenset(ValueKind) - {ValueKind.BYTES, ValueKind.DATETIME, ValueKind.NONFINITE}
COSINE_JSON = WIDE.changed(
    ids={"kinds": frozenset({IdKind.UUID, IdKind.UINT64}), "per_namespace": False},
    vectors={
        "normalises_cosine": True,
        "dtypes": frozenset({DType.FLOAT32, DType.FLOAT16, DType.UINT8}),
        "metrics": frozenset({Metric.COSINE, Metric.DOT, Metric.L2, Metric.L1}),
    },
    metadata={"value_kinds": JSON_KINDS, "int_range": (-(2**63), 2**63 - 1)},
    namespaces={"supported": False},
)
FLAT = WIDE.changed(
    ids={"kinds": frozenset({IdKind.STRING}), "max_bytes": 512},
    vectors={
        "unnamed": False,
        "kinds": frozenset({VectorKind.DENSE, VectorKind.SPARSE}),
        "names": r"[a-z]+[a-z0-9_]*",
        "max_of_kind": {VectorKind.DENSE: 1, VectorKind.SPARSE: 1},
        "fixed_names": {VectorKind.DENSE: "values", VectorKind.SPARSE: "sparse_values"},
        "required": frozenset({VectorKind.DENSE}),
        "zeros": False,
        "metrics_with_sparse": frozenset({Metric.DOT}),
        "max_sparse": 1000,
        "metrics": frozenset({Metric.COSINE, Metric.DOT, Metric.L2}),
        "dtypes": frozenset({DType.FLOAT32}),
    },
    metadata={
        "value_kinds": frozenset(
            {ValueKind.BOOL, ValueKind.INT, ValueKind.FLOAT, ValueKind.STRING, ValueKind.LIST_OF_STRINGS}
        ),
        "int_range": (-(2**53), 2**53),
        "index_types": frozenset(
            {FieldType.BOOL, FieldType.INT64, FieldType.FLOAT64, FieldType.STRING, FieldType.LIST}
        ),
        "names": r"(?s)(?!\$).+",
    },
    namespaces={"names": r"[\x21-\x7e]*"},
)
FLOATS = FLAT.changed(
    metadata={
        "value_kinds": frozenset({ValueKind.BOOL, ValueKind.FLOAT, ValueKind.WHOLE, ValueKind.STRING})
        | {ValueKind.LIST_OF_STRINGS}
    },
)
TYPED = WIDE.changed(
    ids={"kinds": frozenset({IdKind.UUID})},
    vectors={
        "kinds": frozenset({VectorKind.DENSE, VectorKind.MULTI}),
        "unnamed_alone": True,
        "names": r"[_A-Za-z][_0-9A-Za-z]{0,63}",
        "dtypes": frozenset({DType.FLOAT32}),
    },
    metadata={
        "value_kinds": frozenset(
            {
                *(ValueKind.BOOL, ValueKind.INT, ValueKind.FLOAT, ValueKind.WHOLE, ValueKind.STRING),
                *(ValueKind.LIST_OF_STRINGS, ValueKind.DATETIME),
            }
        ),
        "dynamic": False,
        "fold_case": True,
        "column_types": frozenset(
            {
                *(FieldType.BOOL, FieldType.INT64, FieldType.FLOAT64, FieldType.STRING, FieldType.TEXT),
                *(FieldType.DATETIME, FieldType.UUID, FieldType.GEO, FieldType.BYTES, FieldType.LIST),
            }
        ),
        "int_range": (-(2**53), 2**53),
        "names": r"[_a-z][_0-9A-Za-z]{0,230}",
        "reserved": frozenset({"id", "_id", "vector"}),
    },
    namespaces={"declared": True, "names": r"[A-Za-z0-9_-]{0,64}"},
)
COLUMNS = WIDE.changed(
    ids={
        "kinds": frozenset({IdKind.INT64, IdKind.STRING}),
        "mixed": False,
        "per_namespace": False,
    },
    vectors={
        "unnamed": False,
        "names": r"[_A-Za-z][_0-9A-Za-z]{0,254}",
        "required": frozenset({VectorKind.DENSE, VectorKind.SPARSE}),
    },
    metadata={
        "shared_names": True,
        "value_kinds": JSON_KINDS,
        "int_range": (-(2**63), 2**63 - 1),
        "reserved": frozenset({"$meta"}),
    },
    namespaces={"names": r"[_A-Za-z][_0-9A-Za-z]{0,254}"},
)
TARGETS: dict[str, Capabilities] = {
    "wide": WIDE,
    "string-ids": STRING_IDS,
    "cosine-json": COSINE_JSON,
    "flat": FLAT,
    "floats": FLOATS,
    "typed": TYPED,
    "columns": COLUMNS,
}

Store = dict[str, RecordBatch]
"""A collection's records by namespace."""


def rules(**changes: Any) -> MappingRules:
    """Rules for a direct Mapper: native ids, no limits, sidecar on. `limits` is a Limits."""
    limits: Limits = changes.pop("limits", Limits())
    base: dict[str, Any] = {
        "id_strategy": "native",
        "id_salt": "salt",
        "vectors": (),
        "namespaces": {},
        "renames": {},
        "excludes": (),
        "sidecar": True,
        "accepted_losses": (),
        "target_limits": limits.to_json(),
        "id_checks": True,
    }
    return MappingRules(**{**base, **changes})


def spec(**changes: Any) -> MigrationSpec:
    """A spec between two memory collections."""
    base: dict[str, Any] = {
        "id": "m1",
        "source": EndpointRef(type="one", collection="source", location="one://source"),
        "target": EndpointRef(type="two", collection="target", location="two://target"),
    }
    return MigrationSpec(**{**base, **changes})


def schema(*vectors: VectorField, caps: Capabilities = WIDE, **changes: Any) -> CollectionSchema:
    """A schema with these vector fields (default: one dense cosine field of 4)."""
    fields = vectors or (VectorField(name="v", kind=VectorKind.DENSE, dim=4, metric=Metric.COSINE),)
    base: dict[str, Any] = {"name": "source", "id_kinds": caps.ids.kinds, "vectors": fields}
    return CollectionSchema(**{**base, **changes})


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection at rest: what kind of database, its limits, schema and records."""

    adapter: str
    caps: Capabilities
    schema: CollectionSchema
    store: Store


@dataclass(frozen=True, slots=True)
class Moved:
    """A finished migration."""

    target: Collection
    decision: Decision
    parts: list[Mapped]
    rejects: list[Reject]
    counts: Counter[str]


def decide_twice(source: Collection, adapter: str, caps: Capabilities, **changes: Any) -> tuple[Decision, Counter[str]]:
    """Plan as the service does: preliminary rules, profile without vectors, final decision."""
    the_spec = spec(**changes)
    common: dict[str, Any] = {
        "spec": the_spec,
        "source_schema": source.schema,
        "source_adapter": source.adapter,
        "source_caps": source.caps,
        "target_adapter": adapter,
        "target_caps": caps,
        "namespaces": {name: len(batch) for name, batch in source.store.items()},
    }
    mapper = Mapper(decide(**common).rules)
    profile = Profile()
    counts: Counter[str] = Counter()
    keys = TargetKeys(per_namespace=caps.ids.per_namespace)
    for batch in source.store.values():
        bare = replace(batch, vectors={})
        profile.add(bare)
        for part in mapper.convert(bare):
            keys.add(part)
            counts.update(part.losses)
            counts.update(reject.code for reject in part.rejects)
    meet = bool(keys.doubles())
    if not caps.metadata.dynamic:
        counts = Counter[str]()
        mapper = Mapper(replace(decide(**common, profile=profile, ids_meet=meet).rules, accepted_losses=(ALL,)))
        for batch in source.store.values():
            for part in mapper.convert(replace(batch, vectors={})):
                counts.update(part.losses)
                counts.update(reject.code for reject in part.rejects)
    return decide(**common, profile=profile, loss_counts=counts, ids_meet=meet), counts


def migrate(source: Collection, adapter: str, caps: Capabilities, *, via_json: bool = False, **changes: Any) -> Moved:
    """Move everything into a new collection that keeps strictly to `caps`. `via_json` sends metadata through JSON."""
    decision, counts = decide_twice(source, adapter, caps, **changes)
    check_schema(decision.target_schema, "target", caps)
    plan_rules = MappingRules.from_json(json.loads(json.dumps(asdict(decision.rules))))
    mapper = Mapper(plan_rules)
    parts = [part for batch in source.store.values() for part in mapper.convert(batch)]
    for batch in source.store.values():
        for part in mapper.convert(batch):
            assert lost_on_the_round_trip(batch, part, plan_rules) == []
    groups: dict[str, list[RecordBatch]] = {}
    for part in parts:
        refused = rejects(part.batch, decision.target_schema, caps, True)
        assert not refused, f"the target refuses what mapping let through: {refused}"
        groups.setdefault(part.batch.namespace, []).append(_stored(part.batch, decision.target_schema, caps, via_json))
    store = {name: RecordBatch.concat(batches) for name, batches in groups.items()}
    for batch in store.values():
        assert len(set(map(id_key, batch.ids))) == len(batch), "two records became one"
    if not caps.ids.per_namespace:
        every = [id_key(record_id) for batch in store.values() for record_id in batch.ids]
        assert len(set(every)) == len(every), "two records of different namespaces became one"
    target = Collection(adapter, caps, decision.target_schema, store)
    return Moved(target, decision, parts, [reject for part in parts for reject in part.rejects], counts)


def _stored(batch: RecordBatch, shape: CollectionSchema, caps: Capabilities, via_json: bool) -> RecordBatch:
    """What a read returns after the write."""
    columns: dict[str, VectorColumn] = dict(batch.vectors)
    if caps.vectors.normalises_cosine:
        for name, column in columns.items():
            item = shape.vector(name)
            assert item is not None
            columns[name] = normalised(column, item)
    metadata = [json.loads(json.dumps(item)) for item in batch.metadata] if via_json else batch.metadata
    return replace(batch, vectors=columns, metadata=metadata)


def exact(value: Any) -> Any:
    """A value in a form in which `==` sees types, NaN, the sign of zero and UTC offsets; key order does not count."""
    if isinstance(value, dict):
        return ("dict", sorted((key, exact(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", [exact(item) for item in value])
    if isinstance(value, datetime):
        return ("datetime", value.isoformat())
    return (type(value).__name__, repr(value))


def exact_vector(column: VectorColumn, row: int) -> Any:
    """One record's vector with type and bits, None when it has none."""
    if column.valid is not None and not column.valid[row]:
        return None
    if isinstance(column, DenseColumn):
        return str(column.dtype), column.values[row].tobytes()
    part = slice(int(column.offsets[row]), int(column.offsets[row + 1]))
    if isinstance(column, SparseColumn):
        return "sparse", column.indices[part].tobytes(), column.values[part].tobytes()
    return str(column.dtype), column.values[part].tobytes()


def records(store: Mapping[str, RecordBatch]) -> dict[tuple[str, str], Any]:
    """Everything by (namespace, typed id), exactly."""
    found: dict[tuple[str, str], Any] = {}
    for name, batch in store.items():
        for row, record_id in enumerate(batch.ids):
            vectors = {field: exact_vector(column, row) for field, column in batch.vectors.items()}
            present = {field: value for field, value in vectors.items() if value is not None}
            found[name, id_key(record_id)] = (exact(batch.metadata[row]), present)
    return found


def one_batch(
    metadata: Sequence[dict[str, Any]], ids: Sequence[RecordId] | None = None, namespace: str = ""
) -> RecordBatch:
    """Records without vectors; ids default to "r0", "r1", …"""
    return RecordBatch(namespace, list(ids or [f"r{row}" for row in range(len(metadata))]), {}, list(metadata))


def dense(values: Sequence[Sequence[float]], valid: Sequence[bool] | None = None) -> DenseColumn:
    """A float32 column."""
    return DenseColumn(
        np.array(values, np.float32), DType.FLOAT32, None if valid is None else np.array(valid, np.bool_)
    )


def multi(rows: Sequence[Sequence[Sequence[float]]], dim: int) -> MultiColumn:
    """A float32 multi-vector column."""
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    flat = [vector for row in rows for vector in row]
    return MultiColumn(offsets, np.array(flat, np.float32).reshape(-1, dim))


def sparse(rows: Sequence[Mapping[int, float]]) -> SparseColumn:
    """A sparse column."""
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    pairs = [(index, row[index]) for row in rows for index in sorted(row)]
    indices = np.array([index for index, _ in pairs], np.uint32)
    return SparseColumn(offsets, indices, np.array([value for _, value in pairs], np.float32))
