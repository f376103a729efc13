"""What a gateway costs: the same client through it and straight at the same server, in turns; its own CPU per write."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pymilvus

from tests.benchmarks.live_stage import DIM, LiveMigration, cpu, line
from vectormigrate.cli.demo.live.clients import MilvusSide
from vectormigrate.cli.demo.live.collection import COLLECTION, PLAIN
from vectormigrate.cli.demo.live.records import row, vector_of

CALLS = 1000
BATCHES = 20
ROUNDS = 5
IN_FLIGHT = 4


def percentile(times: Sequence[float], share: float) -> float:
    """Milliseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))] * 1000


def compare(name: str, times: dict[str, list[float]]) -> None:
    """One line: both ways, their ratios and their difference."""
    p50 = {way: percentile(found, 0.5) for way, found in times.items()}
    p99 = {way: percentile(found, 0.99) for way, found in times.items()}
    line(
        name,
        f"p50 {p50['gateway']:.2f} ms, direct {p50['direct']:.2f} ({p50['gateway'] / p50['direct']:.2f}x, "
        f"{p50['gateway'] - p50['direct']:+.2f} ms); p99 {p99['gateway']:.2f} ms, direct {p99['direct']:.2f} "
        f"({p99['gateway'] / p99['direct']:.2f}x)",
    )


async def read(client: Any, number: int) -> None:
    """A search that does not wait for the latest writes: the shortest that there is."""
    vector = vector_of(number, DIM)
    await client.search(COLLECTION, data=[vector], anns_field="embedding", limit=10, consistency_level="Eventually")


async def write(client: Any, number: int) -> None:
    """One record, the same on both ways."""
    await client.upsert(COLLECTION, [row(number, number, number, DIM)])


async def timed(addresses: dict[str, str], call: Callable[[Any, int], Awaitable[None]]) -> None:
    """Both ways in turns, so that what else runs meets both."""
    clients = {
        way: pymilvus.AsyncMilvusClient(f"http://{address}", grpc_options=PLAIN) for way, address in addresses.items()
    }
    times: dict[str, list[float]] = {way: [] for way in clients}
    for number in range(CALLS):
        for way, client in clients.items():
            began = time.perf_counter()
            await call(client, number)
            times[way].append(time.perf_counter() - began)
    compare(call.__name__, times)
    for client in clients.values():
        await client.close()


async def _some_batches(address: str) -> float:
    client = pymilvus.AsyncMilvusClient(f"http://{address}", grpc_options=PLAIN)
    left = iter([[row(one * 100 + n, n, n, DIM) for n in range(100)] for one in range(BATCHES)])

    async def sender() -> None:
        for batch in left:
            await client.upsert(COLLECTION, batch, timeout=20)

    began = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(IN_FLIGHT)))
    seconds = time.perf_counter() - began
    await client.close()
    return BATCHES * 100 / seconds


async def batches(addresses: dict[str, str]) -> None:
    """Of 100 records, four at a time, in turns."""
    rates: dict[str, list[float]] = {way: [] for way in addresses}
    for _ in range(ROUNDS):
        for way, address in addresses.items():
            rates[way].append(await _some_batches(address))
    found = {way: statistics.median(seen) for way, seen in rates.items()}
    share = statistics.median(a / b for a, b in zip(rates["gateway"], rates["direct"], strict=True))
    line("batches", f"{found['gateway']:,.0f} records/s, direct {found['direct']:,.0f} ({share:.2f}x)")


async def own_cpu(live: LiveMigration, side: MilvusSide, waiting: int, writes: int = 1000) -> None:
    """CPU of the gateway's process per journaled write, so many at a time, without what it uses when nobody writes."""
    idle_from, idle_cpu = time.perf_counter(), cpu(live.gateway)
    await asyncio.sleep(3)
    idle = (cpu(live.gateway) - idle_cpu) / (time.perf_counter() - idle_from)
    numbers = iter(range(writes))

    async def sender() -> None:
        for number in numbers:
            await side.put(row(number, number, number, DIM))

    began, before = time.perf_counter(), (cpu(live.gateway), cpu(live.envoy))
    await asyncio.gather(*(sender() for _ in range(waiting)))
    seconds = time.perf_counter() - began
    own, envoy = cpu(live.gateway) - before[0] - idle * seconds, cpu(live.envoy) - before[1]
    line(
        "CPU",
        f"gateway {own / writes * 1e3:.2f} ms a write with {waiting} waiting ({writes / seconds:,.0f} writes/s), "
        f"idle {idle * 1e3:.0f} ms a second; Envoy {envoy / writes * 1e3:.2f} ms",
    )


async def measure_gateway(live: LiveMigration) -> None:
    """Print all of it. The collection has at least 2,000 records."""
    direct = live.stage.source.removeprefix("http://")
    addresses = {"direct": direct, "gateway": live.addresses()["source"]}
    await timed(addresses, read)
    await timed(addresses, write)
    await batches(addresses)
    side = MilvusSide(addresses["gateway"])
    for waiting in (IN_FLIGHT, 32):
        await own_cpu(live, side, waiting)
    await side.close()
