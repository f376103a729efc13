"""Which records the server cannot hold, and which not over gRPC. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vectormigrate.adapter import Reject
from vectormigrate.adapter.column_checks import Problem
from vectormigrate.adapter.json_floats import EXACT_FIELD
from vectormigrate.adapter.record_checks import record_problems, value_problem
from vectormigrate.adapters.qdrant.ids import holds_id
from vectormigrate.adapters.qdrant.layout import Layout
from vectormigrate.model.batch import Metadata, RecordBatch

MAX_LEVELS = 110
"""Deepest payload, counting itself. The server takes 124 levels, but from 124 on it can never read its own log again:
after a crash it does not start any more (measured on 1.19). The rest is a margin for other versions."""


def rejects(batch: RecordBatch, layout: Layout) -> dict[int, Reject]:
    """The records that the server cannot hold, by row, each with its first problem."""
    found: dict[int, Reject] = {}
    for row, problem in _problems(batch, layout):
        found.setdefault(row, Reject(batch.ids[row], batch.namespace, *problem))
    return found


def _problems(batch: RecordBatch, layout: Layout) -> Iterator[tuple[int, Problem]]:
    for row, item in enumerate(batch.ids):
        if not holds_id(item):
            yield row, ("id", f"id {item!r} is neither a number in 0…2^64-1 nor a UUID")
    reserved = "" if layout.by_shard else layout.namespace_field
    for row, metadata in enumerate(batch.metadata):
        problem = metadata_problem(metadata, reserved, batch.namespace)
        if problem is not None:
            yield row, problem
    yield from record_problems(batch, layout.vectors)


def metadata_problem(metadata: Metadata, reserved: str, namespace: str) -> Problem | None:
    """Why the server cannot hold the metadata exactly, if so; integer range and Unicode are checked elsewhere.

    `reserved`: the field of the namespaces. It may hold null or an empty list, which to the server is no namespace.
    """
    if EXACT_FIELD in metadata:
        return "reserved", f"the field name {EXACT_FIELD} is reserved"
    if reserved in metadata and reserved and (namespace or metadata[reserved] not in (None, [])):
        return "reserved", f"the field {reserved!r} holds the namespace"
    return value_problem(metadata, MAX_LEVELS)


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
