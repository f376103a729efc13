"""Which records the engine cannot hold. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vectormigrate.adapter import Reject
from vectormigrate.adapter.column_checks import Problem
from vectormigrate.adapter.record_checks import record_problems, value_problem
from vectormigrate.adapters.qdrant.edge.capabilities import MAX_LEVELS, RESERVED
from vectormigrate.adapters.qdrant.edge.ids import holds_id
from vectormigrate.model.batch import (
    Metadata,
    RecordBatch,
)
from vectormigrate.model.schema import CollectionSchema


def rejects(batch: RecordBatch, schema: CollectionSchema) -> dict[int, Reject]:
    """The records that the engine cannot hold, by row, each with its first problem."""
    found: dict[int, Reject] = {}
    for row, problem in _problems(batch, schema):
        found.setdefault(row, Reject(batch.ids[row], batch.namespace, *problem))
    return found


def _problems(batch: RecordBatch, schema: CollectionSchema) -> Iterator[tuple[int, Problem]]:
    for row, item in enumerate(batch.ids):
        if not holds_id(item):
            yield row, ("id", f"id {item!r} is neither a number in 0…2^64-1 nor a UUID")
    for row, metadata in enumerate(batch.metadata):
        problem = metadata_problem(metadata)
        if problem is not None:
            yield row, problem
    yield from record_problems(batch, schema.vectors)


def metadata_problem(metadata: Metadata) -> Problem | None:
    """Why the engine cannot hold the metadata exactly, if so; integer range and Unicode are checked elsewhere."""
    if not RESERVED.isdisjoint(metadata):
        return "reserved", f"the field names {', '.join(sorted(RESERVED))} are reserved"
    return value_problem(metadata, MAX_LEVELS)
