"""Records for the suite, and exact comparison of what came back."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Target
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    DenseColumn,
    Metadata,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    Value,
    VectorColumn,
)
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, DType, VectorField, VectorKind

Row = tuple[Any, dict[str, Any]]
"""Metadata with types, and the bytes of each vector (None where the record has none)."""


def nth_id(kind: IdKind, number: int) -> RecordId:
    """Different ids for different numbers."""
    if kind is IdKind.STRING:
        return f"record-{number:06d}"
    if kind is IdKind.UUID:
        return UUID(int=number * 0x1_0001_0001_0001_0001)
    return number


def ids_of(schema: CollectionSchema, numbers: Iterable[int]) -> list[RecordId]:
    kind = min(schema.id_kinds)
    return [nth_id(kind, number) for number in numbers]


def column(item: VectorField, count: int, seed: int = 0) -> VectorColumn:
    """Random vectors that the field holds exactly."""
    generator = np.random.default_rng([seed, *item.name.encode()])
    if item.kind is VectorKind.SPARSE:
        rows = [np.sort(generator.choice(10_000, 1 + row % 5, replace=False)) for row in range(count)]
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        indices = np.concatenate([np.empty(0, np.uint32), *rows]).astype(np.uint32)
        return SparseColumn(offsets, indices, generator.random(len(indices), np.float32) + np.float32(0.01))
    if item.kind is VectorKind.MULTI:
        offsets = np.concatenate([[0], np.cumsum([1 + row % 3 for row in range(count)])]).astype(np.int64)
        return MultiColumn(offsets, numbers(item, int(offsets[-1]), generator), item.dtype)
    return DenseColumn(numbers(item, count, generator), item.dtype)


def numbers(item: VectorField, count: int, generator: np.random.Generator) -> NDArray[Any]:
    """`count` random rows in the storage type of the field."""
    dim = item.dim or 0
    values = generator.standard_normal((count, dim)).astype(np.float32)
    match item.dtype:
        case DType.BITS:
            return generator.integers(0, 256, (count, dim // 8), dtype=np.uint8)
        case DType.BFLOAT16:
            return (values.view(np.uint32) >> 16).astype(np.uint16)
        case DType.INT8:
            return generator.integers(-128, 128, (count, dim), dtype=np.int8)
        case DType.UINT8:
            return generator.integers(0, 256, (count, dim), dtype=np.uint8)
        case _:
            return values.astype(NUMPY_DTYPE[item.dtype])


def batch(
    schema: CollectionSchema,
    ids: Sequence[RecordId],
    *,
    namespace: str = "",
    metadata: Sequence[Metadata] | None = None,
    seed: int = 0,
) -> RecordBatch:
    """Records with a random vector in every field; metadata `{"n": row}` unless given."""
    rows = [{"n": row} for row in range(len(ids))] if metadata is None else list(metadata)
    vectors = {item.name: column(item, len(ids), seed) for item in schema.vectors}
    return RecordBatch(namespace, list(ids), vectors, rows)  # pyright: ignore[reportArgumentType]


async def write(target: Target, *batches: RecordBatch) -> None:
    """Write everything, expect no reject, and wait until it can be read."""
    rows = target.capabilities.writes.rows
    for item in batches:
        for start in range(0, len(item), rows):
            part = item.take(range(start, min(start + rows, len(item))))
            assert await target.upsert(part) == []
    if not target.capabilities.writes.readable_before_finalize:
        await target.finalize()


async def scan(target: Target, partition: Partition, after: Cursor | None = None, **options: Any) -> list[Page]:
    return [page async for page in target.scan(partition, after, **options)]


async def read_all(target: Target, parts: int = 1) -> dict[tuple[str, RecordId], Row]:
    """Every record by namespace and id; fails when one comes twice."""
    found: dict[tuple[str, RecordId], Row] = {}
    for partition in await target.partitions(parts):
        for page in await scan(target, partition):
            for key, row in rows_of(page.batch).items():
                assert key not in found, f"{key!r} was returned twice"
                found[key] = row
    return found


def rows_of(found: RecordBatch) -> dict[tuple[str, RecordId], Row]:
    """The records of a batch in a form that compares exactly."""
    for item in found.vectors.values():
        assert len(item) == len(found)
    return {
        (found.namespace, record_id): (
            typed(found.metadata[row]),
            {name: vector_bytes(item, row) for name, item in found.vectors.items()},
        )
        for row, record_id in enumerate(found.ids)
    }


def vector_bytes(item: VectorColumn, row: int) -> Any:
    if item.valid is not None and not item.valid[row]:
        return None
    if isinstance(item, DenseColumn):
        return item.values[row].tobytes()
    start, end = int(item.offsets[row]), int(item.offsets[row + 1])
    if isinstance(item, MultiColumn):
        return item.values[start:end].tobytes()
    return item.indices[start:end].tobytes(), item.values[start:end].tobytes()


def typed(value: Value | Metadata) -> Any:
    """The value with the types spelled out: 1, 1.0 and True differ, so do 0.0 and -0.0; key order does not count."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if isinstance(value, float):
        return "float", "nan" if value != value else struct.pack("<d", value)
    if isinstance(value, datetime):
        return "datetime", value.timestamp()
    return type(value).__name__, value


def legal(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that the capability's regex allows."""
    return [name for name in names if re.fullmatch(pattern, name)]


NAMESPACES = ("alpha", "beta", "Gamma_3", "with space", "quote'\"\\", "nul\0byte", "日本 😀", "x" * 60)


def namespaces(target: Target, count: int) -> list[str]:
    """Legal namespace names, the default one first (if it goes with others); fewer where the database allows fewer."""
    caps = target.capabilities
    if not caps.namespaces.supported:
        return [""]
    names = legal(caps.namespaces.names, NAMESPACES)
    names = names if caps.namespaces.declared else ["", *names]
    return names[: min(count, caps.namespaces.max_count or count)]
