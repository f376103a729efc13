"""One nasty dataset per source: everything that peers are known to lose, as far as the source itself can hold it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import numpy as np

from tests.harness.base import Harness, column_type
from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch, SparseColumn, Value, VectorColumn
from vectormigrate.model.ids import IdKind, RecordId, is_plain
from vectormigrate.model.schema import CollectionSchema, DType, Metric, VectorField, VectorKind

DIM = 8
BULK = 16
"""Ordinary records beside the nasty ones, so that there are several pages."""

STRING_IDS: Sequence[str] = (
    "7",
    "007",
    "5D1F0E2A-9B1C-4F6E-8A77-0123456789AB",
    "5d1f0e2a-9b1c-4f6e-8a77-0123456789ab",
    'it\'s "quoted"',
    "back\\slash",
    "line\nbreak\ttab",
    "ünï 漢字 🙂",
    "a/b?c#d%20",
    "$meta",
    "i" * 500,
    " leading and trailing ",
)
INT_IDS: Sequence[int] = (0, 1, 7, -1, -(2**53) - 1, 2**53 + 1, 2**63 - 2, 2**63, 2**64 - 1)
UUIDS: Sequence[UUID] = (UUID(int=0), UUID(int=7), UUID(int=2**128 - 1), UUID("5d1f0e2a-9b1c-4f6e-8a77-0123456789ab"))
NAMESPACES: Sequence[str] = ("", "a-b", "a_b", "ünï 漢", "A_B")

VALUES: Sequence[tuple[ValueKind, str, Value]] = (
    (ValueKind.NULL, "null", None),
    (ValueKind.STRING, "empty", ""),
    (ValueKind.INT, "zero", 0),
    (ValueKind.BOOL, "false", False),
    (ValueKind.INT, "one", 1),
    (ValueKind.FLOAT, "one_float", 1.0),
    (ValueKind.FLOAT, "tiny", 5e-324),
    (ValueKind.FLOAT, "third", 1 / 3),
    (ValueKind.FLOAT, "negative_zero", -0.0),
    (ValueKind.INT, "beyond_double", 2**53 + 1),
    (ValueKind.INT, "int64_max", 2**63 - 1),
    (ValueKind.INT, "int64_min", -(2**63)),
    (ValueKind.STRING, "text", "ünï 漢字 🙂 \" ' \\ \n"),
    (ValueKind.STRING, "looks_like_json", '{"a": 1}'),
    (ValueKind.STRING, "looks_like_uuid", "5D1F0E2A-9B1C-4F6E-8A77-0123456789AB"),
    (ValueKind.STRING, "looks_like_date", "2026-01-02T03:04:05+02:00"),
    (ValueKind.STRING, "long", "x" * 5000),
    (ValueKind.LIST_OF_STRINGS, "tags", ["b", "a", "b", ""]),
    (ValueKind.LIST, "numbers", [3, 1, 2]),
    (ValueKind.LIST, "floats", [0.5, -1.25]),
    (ValueKind.LIST, "empty_list", []),
    (ValueKind.LIST, "mixed", [1, 1.0, "1", None, True, [2, [3]], {"k": None}]),
    (ValueKind.LIST, "objects", [{"a": 1}, {"a": 2.0, "b": {"c": []}}]),
    (ValueKind.OBJECT, "place", {"lat": 48.137154, "lon": 11.576124}),
    (ValueKind.OBJECT, "empty_object", {}),
    (ValueKind.OBJECT, "nested", {"a": {"b.c": {"d e": 1, "f": None}}, "": "empty key"}),
    (ValueKind.STRING, "a.b", "a dot in the key"),
    (ValueKind.STRING, "with space", "a space in the key"),
    (ValueKind.STRING, "Case", "a key that differs"),
    (ValueKind.STRING, "case", "only in case"),
    (ValueKind.STRING, "id", "a key that may be the id's"),
    (ValueKind.STRING, "vector", "a key that may be a vector's"),
    (ValueKind.STRING, "_vm_id", "a key that is ours elsewhere"),
    (ValueKind.STRING, "_vm_origin", "a key that is ours elsewhere, too"),
    (ValueKind.STRING, "_vm_namespace", "a key that a namespace has elsewhere"),
    (ValueKind.STRING, "_vm_exact", "[]"),
    (ValueKind.BYTES, "raw", bytes(range(256))),
    (ValueKind.DATETIME, "utc", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)),
    (ValueKind.DATETIME, "offset", datetime(1969, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    (ValueKind.NONFINITE, "nan", float("nan")),
    (ValueKind.NONFINITE, "infinite", float("-inf")),
)


def schema(harness: Harness, metric: Metric) -> CollectionSchema:
    """A dense field, and beside it a sparse one where the source takes both with this metric."""
    caps = harness.capabilities
    vectors = [harness.vector("dense", dim=DIM, metric=metric)]
    if harness.supports(VectorKind.SPARSE) and (
        caps.vectors.metrics_with_sparse is None or metric in caps.vectors.metrics_with_sparse
    ):
        vectors = harness.together(*vectors, harness.vector("terms", VectorKind.SPARSE))
    kind = next(kind for kind in (IdKind.STRING, IdKind.INT64, IdKind.UINT64, IdKind.UUID) if kind in caps.ids.kinds)
    kinds = {kind, IdKind.UUID} if caps.ids.kinds >= {kind, IdKind.UUID} and kind is not IdKind.STRING else {kind}
    return replace(
        harness.schema(*vectors, samples=[_everything(caps), {"row": 0}]),
        name="nasty",
        id_kinds=frozenset(kinds),
        divided=caps.namespaces.declared,
    )


def batches(harness: Harness, wanted: CollectionSchema) -> list[RecordBatch]:
    """One batch per namespace. Ids repeat between namespaces where the source allows that."""
    caps = harness.capabilities
    names = (
        [name for name in NAMESPACES if re.fullmatch(caps.namespaces.names, name)]
        if caps.namespaces.supported
        else [""]
    )
    names = [name for name in names if name or not caps.namespaces.declared][: caps.namespaces.max_count or len(names)]
    found: list[RecordBatch] = []
    for number, name in enumerate(names):
        ids = _ids(caps, wanted, 0 if caps.ids.per_namespace else number)
        if number and not caps.ids.per_namespace:
            ids = ids[-BULK:]
        rows = [_metadata(caps, wanted, row) for row in range(len(ids))]
        vectors = {item.name: _column(harness, item, len(ids), number) for item in wanted.vectors}
        found.append(RecordBatch(name, ids, vectors, rows))
    return found


def _ids(caps: Capabilities, wanted: CollectionSchema, salt: int) -> list[RecordId]:
    found: list[RecordId] = []
    if IdKind.STRING in wanted.id_kinds:
        most = caps.ids.max_bytes or 10**6
        found += [item for item in STRING_IDS if len(item.encode()) <= most and (is_plain(item) or not caps.ids.ascii)]
        found += [f"bulk-{salt}-{n}" for n in range(BULK)]
    if IdKind.UUID in wanted.id_kinds:
        found += UUIDS
    if IdKind.INT64 in wanted.id_kinds:
        found += [item for item in INT_IDS if -(2**63) <= item < 2**63 - 1]
    if IdKind.UINT64 in wanted.id_kinds:
        found += [item for item in INT_IDS if item >= 0]
    if wanted.id_kinds & {IdKind.INT64, IdKind.UINT64} and IdKind.STRING not in wanted.id_kinds:
        found += [1000 + BULK * salt + n for n in range(BULK)]
    if wanted.id_kinds == frozenset({IdKind.UUID}):
        found += [UUID(int=(1000 + BULK * salt + n) << 64) for n in range(BULK)]
    return found


def _everything(caps: Capabilities) -> Metadata:
    """Every value that the source can hold under that name."""
    return {
        name: value
        for kind, name, value in VALUES
        if _held(caps, kind, value) and re.fullmatch(caps.metadata.names, name) and name not in caps.metadata.reserved
    }


def _held(caps: Capabilities, kind: ValueKind, value: Value) -> bool:
    if isinstance(value, int) and not caps.metadata.int_range[0] <= value <= caps.metadata.int_range[1]:
        return False
    if isinstance(value, float) and value.is_integer() and ValueKind.WHOLE not in caps.metadata.value_kinds:
        return False
    if caps.metadata.dynamic:
        return kind in caps.metadata.value_kinds
    column = column_type(value)
    return column is not None and column[0] in caps.metadata.column_types and kind is not ValueKind.NONFINITE


def _metadata(caps: Capabilities, wanted: CollectionSchema, row: int) -> Metadata:
    """Row 0 holds nothing, so that nothing can be learned from the first record; later ones hold a slice of VALUES."""
    if row == 0:
        return {}
    everything = _everything(caps)
    if not caps.metadata.dynamic:
        everything = {name: value for name, value in everything.items() if wanted.column(name) is not None}
    if row == 1:
        return everything
    legal = list(everything.items())
    picked: Metadata = dict(legal[row % len(legal) :: 5])
    picked["row"] = row
    if caps.metadata.dynamic:
        mixed: list[Value] = [1, 1.0 if ValueKind.WHOLE in caps.metadata.value_kinds else 1.5, "1", True]
        picked["mixed_type"] = mixed[row % 4]
    return picked


def _column(harness: Harness, item: VectorField, count: int, seed: int) -> VectorColumn:
    """Zero, tiny, huge and ordinary vectors; where vectors are optional, every seventh record lacks one, and the second
    holds an empty sparse one."""
    caps = harness.capabilities
    optional = item.kind not in caps.vectors.required
    generator = np.random.default_rng([seed, count])
    valid = np.ones(count, np.bool_)
    if item.kind is VectorKind.SPARSE:
        if optional:
            valid[::7] = False
        rows = [[3 + row, 2**31 + row, 2**32 - 2] if ok else [] for row, ok in enumerate(valid)]
        if optional and harness.empty_sparse:
            rows[1] = []
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        indices = np.array([index for row in rows for index in row], np.uint32)
        return SparseColumn(offsets, indices, generator.random(len(indices), np.float32) + np.float32(0.5), valid)
    values = generator.standard_normal((count, item.dim or 0), dtype=np.float32)
    if caps.vectors.zeros:
        values[1] = 0
    values[2] *= np.float32(1e-20)
    values[3] *= np.float32(1e15)
    values[4] /= np.linalg.norm(values[4])
    values[5, 0] = -0.0
    if optional:
        valid[6::7] = False
        values[6::7] = 0
    return DenseColumn(values, DType.FLOAT32, None if valid.all() else valid)
