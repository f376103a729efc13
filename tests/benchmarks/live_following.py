"""What a live migration does while the application writes: backfill and catching up next to a plain copy, the lag at a
rate of writes, the pauses of a switch, memory, and the size of the journal."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pymilvus
from anyio import to_thread

from tests.benchmarks.live_gateway import measure_gateway
from tests.benchmarks.live_stage import DIM, PLAIN_COPY, BenchStage, LiveMigration, Servers, line, service_of
from vectormigrate.capture.journal.connection import connect
from vectormigrate.cli.demo.live.collection import COLLECTION, PLAIN
from vectormigrate.cli.demo.live.processes import Speaking
from vectormigrate.cli.demo.live.records import row
from vectormigrate.errors import MigrationNotFound
from vectormigrate.model.live import Pace
from vectormigrate.service import Service

ROUNDS = 3
STEP_SECONDS = 8.0
BOUNDED_SECONDS = 1.0
RATES = (200, 300, 400, 500, 600, 800, 1000)


async def copy_rate(service: Service, name: str, records: int, running: Callable[[], bool]) -> float:
    """Records per second of a copy, from the first that is counted to the last."""
    first: tuple[float, int] | None = None
    while running():
        try:
            done = (await service.status(name)).migrated_records
        except MigrationNotFound:
            done = 0
        now = time.perf_counter()
        if done and first is None:
            first = now, done
        if done >= records and first is not None:
            return (done - first[1]) / (now - first[0])
        await asyncio.sleep(0.02)
    raise RuntimeError(f"{name} ended early")


async def plain_copy(stage: BenchStage, service: Service, number: int, records: int) -> float:
    """Of a collection to which nobody writes."""
    child = stage.start("plain", *stage.migrate_words(f"plain{number}", PLAIN_COPY))
    rate = await copy_rate(service, f"plain{number}", records, lambda: child.ended is None)
    await child.wait(60)
    return rate


async def backfills(stage: BenchStage, service: Service, records: int) -> float:
    """Plain and live in turns; prints their ratio. Returns the rate of the plain copies."""
    plain: list[float] = []
    live: list[float] = []
    for number in range(ROUNDS):
        await to_thread.run_sync(stage.clear_target)
        plain.append(await plain_copy(stage, service, number, records))
        await to_thread.run_sync(stage.clear_target)
        async with LiveMigration(stage, service, f"idle{number}") as one:
            runner = one.children[0]
            live.append(await copy_rate(service, one.name, records, lambda child=runner: child.ended is None))
    share = statistics.median(a / b for a, b in zip(live, plain, strict=True))
    found = statistics.median(plain)
    line("backfill", f"{statistics.median(live):,.0f} records/s, a plain copy {found:,.0f} ({share:.2f}x)")
    return found


async def catch_up(live: LiveMigration, records: int, plain: float) -> None:
    """How fast dirty keys are settled when nothing is written any more."""
    await live.service.set_pace(live.name, Pace.PAUSED)
    await asyncio.sleep(2)
    client = pymilvus.AsyncMilvusClient(f"http://{live.addresses()['source']}", grpc_options=PLAIN)
    for start in range(0, records, 100):
        await client.upsert(COLLECTION, [row(key, key, key + 1, DIM) for key in range(start, start + 100)])
    await client.close()
    first = (await live.status()).dirty
    await live.service.set_pace(live.name, Pace.FULL)
    points: list[tuple[float, int]] = []
    while not points or points[-1][1] > first // 20:
        points.append((time.monotonic(), (await live.status()).dirty))
        await asyncio.sleep(0.2)
    under = next(at for at, left in points if left < first)
    rate = (first - points[-1][1]) / (points[-1][0] - max(at for at, _ in points if at < under))
    line("catch-up", f"{rate:,.0f} records/s of {first:,} dirty keys, a plain copy {plain:,.0f} ({rate / plain:.2f}x)")


async def lag(live: LiveMigration, load: Speaking, writes: float, seconds: float) -> str:
    """Print the lag at this rate of writes. Returns what was not as it should be: the lag, or the rate."""
    await load.ask("rate", writes=writes)
    lags: list[float] = []
    memory: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        lags.append((await live.status()).lag)
        memory.append(live.megabytes())
        await asyncio.sleep(0.5)
    done = (await load.ask("take"))["writes"]
    late = lags[len(lags) // 2 :]
    line(
        "lag",
        f"at {done['per_second']:.0f} of {writes:.0f} writes/s: median {statistics.median(lags):.2f} s, longest "
        f"{max(lags):.2f} s, in the second half {max(late):.2f} s; a write p50 {done['p50']:.1f} ms, "
        f"p99 {done['p99']:.1f}, {done['failed']} failed; gateway + Envoy {memory[0]:.0f} to {max(memory):.0f} MB",
    )
    if max(late) > BOUNDED_SECONDS:
        return "the lag grew"
    return "" if done["per_second"] >= 0.9 * writes else "the application with its server came to no more"


async def switch(live: LiveMigration, load: Speaking, verb: str, records: int) -> None:
    """Order it when it is ready, and print what the application saw."""
    await live.until("ready", live.ready)
    await load.ask("take")
    code, answer = await live.stage.command(verb, live.name, seconds=90)
    await asyncio.sleep(2)
    seen = await load.ask("take")
    writes, reads = seen["writes"], seen["reads"]
    held = answer.get("held_ms")
    line(
        verb,
        f"{records:,} records: longest pause of writes {writes['pause']:,.0f} ms, of reads {reads['pause']:,.0f} ms; "
        f"held {held:,.0f} ms; {writes['failed']} writes and {reads['failed']} reads failed"
        if isinstance(held, int | float)
        else f"ended with code {code}: {answer}",
    )


def journal_bytes(live: LiveMigration) -> None:
    """Per distinct key, of the file itself and of what is not moved into it yet."""
    path = live.stage.live / "journal.db"
    connection = connect(path, live.name, durable=False)
    connection.checkpoint()
    touched = sum(connection.row("count_keys", side)[0] for side in ("source", "target"))
    connection.close()
    waiting = Path(f"{path}-wal").stat().st_size if Path(f"{path}-wal").exists() else 0
    each = path.stat().st_size / max(1, touched)
    line("journal", f"{each:.0f} bytes a key of {touched:,} keys; the log next to it {waiting / 2**20:.1f} MB")


async def measure(folder: Path, records: int, writes: float, seconds: float, servers: Servers) -> None:
    """Everything at this size of the collection, in the order of a migration."""
    line("start", f"{records:,} records, {DIM} dimensions")
    async with BenchStage(folder, servers) as stage, service_of(stage) as service:
        await stage.open_servers(records)
        plain = await backfills(stage, service, records)
        await to_thread.run_sync(stage.clear_target)
        async with LiveMigration(stage, service, "bench") as live:
            await live.until("ready", live.ready)
            await measure_gateway(live)
            await catch_up(live, min(records, 10_000), plain)
            await follow(live, records, writes, seconds, RATES)
            journal_bytes(live)


async def measure_switch(folder: Path, records: int, writes: float, seconds: float, servers: Servers) -> None:
    """Only lag and switches, at another size."""
    line("start", f"{records:,} records, {DIM} dimensions")
    async with BenchStage(folder, servers) as stage, service_of(stage) as service:
        await stage.open_servers(records)
        await to_thread.run_sync(stage.clear_target)
        async with LiveMigration(stage, service, "bench") as live:
            await live.until("ready", live.ready)
            await follow(live, records, writes, seconds, ())
            journal_bytes(live)


async def follow(live: LiveMigration, records: int, writes: float, seconds: float, rates: tuple[int, ...]) -> None:
    """The lag at this rate, the highest of the others at which it stays bounded, and both switches."""
    load = await live.stage.start_load(records, writes, live.addresses())
    await lag(live, load, writes, seconds)
    best, ended = 0, "no higher rate was asked for"
    for rate in rates:
        found = await lag(live, load, rate, STEP_SECONDS)
        if found:
            ended = f"at {rate} {found}"
            break
        best = rate
    if rates:
        line("bounded", f"the lag stays below {BOUNDED_SECONDS:.0f} s up to {best} writes/s; {ended}")
    await load.ask("rate", writes=writes)
    await switch(live, load, "cutover", records)
    await switch(live, load, "reverse", records)
    await load.stop()
