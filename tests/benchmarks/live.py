"""What live capture costs. So far its journal: intents a second with 64 requests waiting, how long one waits, and bytes
per key. Run with `python -m tests.benchmarks.live`; a figure is of this machine and this disk."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from uuid import UUID

from vectormigrate.capture.journal.connection import connect, make
from vectormigrate.capture.journal.group_commit import GroupCommit
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side


def now() -> int:
    return time.monotonic_ns() // 10**6


async def journal(folder: Path, intents: int, waiting: int) -> None:
    """Admit and settle so many intents of one key each."""
    path = folder / f"{waiting}.db"
    make(path, "benchmark")
    connection = connect(path, "benchmark", durable=True)
    group = GroupCommit(Intents(connection, now), print)
    numbers, waits = iter(range(intents)), list[float]()

    async def client() -> None:
        for number in numbers:
            began = time.perf_counter()
            admission = await group.admit(Intent(side=Side.SOURCE, keys=[Key("", UUID(int=number))]))
            waits.append(time.perf_counter() - began)
            assert isinstance(admission, Admitted)
            group.settle(Outcome(seq=admission.seq, side=Side.SOURCE, definite=True))

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(client() for _ in range(waiting)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    transactions = group.transactions
    await group.close()
    keys = TouchedKeys(connection, Side.SOURCE, now)
    while dirty := keys.dirty(1000):
        keys.clear(dirty)
    connection.checkpoint()
    waits.sort()
    print(
        f"{waiting:4} waiting: {intents / seconds:8,.0f} intents/s, p50 {waits[len(waits) // 2] * 1e3:6.2f} ms, "
        f"p99 {waits[len(waits) * 99 // 100] * 1e3:6.2f} ms, {cpu / intents * 1e6:5.0f} us of CPU each, "
        f"{transactions:,} flushes, {path.stat().st_size / intents:5.0f} bytes a key"
    )
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intents", type=int, default=20_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for waiting in (1, 8, 64, 512):
            asyncio.run(journal(Path(folder), min(arguments.intents, waiting * 2_000), waiting))


if __name__ == "__main__":
    main()
