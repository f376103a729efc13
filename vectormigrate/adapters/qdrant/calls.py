"""What both interfaces of the server can do with records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapters.qdrant.errors import NotCompleted
from vectormigrate.adapters.qdrant.filters import Where
from vectormigrate.model.batch import Metadata, RecordBatch, VectorColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import VectorField


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Payloads are as stored: with our own fields. `following`: the id to continue from, None at the end."""

    ids: list[RecordId]
    payloads: list[Metadata]
    columns: Mapping[str, VectorColumn]
    following: RecordId | None = None


class Transport(Protocol):
    """Requests about the records of one collection. Raises vendor errors."""

    async def scroll(
        self, where: Where, offset: RecordId | None, limit: int, fields: Sequence[VectorField], *, payload: bool = True
    ) -> Records:
        """Records from the id `offset` on (None: the first), in the server's order."""
        ...

    async def retrieve(self, where: Where, ids: Sequence[RecordId], fields: Sequence[VectorField]) -> Records:
        """The records with these ids that exist. Only `where.shard` counts."""
        ...

    async def count(self, where: Where) -> int:
        """Exact."""
        ...

    async def facet(self, where: Where, limit: int) -> dict[str, int]:
        """Records per text value of `where.field`, at most `limit` values."""
        ...

    async def upsert(
        self, where: Where, batch: RecordBatch, rows: list[int], payloads: Mapping[int, Metadata], *, single: bool
    ) -> None:
        """Write these rows of the batch, whose ids all differ. Raises NotCompleted when the server does not confirm
        that it has."""
        ...

    async def delete(self, where: Where) -> None:
        """Remove `where.ids`; with a namespace only those in it."""
        ...

    async def query(self, where: Where, field: VectorField, queries: Queries, k: int) -> list[Hits]:
        """Top-k per query."""
        ...


def check_status(status: str) -> None:
    """Only `completed` means that a write was applied; `acknowledged` and `wait_timeout` that it may be, some time."""
    if status != "completed":
        raise NotCompleted(f"the server answered a write with status {status!r}, so its outcome is unknown")
