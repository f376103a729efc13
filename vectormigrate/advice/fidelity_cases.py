"""Small collections, each with one kind of thing that a database may or may not hold: questions for the planner."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import numpy as np

from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    DenseColumn,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    Value,
    VectorColumn,
)
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.quantization import KEY, Quantization, Quantizer, offered
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    Json,
    MetadataField,
    Metric,
    Setting,
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
class Probe:
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


def _vector(caps: Capabilities, name: str, metric: Metric | None = None, dtype: DType = DType.FLOAT32) -> VectorField:
    order = [Metric.DOT, Metric.L2, Metric.COSINE] if dtype is not DType.BITS else [Metric.HAMMING, Metric.JACCARD]
    chosen = metric or next((item for item in order if item in caps.vectors.metrics), order[0])
    name = caps.vectors.fixed_names.get(VectorKind.DENSE, name)
    return VectorField(name=name, kind=VectorKind.DENSE, dim=DIM, metric=chosen, dtype=dtype)


def _dense(item: VectorField, rows: int, *, valid: Sequence[bool] | None = None, zero: bool = False) -> DenseColumn:
    width = DIM // 8 if item.dtype is DType.BITS else DIM
    values = (np.arange(rows * width).reshape(rows, width) % 7 + 1).astype(NUMPY_DTYPE[item.dtype])
    return DenseColumn(values * 0 if zero else values, item.dtype, None if valid is None else np.array(valid))


def _collection(
    caps: Capabilities,
    *,
    ids: Sequence[RecordId] | None = None,
    vectors: Mapping[str, tuple[VectorField, VectorColumn]] | None = None,
    values: Sequence[Value] | None = None,
    field: MetadataField | None = None,
    namespaces: Sequence[str] = ("",),
    key: str = "f",
) -> Collection:
    chosen = list(_ids(caps) if ids is None else ids)
    if vectors is None:
        item = _vector(caps, "v")
        vectors = {item.name: (item, _dense(item, len(chosen)))}
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


def _with_ids(kind: IdKind, *ids: RecordId) -> Callable[[Capabilities], Collection | None]:
    def make(caps: Capabilities) -> Collection | None:
        return _collection(caps, ids=ids) if kind in caps.ids.kinds else None

    return make


def _two_namespaces(*, shared_ids: bool) -> Callable[[Capabilities], Collection | None]:
    def make(caps: Capabilities) -> Collection | None:
        if not caps.namespaces.supported or (shared_ids and not caps.ids.per_namespace):
            return None
        made = _collection(caps, namespaces=("a", "b"))
        if shared_ids:
            return made
        first, second = made.batches
        return Collection(schema=made.schema, batches=(first.take([0]), second.take([1])))

    return make


def _with_dtype(dtype: DType) -> Callable[[Capabilities], Collection | None]:
    def make(caps: Capabilities) -> Collection | None:
        if dtype not in caps.vectors.dtypes or VectorKind.DENSE not in caps.vectors.kinds:
            return None
        item = _vector(caps, "v", dtype=dtype)
        return _collection(caps, vectors={item.name: (item, _dense(item, 2))})

    return make


def _with_metric(metric: Metric, stored: DType = DType.FLOAT32) -> Callable[[Capabilities], Collection | None]:
    def make(caps: Capabilities) -> Collection | None:
        dtype = DType.BITS if metric in (Metric.HAMMING, Metric.JACCARD) else stored
        if metric not in caps.vectors.metrics or dtype not in caps.vectors.dtypes:
            return None
        item = _vector(caps, "v", metric, dtype)
        column = _dense(item, 2)
        if metric is Metric.COSINE and caps.vectors.normalises_cosine and dtype in (DType.FLOAT32, DType.FLOAT16):
            # Only unit vectors come out of such a source.
            column = replace(column, values=np.eye(2, DIM, dtype=NUMPY_DTYPE[dtype]))
        return _collection(caps, vectors={item.name: (item, column)})

    return make


def _two_dense(caps: Capabilities) -> Collection | None:
    most = caps.vectors.max_of_kind.get(VectorKind.DENSE, caps.vectors.max_fields)
    if VectorKind.DENSE in caps.vectors.fixed_names or (most is not None and most < 2):
        return None
    items = [_vector(caps, name) for name in ("v", "w")]
    return _collection(caps, vectors={item.name: (item, _dense(item, 2)) for item in items})


def _named(caps: Capabilities) -> Collection | None:
    return None if VectorKind.DENSE in caps.vectors.fixed_names else _collection(caps)


def _with_vector_index(
    kind: str, quantizer: Quantizer | None = None, **numbers: int
) -> Callable[[Capabilities], Collection | None]:
    """A vector index of this type, quantized with as many bits as the source has next to 8 (BINARY: 1)."""

    def make(caps: Capabilities) -> Collection | None:
        offers = caps.vectors.indexes
        index: dict[str, Json] = {"type": kind, **numbers}
        if not numbers.keys() <= caps.vectors.index_params or (offers is not None and kind not in offers):
            return None
        if quantizer is not None:
            bits = 1.0 if quantizer is Quantizer.BINARY else 8.0
            wanted = Quantization(kind=quantizer, bits=bits)
            held = wanted if offers is None else next((item for item in offered(offers[kind], wanted)), None)
            if held is None:
                return None
            index[KEY] = held.to_json()
        item = replace(_vector(caps, "v"), index=index)
        return _collection(caps, vectors={item.name: (item, _dense(item, 2))})

    return make


def _sparse_column(rows: int) -> SparseColumn:
    indices = np.array([3, 2**31 + 1] * rows, np.uint32)
    return SparseColumn(np.arange(0, 2 * rows + 1, 2), indices, np.full(2 * rows, 0.5, np.float32))


def _sparse(*, alone: bool) -> Callable[[Capabilities], Collection | None]:
    def make(caps: Capabilities) -> Collection | None:
        several = caps.vectors.max_fields is None or caps.vectors.max_fields > 1
        if VectorKind.SPARSE not in caps.vectors.kinds or not (alone or several):
            return None
        name = caps.vectors.fixed_names.get(VectorKind.SPARSE, "s")
        sparse = VectorField(name=name, kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT)
        beside = caps.vectors.metrics_with_sparse
        metric = None if beside is None else next(iter(sorted(beside)), None)
        item = _vector(caps, "v", metric)
        both: dict[str, tuple[VectorField, VectorColumn]] = {} if alone else {item.name: (item, _dense(item, 2))}
        return _collection(caps, vectors={**both, sparse.name: (sparse, _sparse_column(2))})

    return make


def _multi(caps: Capabilities) -> Collection | None:
    if VectorKind.MULTI not in caps.vectors.kinds:
        return None
    metric = next((item for item in (Metric.DOT, Metric.COSINE) if item in caps.vectors.metrics), Metric.COSINE)
    item = VectorField(name="m", kind=VectorKind.MULTI, dim=DIM, metric=metric)
    column = MultiColumn(np.array([0, 2, 3]), np.ones((3, DIM), np.float32))
    return _collection(caps, vectors={"m": (item, column)})


def _missing_vector(caps: Capabilities) -> Collection | None:
    if VectorKind.DENSE in caps.vectors.required:
        return None
    item = _vector(caps, "v")
    return _collection(caps, vectors={item.name: (item, _dense(item, 2, valid=[True, False]))})


def _zero_vector(caps: Capabilities) -> Collection | None:
    if not caps.vectors.zeros:
        return None
    item = _vector(caps, "v")
    return _collection(caps, vectors={item.name: (item, _dense(item, 2, zero=True))})


def _with_values(
    kind: FieldType, needs: Sequence[ValueKind], *values: Value, element: FieldType | None = None, key: str = "f"
) -> Callable[[Capabilities], Collection | None]:
    """Values of a field; on a source with typed columns in a column of `kind`."""

    def make(caps: Capabilities) -> Collection | None:
        # A typed column holds values of its own type; these kinds are more than that.
        beyond = {ValueKind.NULL, ValueKind.WHOLE, ValueKind.NONFINITE}
        held = (set(needs) if caps.metadata.dynamic else set(needs) & beyond) <= caps.metadata.value_kinds
        legal = (caps.metadata.dynamic or kind in caps.metadata.column_types) and bool(
            re.fullmatch(caps.metadata.names, key)
        )
        low, high = caps.metadata.int_range
        inside = all(low <= value <= high for value in values if type(value) is int)
        if not (legal and held and inside):
            return None
        column = MetadataField(name=key, type=kind, element=element, declared=True)
        return _collection(caps, values=values, field=None if caps.metadata.dynamic else column, key=key)

    return make


def _with_index(
    kind: FieldType, needs: Sequence[ValueKind], *values: Value, element: FieldType | None = None
) -> Callable[[Capabilities], Collection | None]:
    def make(caps: Capabilities) -> Collection | None:
        if kind not in caps.metadata.index_types or (
            caps.metadata.dynamic and not set(needs) <= caps.metadata.value_kinds
        ):
            return None
        field = MetadataField(name="f", type=kind, element=element, indexed=True, declared=not caps.metadata.dynamic)
        low, high = caps.metadata.int_range
        if any(type(value) is int and not low <= value <= high for value in values):
            return None
        texts = (
            kind is FieldType.DATETIME and caps.metadata.dynamic and ValueKind.DATETIME not in caps.metadata.value_kinds
        )
        return _collection(caps, values=[_DAY_TEXT] * 2 if texts else values, field=field)

    return make


def _with_setting(name: str) -> Callable[[Capabilities], Collection | None]:
    def make(caps: Capabilities) -> Collection | None:
        weight = caps.collection.known_settings.get(name)
        if weight is None:
            return None
        made = _collection(caps)
        setting = Setting(name=name, weight=weight, detail=name)
        return replace(made, schema=replace(made.schema, settings=(setting,)))

    return make


def _empty_namespace(caps: Capabilities) -> Collection | None:
    if not caps.namespaces.empty:
        return None
    full, empty = _collection(caps, namespaces=("a", "b")).batches
    schema = replace(_collection(caps).schema, divided=caps.namespaces.declared)
    return Collection(schema=schema, batches=(full, empty.take([])))


_DAY = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
_DAY_TEXT = "2026-01-02T03:04:05.678Z"
_PLACE: Value = {"lat": 52.5, "lon": 13.25}
_V = ValueKind

PROBES: tuple[Probe, ...] = (
    Probe(group="ids", name="text", effects=IDS, make=_with_ids(IdKind.STRING, "one", "two")),
    Probe(group="ids", name="integers", effects=IDS, make=_with_ids(IdKind.INT64, 1, 2)),
    Probe(group="ids", name="negative integers", effects=IDS, make=_with_ids(IdKind.INT64, -1, 2)),
    Probe(group="ids", name="integers from 2^63", effects=IDS, make=_with_ids(IdKind.UINT64, 2**63, 2)),
    Probe(group="ids", name="UUIDs", effects=IDS, make=_with_ids(IdKind.UUID, UUID(int=1), UUID(int=2))),
    Probe(group="namespaces", name="several", effects=NAMESPACES, make=_two_namespaces(shared_ids=False)),
    Probe(group="namespaces", name="one id in two", effects=(*NAMESPACES, *IDS), make=_two_namespaces(shared_ids=True)),
    Probe(group="namespaces", name="without records", effects=SETTINGS, make=_empty_namespace),
    *(Probe(group="dense vectors", name=str(dtype), effects=STORED, make=_with_dtype(dtype)) for dtype in DType),
    Probe(group="dense vectors", name="length under cosine", effects=LENGTH, make=_with_metric(Metric.COSINE)),
    *(
        Probe(
            group="dense vectors", name=f"{dtype} under cosine", effects=LENGTH, make=_with_metric(Metric.COSINE, dtype)
        )
        for dtype in (DType.FLOAT16, DType.BFLOAT16, DType.INT8, DType.UINT8)
    ),
    Probe(group="dense vectors", name="all zeros", effects=(*STORED, "vector-zero"), make=_zero_vector),
    Probe(group="dense vectors", name="missing in a record", effects=(*STORED, "vector-missing"), make=_missing_vector),
    Probe(group="dense vectors", name="several fields", effects=STORED, make=_two_dense),
    Probe(group="dense vectors", name="name of the field", effects=("vector-name",), make=_named),
    *(
        Probe(group="vector indexes", name=name, effects=PARAMS, make=make)
        for name, make in (
            ("HNSW parameters", _with_vector_index("hnsw", m=24, ef_construct=100)),
            ("large HNSW parameters", _with_vector_index("hnsw", m=128, ef_construct=1000)),
            ("none (flat)", _with_vector_index("flat")),
            ("scalar quantization", _with_vector_index("hnsw", Quantizer.SCALAR)),
            ("rotated quantization", _with_vector_index("hnsw", Quantizer.ROTATED)),
            ("binary quantization", _with_vector_index("hnsw", Quantizer.BINARY)),
            ("product quantization", _with_vector_index("hnsw", Quantizer.PRODUCT)),
        )
    ),
    Probe(group="sparse vectors", name="alone", effects=STORED, make=_sparse(alone=True)),
    Probe(group="sparse vectors", name="next to dense", effects=(*STORED, *METRICS), make=_sparse(alone=False)),
    Probe(group="multi-vectors", name="float32", effects=STORED, make=_multi),
    *(Probe(group="metrics", name=str(metric), effects=METRICS, make=_with_metric(metric)) for metric in Metric),
    *(
        Probe(group="metadata", name=name, effects=VALUES, make=make)
        for name, make in (
            ("text", _with_values(FieldType.STRING, [_V.STRING], "a", "")),
            ("booleans", _with_values(FieldType.BOOL, [_V.BOOL], True, False)),
            ("integers to 2^53", _with_values(FieldType.INT64, [_V.INT], 1, 2**53)),
            ("integers beyond 2^53", _with_values(FieldType.INT64, [_V.INT], 2**53 + 1, -(2**63))),
            ("floats", _with_values(FieldType.FLOAT64, [_V.FLOAT], 0.1, 1e-300)),
            ("whole floats (1.0)", _with_values(FieldType.FLOAT64, [_V.FLOAT, _V.WHOLE], 1.0, 2.0)),
            ("NaN and infinities", _with_values(FieldType.FLOAT64, [_V.NONFINITE], float("nan"), float("inf"))),
            ("null", _with_values(FieldType.STRING, [_V.NULL], None, "x")),
            ("dates", _with_values(FieldType.DATETIME, [_V.DATETIME], _DAY, _DAY)),
            ("bytes", _with_values(FieldType.BYTES, [_V.BYTES], b"\x00\xff", b"")),
            ("coordinates", _with_values(FieldType.GEO, [_V.OBJECT], _PLACE, _PLACE)),
            ("lists of text", _with_values(FieldType.LIST, [_V.LIST_OF_STRINGS], ["a"], [], element=FieldType.STRING)),
            ("lists of numbers", _with_values(FieldType.LIST, [_V.LIST], [1.5], [2.5, 3.5], element=FieldType.FLOAT64)),
            ("mixed and nested lists", _with_values(FieldType.JSON, [_V.LIST], [1, "a", [True]], [{"a": 1}])),
            ("nested objects", _with_values(FieldType.JSON, [_V.OBJECT], {"a": {"b": "x"}}, {})),
            ("two types in one field", _with_values(FieldType.JSON, [_V.STRING, _V.BOOL], "a", True)),
            ("keys of any characters", _with_values(FieldType.STRING, [_V.STRING], "a", "b", key="a b-ü.$")),
        )
    ),
    *(
        Probe(group="settings", name=words, effects=SETTINGS, make=_with_setting(name))
        for name, words in (
            ("byoc", "environment of one's own (BYOC)"),
            ("cmek", "customer's encryption key"),
            ("deletion-protection", "deletion protection"),
            ("read-capacity", "read nodes of one's own"),
            ("embedding", "embedding by the database"),
            ("vectorizer", "vectorizer modules"),
            ("generative", "generative and reranker modules"),
            ("filterable", "list of filterable fields"),
            ("ttl", "expiry of records"),
            ("times", "filters by creation and update times"),
            ("idf", "weights of rare words (IDF)"),
            ("function", "functions (BM25)"),
            ("tenant-states", "inactive tenants"),
            ("shard-keys", "shard keys"),
            ("namespace-field", "tenant field"),
            ("partition-key", "partition key"),
            ("shards", "number of shards"),
            ("shard_number", "number of shards (Qdrant)"),
            ("optimizers", "optimizers"),
            ("strict_mode_config", "strict mode"),
            ("inverted-index", "inverted index"),
        )
    ),
    *(
        Probe(group="filters on", name=name, effects=INDEXES, make=make)
        for name, make in (
            ("text", _with_index(FieldType.STRING, [_V.STRING], "a", "b")),
            ("words in a text", _with_index(FieldType.TEXT, [_V.STRING], "a b", "b c")),
            ("integers", _with_index(FieldType.INT64, [_V.INT], 1, 2)),
            ("integers beyond 2^53", _with_index(FieldType.INT64, [_V.INT], 2**53 + 1, 2**60)),
            ("floats", _with_index(FieldType.FLOAT64, [_V.FLOAT], 0.5, 1.5)),
            ("dates", _with_index(FieldType.DATETIME, [], _DAY, _DAY)),
            ("coordinates", _with_index(FieldType.GEO, [_V.OBJECT], _PLACE, _PLACE)),
            (
                "lists of text",
                _with_index(FieldType.LIST, [_V.LIST_OF_STRINGS], ["a"], ["b"], element=FieldType.STRING),
            ),
        )
    ),
)
"""Every row of the table of outcomes."""
