"""Which records the server cannot hold. Pure.

The server applies a batch in part when one record is wrong, and stores some records that it should refuse (NaN), so
every record is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import Any

import numpy as np
import orjson

from vectormigrate.adapter import Reject
from vectormigrate.adapters.qdrant.errors import NAME
from vectormigrate.adapters.qdrant.ids import holds_id
from vectormigrate.adapters.qdrant.layout import Layout
from vectormigrate.column_checks import vector_problems
from vectormigrate.errors import InvalidRequest
from vectormigrate.exact_floats import EXACT_FIELD
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    DenseColumn,
    Metadata,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    Value,
)
from vectormigrate.model.schema import VectorKind

COLUMN_CLASS = {VectorKind.DENSE: DenseColumn, VectorKind.SPARSE: SparseColumn, VectorKind.MULTI: MultiColumn}

MAX_LEVELS = 110
"""Deepest payload, counting itself. The server takes 124 levels, but from 124 on it can never read its own log again:
after a crash it does not start any more (measured on 1.19). The rest is a margin for other versions."""

Problem = tuple[str, str]
"""A reject's code and reason."""


def check_columns(batch: RecordBatch, layout: Layout) -> None:
    """Raises InvalidRequest for a column that does not belong to the collection."""
    for name, column in batch.vectors.items():
        item = layout.vector(name)
        wrong = ""
        if item is None:
            wrong = f"the collection has no vector field {name!r}"
        elif not isinstance(column, COLUMN_CLASS[item.kind]):
            wrong = f"vector field {name!r} is {item.kind}"
        elif not isinstance(column, SparseColumn) and column.values.dtype != NUMPY_DTYPE[item.dtype]:
            wrong = f"vector field {name!r} holds {item.dtype}, not {column.values.dtype}"
        if wrong:
            raise InvalidRequest(wrong, adapter=NAME, operation="upsert")


def rejects(batch: RecordBatch, layout: Layout) -> dict[int, Reject]:
    """The records that the server cannot hold, by row, each with its first problem."""
    found: dict[int, Reject] = {}
    for row, problem in _problems(batch, layout):
        found.setdefault(row, Reject(batch.ids[row], batch.namespace, *problem))
    return found


def _problems(batch: RecordBatch, layout: Layout) -> Iterator[tuple[int, Problem]]:
    if not is_json(batch.namespace):
        yield from ((row, ("namespace", "the namespace is not valid Unicode text")) for row in range(len(batch)))
    for row, item in enumerate(batch.ids):
        if not holds_id(item):
            yield row, ("id", f"id {item!r} is neither a number in 0…2^64-1 nor a UUID")
    reserved = "" if layout.by_shard else layout.namespace_field
    for row, metadata in enumerate(batch.metadata):
        problem = metadata_problem(metadata, reserved, batch.namespace)
        if problem is not None:
            yield row, problem
    if not is_json(batch.metadata):
        for row, metadata in enumerate(batch.metadata):
            if not is_json(metadata):
                yield row, ("value", "the metadata holds an integer beyond 64 bits or text that is not valid Unicode")
    for item in layout.vectors:
        column = batch.vectors.get(item.name)
        if column is not None:
            for rows, problem in vector_problems(column, item):
                yield from ((row, problem) for row in np.flatnonzero(rows).tolist())


def is_json(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def metadata_problem(metadata: Metadata, reserved: str, namespace: str) -> Problem | None:
    """Why the server cannot hold the metadata exactly, if so; integer range and Unicode are checked elsewhere.

    `reserved`: the field of the namespaces. It may hold null or an empty list, which to the server is no namespace.
    """
    if EXACT_FIELD in metadata:
        return "reserved", f"the field name {EXACT_FIELD} is reserved"
    if reserved in metadata and reserved and (namespace or metadata[reserved] not in (None, [])):
        return "reserved", f"the field {reserved!r} holds the namespace"
    for key, value in metadata.items():
        kind = type(value)
        if kind in _PLAIN:
            continue
        problem = _value_problem(value, 2)
        if problem is not None:
            return problem[0], f"field {key!r}: {problem[1]}"
    return None


def _value_problem(value: Value, level: int) -> Problem | None:
    """`level`: how deep the value is if it is a container, the metadata itself being 1."""
    if isinstance(value, float):
        return None if isfinite(value) else ("value", f"{value} is not a JSON number")
    if isinstance(value, list | dict):
        if level > MAX_LEVELS:
            return "depth", f"nested deeper than {MAX_LEVELS} levels"
        for item in value.values() if isinstance(value, dict) else value:
            if type(item) not in _PLAIN:
                problem = _value_problem(item, level + 1)
                if problem is not None:
                    return problem
        return None
    if value is None or isinstance(value, str | int):
        return None
    return "value", f"a value of type {type(value).__name__} is not supported"


_PLAIN = frozenset({str, int, bool, type(None)})


GRPC_LEVELS = 28
"""Protobuf readers stop at 100 messages within each other, and every level of a payload is three."""

_FLAT = frozenset({str, float, bool, type(None)})


def fits_grpc(metadata: Metadata, levels: int = GRPC_LEVELS) -> bool:
    """Whether the metadata can travel over gRPC: integers of 64 bits with a sign, and few levels."""
    return _carries(metadata.values(), levels - 1)


def _carries(values: Any, levels: int) -> bool:
    for value in values:
        kind = type(value)
        if kind in _FLAT:
            continue
        if kind is int:
            if value >= 2**63:
                return False
        elif isinstance(value, list | dict):
            if levels < 1 or not _carries(value.values() if isinstance(value, dict) else value, levels - 1):
                return False
        elif isinstance(value, int) and int(value) >= 2**63:
            return False
    return True
