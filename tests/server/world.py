"""A server over real collections: a connections file, a state file, and what the tests say to it."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import anyio
import numpy as np
from mcp import Client, StdioServerParameters

from tests.server.toy import connected, listening
from tests.support.connected import connected as opened
from vectormigrate import registry
from vectormigrate.config.settings import Settings, load_settings
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind
from vectormigrate.server.access.auth import KeyRing
from vectormigrate.server.access.keys import parse_key
from vectormigrate.server.access.limiter import Limiter
from vectormigrate.server.app import App, build
from vectormigrate.server.audit.accounting import Accounting
from vectormigrate.server.audit.log import AuditLog
from vectormigrate.server.http.app import http_app
from vectormigrate.server.http.host_policy import HostPolicy

Transport = Literal["memory", "stdio", "sse", "http"]
Era = Literal["legacy", "auto"]

READ_KEY, WRITE_KEY, ADMIN_KEY = ("k" * 30 + name for name in ("-read", "-write", "-admin"))
OTHER_KEY = "o" * 40
KEYS = (f"reader:read={READ_KEY}", f"writer:write={WRITE_KEY}", f"admin:admin={ADMIN_KEY}", f"other:admin={OTHER_KEY}")

CANARY = "canary-5f1c9d-must-never-be-seen"
SLOW = {"rate_limit": 20.0, "batch_size": 1}
"""Run options under which a migration of `MANY` records does not end before the test does."""
MANY = 2000


@dataclass(frozen=True, slots=True)
class World:
    """Two connections, `here` with the collection `docs` and `there`, both open for docs*; `dead` cannot be reached."""

    folder: Path
    engine: str = "memory"
    name: str = field(default_factory=lambda: uuid4().hex[:8])

    def url(self, side: str) -> str:
        if self.engine == "memory":
            return f"memory://{self.name}-{side}"
        return str(self.folder / f"{side}.db") if self.engine == "milvus" else str(self.folder / side)

    def write(self, target_engine: str | None = None) -> None:
        """The connections file."""
        target = World(self.folder, target_engine or self.engine, self.name)
        (self.folder / "vectormigrate.toml").write_text(
            f"""
            [settings]
            state = "state.db"
            [connections.here]
            type = "{self.engine}"
            url = "{self.url("here")}"
            collection = "docs"
            collections = ["docs*"]
            [connections.there]
            type = "{target.engine}"
            url = "{target.url("there")}"
            collections = ["docs*"]
            [connections.closed]
            type = "{self.engine}"
            url = "{self.url("here")}"
            [connections.narrow]
            type = "memory"
            url = "memory://{self.name}-narrow"
            collections = ["docs*"]
            [connections.narrow.options]
            profile = "narrow"
            [connections.dead]
            type = "qdrant"
            url = "http://127.0.0.1:9"
            api_key = "${{CANARY}}"
            collections = ["*"]
            [connections.dead.options]
            grpc_port = 10
            """
        )

    @property
    def config(self) -> Path:
        return self.folder / "vectormigrate.toml"

    @property
    def settings(self) -> Settings:
        return load_settings(config=self.config)

    async def seed(self, records: int = 60, name: str = "docs") -> None:
        """The collection to move: integer ids, one vector, a few fields."""
        spec = registry.load(self.engine)
        async with spec.open(spec.config(url=self.url("here"), collection=name)) as collection:
            vector = VectorField(name="text", kind=VectorKind.DENSE, dim=8, metric=Metric.L2)
            await collection.create(
                CollectionSchema(name=name, id_kinds=spec.capabilities.ids.kinds, vectors=(vector,))
            )
            values = np.random.default_rng(7).normal(size=(records, 8)).astype(np.float32)
            metadata: list[dict[str, Any]] = [{"title": f"t{row}", "deep": {"n": row}} for row in range(records)]
            ids: list[Any] = list(range(records))
            await collection.upsert(RecordBatch("", ids, {"text": DenseColumn(values)}, metadata))
            await collection.finalize()

    async def count(self, name: str = "docs", side: str = "there") -> int:
        """Records that the target holds."""
        spec = registry.load(self.engine)
        async with opened(spec, spec.config(url=self.url(side), collection=name)) as collection:
            return await collection.count()

    def app(self, *, local: bool = True, keys: tuple[str, ...] = (), calls: int = 0, **more: Any) -> App:
        """The server, with an audit log in the folder and no limit of calls."""
        ring = KeyRing([parse_key(text, origin="test") for text in keys])
        accounting = Accounting(
            ring=ring, limiter=Limiter(calls_per_minute=calls), audit=AuditLog(self.folder / "audit.jsonl")
        )
        more.setdefault("unattended", frozenset({"rollback", "overwrite", "cutover", "reverse", "complete"}))
        return build(self.settings, accounting=accounting, local=local, **more)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VECTORMIGRATE_")}
        home = {"HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)}
        return {**kept, **home, "CANARY": CANARY}

    def command(self, *flags: str) -> list[str]:
        return [sys.executable, "-m", "vectormigrate", "serve", "--config", str(self.config), *flags]

    def stdio(self, *flags: str) -> StdioServerParameters:
        program, *arguments = self.command("--calls-per-minute", "0", "--unattended", "rollback", *flags)
        return StdioServerParameters(command=program, args=arguments, env=self.environment, cwd=self.folder)


@asynccontextmanager
async def on_http(world: World, keys: tuple[str, ...] = KEYS, **more: Any) -> AsyncGenerator[tuple[App, str]]:
    """The server on a real socket; itself and its URL."""
    app = world.app(local=False, keys=keys, **more)
    async with listening(http_app(app, HostPolicy.of("127.0.0.1"))) as url:
        yield app, url


@asynccontextmanager
async def client_of(world: World, transport: Transport, era: Era, key: str = ADMIN_KEY) -> AsyncGenerator[Client]:
    """A client on a server of its own."""
    if transport == "memory":
        app = world.app()
        async with app.run(), Client(app.mcp, mode=era) as client:
            yield client
    elif transport == "stdio":
        async with Client(world.stdio(), mode=era) as client:
            yield client
    else:
        async with on_http(world) as (_, url), connected(url, transport, era, key) as client:
            yield client


class Failed(AssertionError):
    """The tool answered with an error."""


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What the tool answers. Raises Failed with its text."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise Failed(" ".join(getattr(block, "text", "") for block in result.content))
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    """The text of the error that the tool must answer with."""
    try:
        found = await call(client, tool, **arguments)
    except Failed as error:
        return str(error)
    raise AssertionError(f"{tool} was not refused: {found}")


async def plan(client: Client, **more: Any) -> dict[str, Any]:
    """A plan from `here` to `there`."""
    ends = {"source": "here", "target": "there", "target_collection": "docs", "migration_id": "docs"}
    return await call(client, "plan_migration", **{**ends, **more})


async def start(client: Client, **more: Any) -> str:
    """Plan and start; the migration's id."""
    planned = await plan(client, **more)
    started = await call(client, "start_migration", plan_id=planned["plan_id"])
    assert started["state"] == "started"
    return started["migration_id"]


async def until(client: Client, migration_id: str, **wanted: object) -> Mapping[str, Any]:
    """The status, as soon as it says this; the timeout of the test is the limit."""
    while True:
        status = await call(client, "migration_status", migration_id=migration_id)
        if all(status[name] == value for name, value in wanted.items()):
            return status
        await anyio.lowlevel.checkpoint()


async def until_moving(client: Client, migration_id: str) -> None:
    """Until the first records are on the target."""
    while True:
        status = await call(client, "migration_status", migration_id=migration_id)
        if status["progress"]["migrated_records"] > 0:
            return
        await anyio.lowlevel.checkpoint()
