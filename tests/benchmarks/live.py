"""What a live migration costs: `python -m tests.benchmarks.live`. A figure is of this machine and this disk; ratios are
of one run.

The journal alone: intents a second with 1 to 512 requests waiting, how long one waits, bytes per key. Then real
processes (live_gateway.py, live_following.py): the gateway next to the same client straight at the server, backfill and
catching up next to a plain copy, the lag while an application writes, the pauses of both switches at two sizes.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from uuid import UUID

from tests.benchmarks.live_following import measure, measure_switch
from tests.benchmarks.live_stage import Servers
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("journal", "live", "switch"), help="default: all three")
    parser.add_argument("--intents", type=int, default=20_000)
    parser.add_argument("--records", type=int, default=20_000, help="in the collection; the second size is a fifth")
    parser.add_argument("--writes", type=float, default=200.0, help="a second")
    parser.add_argument("--seconds", type=float, default=30.0, help="of these writes, for lag and memory")
    parser.add_argument("--source", default="", help="URL of a Milvus server; its collection `products` is replaced")
    parser.add_argument("--target", default="", help="URL of a Qdrant server; `products` and `products_plain` likewise")
    parser.add_argument("--target-option", default="", help="KEY=VALUE for the adapter of the target")
    chosen = parser.parse_args()
    servers = Servers(source=chosen.source, target=chosen.target, option=chosen.target_option)
    live = (chosen.writes, chosen.seconds, servers)
    if chosen.only in (None, "journal"):
        with tempfile.TemporaryDirectory() as folder:
            for waiting in (1, 8, 64, 512):
                asyncio.run(journal(Path(folder), min(chosen.intents, waiting * 2_000), waiting))
    if chosen.only in (None, "live"):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure(Path(folder), chosen.records, *live))
    if chosen.only in (None, "switch"):
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure_switch(Path(folder), chosen.records // 5, *live))


if __name__ == "__main__":
    main()
