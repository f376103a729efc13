"""The state file as the rest of the package sees it: opened and closed here, used by subject."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio

from vectormigrate.errors import StateUnwritable
from vectormigrate.state.connection import is_outdated, open_empty, open_reader, open_writer
from vectormigrate.state.file import StateFile
from vectormigrate.state.leases import Leases
from vectormigrate.state.live import Live
from vectormigrate.state.migrations import Migrations
from vectormigrate.state.origin import Origin
from vectormigrate.state.planning import Planning
from vectormigrate.state.profiles import Profiles
from vectormigrate.state.progress import Progress
from vectormigrate.state.proposals import Proposals
from vectormigrate.state.rechecks import Rechecks
from vectormigrate.state.rejects import Rejects
from vectormigrate.state.reports import Reports
from vectormigrate.state.secrets import SecretGuard
from vectormigrate.state.served import Served
from vectormigrate.state.writer import Writer
from vectormigrate.state.written_ids import WrittenIds


class Store:
    """An open state file, made by `open_store`. Each group holds the calls of one subject, in the file of its name::

        async with open_store(path) as store, store.leases.hold("orders") as lease:
            await store.progress.commit(lease, PageCommit(partition_id="p0", seq=1, read=100, written=100))
            refused = await store.rejects.counts("orders")

    Reads see everything that was durable when they began. Every write is durable when its call returns, and is safe
    against concurrent calls; a write that takes the lease raises LeaseLost when it is no longer held.
    """

    def __init__(self, file: StateFile) -> None:
        self._file = file
        self.leases = Leases(file)
        self.live = Live(file)
        self.migrations = Migrations(file)
        self.origin = Origin(file)
        self.planning = Planning(file)
        self.profiles = Profiles(file)
        self.progress = Progress(file)
        self.proposals = Proposals(file)
        self.rechecks = Rechecks(file)
        self.rejects = Rejects(file)
        self.reports = Reports(file)
        self.served = Served(file)
        self.written_ids = WrittenIds(file)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    @property
    def transactions(self) -> int:
        """How many transactions this store committed."""
        return self._file.transactions

    def forbid(self, secret: str) -> None:
        """From now on refuse to store text that holds this credential (StateError)."""
        self._file.guard.forbid(secret)


@asynccontextmanager
async def open_store(
    path: Path, *, read_only: bool = False, secrets: Iterable[str] = (), patience: float | None = None
) -> AsyncGenerator[Store]:
    """Open the state file; it is made, or brought to the newest format, unless `read_only`. A missing file that is only
    read looks empty. `secrets` are credentials that must never be stored. `patience`: seconds that a write waits for
    the lock of another process, default a minute.

    Raises StateCorrupt, StateTooNew, StateUnwritable or StateBusy; a write raises the last one too.
    """
    guard = SecretGuard(secrets)
    async with AsyncExitStack() as stack:
        if read_only and not await anyio.Path(path).exists():
            await _refuse_impossible(path)
            reader = await stack.enter_async_context(open_empty(path, guard))
            yield Store(StateFile(path, reader, None, guard))
            return
        writer = None
        if not read_only:
            writer = Writer(await stack.enter_async_context(open_writer(path, guard, patience=patience)))
            stack.push_async_callback(_close, writer)
        elif await is_outdated(path):
            async with open_writer(path, guard):
                pass
        reader = await stack.enter_async_context(open_reader(path, guard))
        yield Store(StateFile(path, reader, writer, guard))


async def _refuse_impossible(path: Path) -> None:
    """Raise StateUnwritable for a path that no file can have, because a parent of it is one."""
    for parent in path.parents:
        if await anyio.Path(parent).is_file():
            raise StateUnwritable(f"the state file {str(path)!r} cannot exist: {str(parent)!r} is a file")


async def _close(writer: Writer) -> None:
    with anyio.CancelScope(shield=True):
        await writer.close()
