"""The open state file as the groups of a `Store` share it: any number of reads, and one writer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from vectormigrate.errors import MigrationNotFound, StateError
from vectormigrate.state.connection import Session
from vectormigrate.state.pages import require_lease
from vectormigrate.state.records import Lease
from vectormigrate.state.secrets import SecretGuard
from vectormigrate.state.writer import Writer

T = TypeVar("T")


class StateFile:
    """Reads through `reader`, where everything durable is seen at once; writes in transactions, each durable when its
    call returns."""

    def __init__(self, path: Path, reader: Session, writer: Writer | None, guard: SecretGuard) -> None:
        """`writer` None: open for reading only, every write raises StateError."""
        self.path = path
        self.reader = reader
        self.guard = guard
        self._writer = writer

    @property
    def transactions(self) -> int:
        """How many transactions were committed."""
        return 0 if self._writer is None else self._writer.transactions

    @property
    def writer(self) -> Writer:
        """The writer. Raises StateError when the file is open for reading only."""
        if self._writer is None:
            raise StateError(f"the state file {str(self.path)!r} is open for reading only")
        return self._writer

    async def write(self, operation: Callable[[Session], Awaitable[T]]) -> T:
        """Run the operation in a transaction; what it raises undoes its own writes and nothing else."""
        return await self.writer.run(operation)

    async def execute(self, statement: str, lease: Lease | None = None, **values: object) -> int:
        """Run one named statement in a transaction; returns the number of rows that it changed. Raises LeaseLost when
        it needs a lease that is no longer held."""

        async def run(session: Session) -> int:
            if lease is not None:
                await require_lease(session, lease)
            return await session.execute(statement, **values)

        return await self.write(run)


async def require_migration(session: Session, migration_id: str) -> None:
    """Raise MigrationNotFound for an id that no stored migration has."""
    if await session.fetch_one("migration_state", id=migration_id) is None:
        raise MigrationNotFound(migration_id)
