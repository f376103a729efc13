"""Every row of the table of outcomes: which thing, and a collection that holds it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from vectormigrate.adapter import ValueKind
from vectormigrate.advice.fidelity_case import (
    IDS,
    INDEXES,
    LENGTH,
    METRICS,
    NAMESPACES,
    PARAMS,
    SETTINGS,
    STORED,
    VALUES,
    Case,
)
from vectormigrate.advice.fidelity_values import (
    empty_namespace,
    two_namespaces,
    with_ids,
    with_index,
    with_setting,
    with_values,
)
from vectormigrate.advice.fidelity_vectors import (
    missing_vector,
    multi,
    named,
    sparse,
    two_dense,
    with_dtype,
    with_metric,
    with_vector_index,
    zero_vector,
)
from vectormigrate.model.batch import (
    Value,
)
from vectormigrate.model.ids import IdKind
from vectormigrate.model.quantization import Quantizer
from vectormigrate.model.schema import (
    DType,
    FieldType,
    Metric,
)

_DAY = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)

_PLACE: Value = {"lat": 52.5, "lon": 13.25}

_V = ValueKind

CASES: tuple[Case, ...] = (
    Case(group="ids", name="text", effects=IDS, make=with_ids(IdKind.STRING, "one", "two")),
    Case(group="ids", name="integers", effects=IDS, make=with_ids(IdKind.INT64, 1, 2)),
    Case(group="ids", name="negative integers", effects=IDS, make=with_ids(IdKind.INT64, -1, 2)),
    Case(group="ids", name="integers from 2^63", effects=IDS, make=with_ids(IdKind.UINT64, 2**63, 2)),
    Case(group="ids", name="UUIDs", effects=IDS, make=with_ids(IdKind.UUID, UUID(int=1), UUID(int=2))),
    Case(group="namespaces", name="several", effects=NAMESPACES, make=two_namespaces(shared_ids=False)),
    Case(group="namespaces", name="one id in two", effects=(*NAMESPACES, *IDS), make=two_namespaces(shared_ids=True)),
    Case(group="namespaces", name="without records", effects=SETTINGS, make=empty_namespace),
    *(Case(group="dense vectors", name=str(dtype), effects=STORED, make=with_dtype(dtype)) for dtype in DType),
    Case(group="dense vectors", name="length under cosine", effects=LENGTH, make=with_metric(Metric.COSINE)),
    *(
        Case(
            group="dense vectors", name=f"{dtype} under cosine", effects=LENGTH, make=with_metric(Metric.COSINE, dtype)
        )
        for dtype in (DType.FLOAT16, DType.BFLOAT16, DType.INT8, DType.UINT8)
    ),
    Case(group="dense vectors", name="all zeros", effects=(*STORED, "vector-zero"), make=zero_vector),
    Case(group="dense vectors", name="missing in a record", effects=(*STORED, "vector-missing"), make=missing_vector),
    Case(group="dense vectors", name="several fields", effects=STORED, make=two_dense),
    Case(group="dense vectors", name="name of the field", effects=("vector-name",), make=named),
    *(
        Case(group="vector indexes", name=name, effects=PARAMS, make=make)
        for name, make in (
            ("HNSW parameters", with_vector_index("hnsw", m=24, ef_construct=100)),
            ("large HNSW parameters", with_vector_index("hnsw", m=128, ef_construct=1000)),
            ("none (flat)", with_vector_index("flat")),
            ("scalar quantization", with_vector_index("hnsw", Quantizer.SCALAR)),
            ("rotated quantization", with_vector_index("hnsw", Quantizer.ROTATED)),
            ("binary quantization", with_vector_index("hnsw", Quantizer.BINARY)),
            ("product quantization", with_vector_index("hnsw", Quantizer.PRODUCT)),
        )
    ),
    Case(group="sparse vectors", name="alone", effects=STORED, make=sparse(alone=True)),
    Case(group="sparse vectors", name="next to dense", effects=(*STORED, *METRICS), make=sparse(alone=False)),
    Case(group="multi-vectors", name="float32", effects=STORED, make=multi),
    *(Case(group="metrics", name=str(metric), effects=METRICS, make=with_metric(metric)) for metric in Metric),
    *(
        Case(group="metadata", name=name, effects=VALUES, make=make)
        for name, make in (
            ("text", with_values(FieldType.STRING, [_V.STRING], "a", "")),
            ("booleans", with_values(FieldType.BOOL, [_V.BOOL], True, False)),
            ("integers to 2^53", with_values(FieldType.INT64, [_V.INT], 1, 2**53)),
            ("integers beyond 2^53", with_values(FieldType.INT64, [_V.INT], 2**53 + 1, -(2**63))),
            ("floats", with_values(FieldType.FLOAT64, [_V.FLOAT], 0.1, 1e-300)),
            ("whole floats (1.0)", with_values(FieldType.FLOAT64, [_V.FLOAT, _V.WHOLE], 1.0, 2.0)),
            ("NaN and infinities", with_values(FieldType.FLOAT64, [_V.NONFINITE], float("nan"), float("inf"))),
            ("null", with_values(FieldType.STRING, [_V.NULL], None, "x")),
            ("dates", with_values(FieldType.DATETIME, [_V.DATETIME], _DAY, _DAY)),
            ("bytes", with_values(FieldType.BYTES, [_V.BYTES], b"\x00\xff", b"")),
            ("coordinates", with_values(FieldType.GEO, [_V.OBJECT], _PLACE, _PLACE)),
            ("lists of text", with_values(FieldType.LIST, [_V.LIST_OF_STRINGS], ["a"], [], element=FieldType.STRING)),
            ("lists of numbers", with_values(FieldType.LIST, [_V.LIST], [1.5], [2.5, 3.5], element=FieldType.FLOAT64)),
            ("mixed and nested lists", with_values(FieldType.JSON, [_V.LIST], [1, "a", [True]], [{"a": 1}])),
            ("nested objects", with_values(FieldType.JSON, [_V.OBJECT], {"a": {"b": "x"}}, {})),
            ("two types in one field", with_values(FieldType.JSON, [_V.STRING, _V.BOOL], "a", True)),
            ("keys of any characters", with_values(FieldType.STRING, [_V.STRING], "a", "b", key="a b-ü.$")),
        )
    ),
    *(
        Case(group="settings", name=words, effects=SETTINGS, make=with_setting(name))
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
        Case(group="filters on", name=name, effects=INDEXES, make=make)
        for name, make in (
            ("text", with_index(FieldType.STRING, [_V.STRING], "a", "b")),
            ("words in a text", with_index(FieldType.TEXT, [_V.STRING], "a b", "b c")),
            ("integers", with_index(FieldType.INT64, [_V.INT], 1, 2)),
            ("integers beyond 2^53", with_index(FieldType.INT64, [_V.INT], 2**53 + 1, 2**60)),
            ("floats", with_index(FieldType.FLOAT64, [_V.FLOAT], 0.5, 1.5)),
            ("dates", with_index(FieldType.DATETIME, [], _DAY, _DAY)),
            ("coordinates", with_index(FieldType.GEO, [_V.OBJECT], _PLACE, _PLACE)),
            (
                "lists of text",
                with_index(FieldType.LIST, [_V.LIST_OF_STRINGS], ["a"], ["b"], element=FieldType.STRING),
            ),
        )
    ),
)
"""Every row of the table of outcomes."""
