"""An application that follows a live migration: it reads and writes wherever the authority is, and never stops.

    pip install 'vectormigrate[live-demo]'
    python examples/live_app.py

Starts two Qdrant servers (those of `vectormigrate demo --live`) and migrates from one to the other while the service
below keeps writing; then it cuts over. It checks itself: it ends with an AssertionError if a write of the service is
missing afterwards, or if one of a stale instance, which missed the switch, is anywhere.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

import vectormigrate

COLLECTION = MIGRATION = "stock"
GOODS = 50


class Shop:
    """The service. `follow` is all that it takes to move with a switch."""

    def __init__(self, clients: Mapping[str, AsyncQdrantClient]) -> None:
        self._clients = clients
        self.side = "source"
        self.written: dict[int, int] = {}
        self.refused = 0

    async def follow(self, page: str) -> None:
        """Use the side that has the authority, now and after every switch."""
        async for now in vectormigrate.authority(page):
            self.side = now.side

    async def put(self, good: int, stock: int) -> bool:
        """Write a record. False if this instance has missed a switch: then nothing was written anywhere."""
        point = models.PointStruct(id=good, vector=[float(stock), 1.0], payload={"stock": stock})
        try:
            await self._clients[self.side].upsert(COLLECTION, [point], wait=True)
        except UnexpectedResponse as error:
            if error.status_code != 409:
                raise
            self.refused += 1
            return False
        self.written[good] = stock
        return True

    async def work(self) -> None:
        """Write one record after another, each again until it is in."""
        stock = 0
        while True:
            stock += 1
            while not await self.put(stock % GOODS, stock):  # noqa: ASYNC110  until `follow` has seen the switch
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.02)


async def stocks(url: str) -> dict[int, int]:
    """What a server holds, read past the gateway."""
    client = AsyncQdrantClient(url=url, check_compatibility=False)
    try:
        points, _ = await client.scroll(COLLECTION, limit=1000)
        return {int(point.id): (point.payload or {})["stock"] for point in points}
    finally:
        await client.close()


@asynccontextmanager
async def running(*words: str) -> AsyncGenerator[asyncio.StreamReader]:
    """A Python module as a process, which is asked to end afterwards; gives its output."""
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", *words, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def gateway_of(state: str, stack: AsyncExitStack) -> dict[str, Any]:
    """Start the gateway; returns its addresses once it serves."""
    lines = await stack.enter_async_context(running("vectormigrate", "gateway", MIGRATION, "--state", state, "--json"))
    while True:
        event = json.loads(await lines.readline())
        if event["event"] == "started":
            return event


async def order(verb: str, state: str, *flags: str) -> None:
    """An order to the running migration, as an operator types it."""
    async with running("vectormigrate", verb, MIGRATION, "--state", state, "--json", *flags) as answer:
        print(f"{verb}: {json.loads(await answer.read())}")


async def ready(state: Path) -> None:
    """Wait until a switch is allowed."""
    async with vectormigrate.open_service(state=state) as service:
        while True:
            live = await service.live_status(MIGRATION)
            if live is not None and live.ready:
                return
            await asyncio.sleep(0.2)


async def main(folder: Path) -> None:
    """The whole round."""
    async with AsyncExitStack() as stack:
        urls: dict[str, str] = {}
        for side in ("source", "target"):
            lines = await stack.enter_async_context(running("vectormigrate.cli.demo.live.front", str(folder / side)))
            urls[side] = (await lines.readline()).decode().strip()
        vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
        await AsyncQdrantClient(url=urls["source"]).create_collection(COLLECTION, vectors_config=vectors)
        state = str(folder / "state.db")
        ends = [
            word
            for side, url in urls.items()
            for word in (f"--{side}-type", "qdrant", f"--{side}-url", url, f"--{side}-collection", COLLECTION)
        ]
        alone = ["--source-option", "prefer_grpc=false", "--target-option", "prefer_grpc=false"]
        short = ["--source-deadline", "2", "--target-deadline", "2"]
        live = ["migrate", MIGRATION, "--state", state, *ends, *alone, "--live", *short]
        await stack.enter_async_context(running("vectormigrate", *live))
        gateway = await gateway_of(state, stack)
        addresses = {port["side"]: port["address"] for port in gateway["ports"] if port["interface"] == "rest"}
        clients = {
            side: AsyncQdrantClient(url=f"http://{address}", check_compatibility=False)
            for side, address in addresses.items()
        }
        shop, stale = Shop(clients), Shop(clients)
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(shop.follow(gateway["http"])), tasks.create_task(shop.work())]
            await order("fenced", state)
            await ready(folder / "state.db")
            before = sum(shop.written.values())
            await order("cutover", state)
            while shop.side != "target" or sum(shop.written.values()) < before + 20 * GOODS:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            assert not await stale.put(0, -1), "a stale instance must be refused"
            for task in background:
                task.cancel()
        found = await stocks(urls["target"])
        missing = {good: stock for good, stock in shop.written.items() if found.get(good, 0) < stock}
        assert not missing, missing
        assert -1 not in [*found.values(), *(await stocks(urls["source"])).values()]
        await order("complete", state, "--force")
    print(f"{max(found.values())} writes, {shop.refused} of them made again at the new side; none is missing")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(Path(place)))
