"""What the tests run in a process of its own: `python -m tests.state.child COMMAND PATH ARGS…`.

It reports on standard output line by line; every line is a fact that is durable or decided when it is printed.
"""

import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from tests.state.support import page
from vectormigrate.errors import VectorMigrateError
from vectormigrate.state import Lease, PageCommit, Store, open_store


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def commit_forever(path: Path, migration_id: str, pages: str) -> None:
    """Commit on all partitions at once, from where they stand; `PARTITION SEQ` per acknowledged page."""

    async def run(store: Store, lease: Lease, partition_id: str, seq: int) -> None:
        for number in range(seq, seq + int(pages)):
            await store.progress.commit(lease, page(partition_id, number))
            say(f"{partition_id} {number}")

    async with open_store(path) as store, store.leases.hold(migration_id) as lease, anyio.create_task_group() as tasks:
        for progress in await store.progress.partitions(migration_id):
            tasks.start_soon(run, store, lease, progress.partition.id, progress.next_seq)


async def hold(path: Path, migration_id: str) -> None:
    """Take the lease, and keep it until standard input ends."""
    async with open_store(path) as store:
        try:
            async with store.leases.hold(migration_id) as lease:
                say(f"holds {lease.owner}")
                await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
                say("released")
        except VectorMigrateError as error:
            say(f"{type(error).__name__} {error}")


async def wake(path: Path, migration_id: str) -> None:
    """Take the lease, stop the whole process, and on waking commit a page as if nothing had happened."""
    async with open_store(path) as store, store.leases.hold(migration_id, interval=600) as lease:
        say(f"holds {lease.owner}")
        os.kill(os.getpid(), signal.SIGSTOP)
        try:
            await store.progress.commit(lease, page("eu-0", 1))
            say("committed")
        except VectorMigrateError as error:
            say(f"{type(error).__name__} {error}")


async def fill(path: Path, migration_id: str, room: str) -> None:
    """Write until the file may not grow any more, then raise the limit and write on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with open_store(path) as store, store.leases.hold(migration_id) as lease:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), hard))
        seq = 1
        try:
            while True:
                ids = [f"{seq}-{os.urandom(16).hex()}" for _ in range(500)]
                await store.progress.commit(
                    lease, PageCommit(partition_id="eu-0", seq=seq, cursor=seq, written=500, written_ids=[("n", ids)])
                )
                seq += 1
        except VectorMigrateError as error:
            say(f"{type(error).__name__} {error}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await store.progress.commit(lease, PageCommit(partition_id="eu-0", seq=seq, cursor=seq, written=1))
        say(f"committed {seq}")


async def unprivileged(path: Path, mode: str) -> None:
    """Open the file as a user who may not write it."""
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        async with open_store(path, read_only=mode == "read") as store:
            say(" ".join(m.id for m in await store.migrations.list()))
    except VectorMigrateError as error:
        say(f"{type(error).__name__} {error}")


COMMANDS: dict[str, Callable[..., Awaitable[None]]] = {
    "commit": commit_forever,
    "hold": hold,
    "wake": wake,
    "fill": fill,
    "unprivileged": unprivileged,
}

if __name__ == "__main__":
    anyio.run(partial(COMMANDS[sys.argv[1]], Path(sys.argv[2]), *sys.argv[3:]))
