"""Servers, processes and clients for the benchmark of live migrations: a Milvus server as source, a Qdrant server as
target, 384 dimensions."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
import anyio.to_thread
import orjson
import psutil
import pymilvus
import qdrant_client

from vectormigrate.cli.demo.live.collection import COLLECTION, PLAIN, create_on_milvus
from vectormigrate.cli.demo.live.processes import Child, Speaking, Stage
from vectormigrate.cli.demo.live.standalone import standalone, unpack
from vectormigrate.config.settings import load_settings
from vectormigrate.model.live import LiveStatus
from vectormigrate.model.status import Phase
from vectormigrate.service import Service, open_service

DIM = 384
PLAIN_COPY = "products_plain"
"""The target collection of a copy that is not live."""

READS = 10.0
"""A second: enough to see a pause of them, and little enough to leave the cores to the writes."""

DEADLINE = "3"
GRPC = "target", "grpc"
"""The port that the demo's clients do not use."""

WAIT_SECONDS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """URLs of servers that run already; empty: one of the package `milvus`, and the demo's in front of the real Qdrant
    engine. `option`: of the target, for its adapter."""

    source: str = ""
    target: str = ""
    option: str = ""


def line(name: str, text: str) -> None:
    """Print a figure, with what else the machine was doing."""
    print(f"{name:12} {text}  [load {os.getloadavg()[0]:.1f}]", flush=True)


def cpu(process: psutil.Process) -> float:
    """Seconds that it has used."""
    used = process.cpu_times()
    return used.user + used.system


class BenchStage(Stage):
    """The demo's stage with larger vectors, or with other servers, whose collections of these names are replaced."""

    def __init__(self, folder: Path, servers: Servers) -> None:
        super().__init__(folder, "bench0")
        self._servers = servers

    async def open_servers(self, records: int) -> None:
        given = self._servers
        if given.source:
            self.source = given.source
            client: Any = pymilvus.MilvusClient(self.source, grpc_options=PLAIN)
            client.drop_collection(COLLECTION)
            client.close()
        else:
            data = self.folder / "source"
            data.mkdir()
            binaries = await anyio.to_thread.run_sync(unpack, self.folder / "milvus")
            self.source = self._stack.enter_context(standalone(data, binaries))
        if given.target:
            self.target = given.target
        else:
            front = await self._speaking("front", str(self.folder / "target"))
            self.target = (await front.line()).decode().strip()
        await anyio.to_thread.run_sync(create_on_milvus, self.source, records, DIM)

    def clear_target(self) -> None:
        """Blocking."""
        client = qdrant_client.QdrantClient(url=self.target, check_compatibility=False)
        for name in (COLLECTION, PLAIN_COPY):
            if client.collection_exists(name):
                client.delete_collection(name)
        client.close()

    def migrate_words(self, name: str, collection: str, *flags: str) -> Sequence[str]:
        """The command."""
        words = ["migrate", name]
        for side, kind, url, whose in (
            ("source", "milvus", self.source, COLLECTION),
            ("target", "qdrant", self.target, collection),
        ):
            words += [f"--{side}-type", kind, f"--{side}-url", url, f"--{side}-collection", whose]
        option = self._servers.option or ("" if self._servers.target else "prefer_grpc=false")
        return [*words, *(["--target-option", option] if option else []), *flags]

    async def start_load(self, keys: int, writes: float, addresses: dict[str, str]) -> Speaking:
        """The application, at these addresses of the sides."""
        settings: dict[str, Any] = {
            "folder": str(self.live),
            "keys": keys,
            "dim": DIM,
            "writes": writes,
            "reads": READS,
        }
        argument = orjson.dumps({**settings, "addresses": addresses}).decode()
        load = await self._speaking("tests.benchmarks.live_traffic", argument)
        await load.line()
        return load


class LiveMigration:
    """One live migration of the stage and its gateway. Use it as a context: what it started ends."""

    def __init__(self, stage: BenchStage, service: Service, name: str) -> None:
        self.stage, self.service, self.name = stage, service, name

    async def __aenter__(self) -> LiveMigration:
        stage = self.stage
        stage.migration = self.name
        words = stage.migrate_words(self.name, COLLECTION, "--live", "--fenced")
        deadlines = ["--source-deadline", DEADLINE, "--target-deadline", DEADLINE]
        self._runner = stage.start("migrate", *words, *deadlines)
        self._gateway = stage.start("gateway", "gateway", self.name)
        await self.until("the gateway", self._serves)
        self.gateway = psutil.Process(self._gateway.pid)
        self.envoy = psutil.Process(orjson.loads((stage.live / "envoy" / "envoy.pid").read_bytes())["pid"])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.stop()
        await self._gateway.stop()

    @property
    def children(self) -> tuple[Child, Child]:
        """The runner and the gateway."""
        return self._runner, self._gateway

    async def until(self, what: str, true: Any) -> None:
        """Wait for a condition, an async function. Raises TimeoutError with what the gate lacks."""
        began = time.monotonic()
        while not await true():
            self._runner.check()
            if time.monotonic() - began > WAIT_SECONDS:
                raise TimeoutError(what, [item.reason for item in (await self.status()).gate if not item.met])
            await anyio.sleep(0.05)

    async def status(self) -> LiveStatus:
        """The figures now."""
        found = await self.service.live_status(self.name)
        assert found is not None
        return found

    async def ready(self) -> bool:
        """Whether it may be switched."""
        return (await self.status()).ready

    async def copied(self) -> bool:
        """Whether the copy has ended."""
        return (await self.service.status(self.name)).phase is Phase.LIVE

    async def _serves(self) -> bool:
        try:
            return {"source"} <= {port["side"] for port in self._ports()}
        except (OSError, orjson.JSONDecodeError):
            return False

    def _ports(self) -> list[dict[str, Any]]:
        return orjson.loads((self.stage.live / "gateway.json").read_bytes())["ports"]

    def addresses(self) -> dict[str, str]:
        """Of each side's port that the application uses."""
        return {one["side"]: one["address"] for one in self._ports() if (one["side"], one["interface"]) != GRPC}

    def megabytes(self) -> float:
        """Memory of the gateway's process and Envoy together."""
        return (self.gateway.memory_info().rss + self.envoy.memory_info().rss) / 2**20


def service_of(stage: BenchStage) -> Any:
    """The library on the stage's state file, as a context."""
    return open_service(load_settings(state=stage.state))
