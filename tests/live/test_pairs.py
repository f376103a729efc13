"""Each database as the source and as the target of a live migration, behind the gateway, there and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.harness.base import Harness, all_harnesses
from tests.live.playing import running
from tests.matrix.moving import endpoint, fill
from tests.support.gateway import require_envoy
from tests.support.gateway_process import GatewayProcess, start
from vectormigrate import Endpoint, MigrationRequest, Status
from vectormigrate.adapters.pinecone.client import API_VERSION
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.engine.retry import RetryPolicy
from vectormigrate.errors import MigrationNotFound
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId, id_key
from vectormigrate.model.live import LiveOptions, LiveStatus
from vectormigrate.model.schema import CollectionSchema
from vectormigrate.service import Service, open_service

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(120)]

CIRCLE = (("qdrant", "weaviate"), ("weaviate", "milvus-server"), ("milvus-server", "pinecone"), ("pinecone", "qdrant"))
NAMES = sorted({name for pair in CIRCLE for name in pair})
EVERY = tuple((source, target) for source in NAMES for target in NAMES)
PAIRS = EVERY if os.environ.get("VECTORMIGRATE_TEST_LONG") else CIRCLE

QUICK = LiveOptions(fenced=True, source_deadline=1.0, target_deadline=1.0)
RECORDS = 60

Records = dict[str, int]
"""The value of each record by its typed id."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, Harness]]:
    require_envoy()
    wanted = {harness.name: harness for harness in all_harnesses() if harness.name in NAMES}
    with ExitStack() as stack:
        for name in NAMES:
            if (reason := wanted[name].unavailable()) is not None:
                pytest.skip(f"{name}: {reason}")
            stack.enter_context(wanted[name].running(tmp_path_factory.mktemp(name)))
        yield wanted


def records(schema: CollectionSchema, ids: list[RecordId], value: int) -> RecordBatch:
    """Records of this schema that hold this value."""
    (vector,) = schema.vectors
    rows = [[(hash(id_key(item)) % 89) / 8 + 1, value % 97 / 8 + 1, *[1] * ((vector.dim or 8) - 2)] for item in ids]
    return RecordBatch("", ids, {vector.name: DenseColumn(np.array(rows, np.float32))}, [{"n": value} for _ in ids])


@dataclass(slots=True)
class Pinecone:
    """A client of the data plane, whose address is all that it needs."""

    url: str
    vector: str
    key: str

    async def upsert(self, batch: RecordBatch) -> None:
        column = batch.vectors[self.vector]
        assert isinstance(column, DenseColumn)
        vectors = [
            {"id": str(item), "values": values.tolist(), "metadata": metadata}
            for item, values, metadata in zip(batch.ids, column.values, batch.metadata, strict=True)
        ]
        await self._post("/vectors/upsert", {"vectors": vectors})

    async def delete(self, ids: list[RecordId]) -> None:
        await self._post("/vectors/delete", {"ids": [str(item) for item in ids]})

    async def _post(self, path: str, body: Any) -> None:
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                self.url + path,
                json=body,
                headers={"Api-Key": self.key, "X-Pinecone-Api-Version": API_VERSION},
                timeout=20,
            )
        assert answer.status_code == 200, answer.text


@dataclass(slots=True)
class Adapter:
    """One of ours, pointed at the gateway."""

    end: Endpoint
    open: list[Any] = field(default_factory=list[Any])

    async def _collection(self) -> Any:
        if not self.open:
            opening = open_endpoint(self.end, RetryPolicy(max_retries=0))
            self.open = [await opening.__aenter__(), opening]
        return self.open[0]

    async def upsert(self, batch: RecordBatch) -> None:
        assert await (await self._collection()).upsert(batch) == []

    async def delete(self, ids: list[RecordId]) -> None:
        await (await self._collection()).delete(ids, "")

    async def close(self) -> None:
        if self.open:
            await self.open[1].__aexit__(None, None, None)


@asynccontextmanager
async def application(end: Endpoint, gateway: GatewayProcess, side: str, vector: str) -> AsyncGenerator[Any]:
    """A client of the side behind the gateway."""
    ports = {port["name"]: port["address"] for port in gateway.event("started")["ports"]}
    mine = {name.removeprefix(f"{side}-"): address for name, address in ports.items() if name.startswith(side)}
    main = f"http://{mine.get('rest') or mine.get('http')}"
    if end.type == "pinecone":
        yield Pinecone(main, vector, os.environ["PINECONE_API_KEY"])
        return
    options = dict(end.options)
    if "grpc" in mine:
        options["grpc_port"] = int(mine["grpc"].rpartition(":")[2])
        options.pop("grpc_url", None)
    client = Adapter(Endpoint(type=end.type, url=main, api_key=end.api_key, collection=end.collection, options=options))
    try:
        yield client
    finally:
        await client.close()


async def held(end: Endpoint) -> Records:
    """What a collection holds, read past the gateway."""
    found: Records = {}
    async with open_endpoint(end, RetryPolicy()) as collection:
        for partition in await collection.partitions(1):
            async for page in collection.scan(partition):
                for item, metadata in zip(page.batch.ids, page.batch.metadata, strict=True):
                    assert id_key(item) not in found
                    found[id_key(item)] = int(str(metadata["n"]).split(".")[0])
    return found


async def until(service: Service, reached: Callable[[LiveStatus], bool], run: asyncio.Future[Any]) -> LiveStatus:
    found = None
    while True:
        assert not run.done(), run.result()
        with contextlib.suppress(MigrationNotFound):
            found = await service.live_status("m")
        if found is not None and reached(found):
            return found
        await asyncio.sleep(0.1)


def new_ids(kind: IdKind, count: int, first: int) -> list[RecordId]:
    """Ids of this kind that are not in use."""
    from uuid import UUID

    if kind is IdKind.STRING:
        return [f"new-{n}" for n in range(first, first + count)]
    if kind is IdKind.UUID:
        return [UUID(int=n) for n in range(first, first + count)]
    return list(range(first, first + count))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
async def test_every_write_arrives_there_and_back(
    engines: dict[str, Harness], tmp_path: Path, pair: tuple[str, str]
) -> None:
    source, target = (engines[name] for name in pair)
    ends = [endpoint(harness, harness.new_name()) for harness in (source, target)]
    kind = source.id_kind()
    schema = source.schema()
    ids = new_ids(kind, RECORDS, 1000)
    await fill(ends[0], schema, [records(schema, ids, 0)])
    state = tmp_path / "state.db"
    gateway = start(state, "m")
    try:
        async with open_service(state=state) as service:
            request = MigrationRequest(id="m", source=ends[0], target=ends[1])
            async with running(service.migrate(request, live=QUICK)) as run:
                await until(service, lambda live: live.phase not in ("preflight", "capturing"), run)
                expected = {id_key(item): 0 for item in ids}
                (vector,) = schema.vectors
                async with application(ends[0], gateway, "source", vector.name) as app:
                    more = new_ids(kind, 10, 5000)
                    await app.upsert(records(schema, [*ids[:5], *more], 1))
                    await app.delete(ids[5:8])
                    expected |= {id_key(item): 1 for item in [*ids[:5], *more]}
                    for item in ids[5:8]:
                        del expected[id_key(item)]
                await until(service, lambda live: live.phase == "ready" and not live.dirty, run)
                plan = await service.stored_plan("m")
                mapper = Mapper(plan.rules)
                there = {id_key(item): mapper.target_key("", item)[1] for item in [*ids, *more]}
                assert await held(ends[0]) == expected
                assert await held(ends[1]) == {id_key(there[key]): value for key, value in expected.items()}
                assert (await service.cut_over("m")).switched

                # The application uses the target's own ids from here on.
                own = [mapper.target_key("", item)[1] for item in new_ids(kind, 3, 7000)]
                if source.adapter == "pinecone":  # whose ids may be the text of any other
                    takes_text = IdKind.STRING in plan.target_schema.id_kinds
                    own = new_ids(IdKind.STRING if takes_text else IdKind.UUID, 3, 7000)
                async with application(ends[1], gateway, "target", plan.target_schema.vectors[0].name) as app:
                    changed = [there[id_key(item)] for item in ids[10:14]]
                    made = [] if "uuid5" in plan.rules.id_strategy and source.adapter != "pinecone" else own
                    await app.upsert(records(plan.target_schema, [*changed, *made], 2))
                    gone = [there[id_key(item)] for item in ids[14:16]]
                    await app.delete(gone)
                expected |= {id_key(item): 2 for item in ids[10:14]}
                for item in ids[14:16]:
                    del expected[id_key(item)]
                await until(service, lambda live: live.phase == "soak" and not live.dirty, run)
                if source.adapter == "pinecone":  # its ids are texts
                    expected |= {id_key(str(item)): 2 for item in own}
                elif "uuid5" not in plan.rules.id_strategy:
                    expected |= {id_key(item): 2 for item in new_ids(kind, 3, 7000)}
                assert (await service.reverse("m")).switched
                assert await held(ends[0]) == expected
                await until(service, lambda live: live.phase == "ready" and not live.dirty, run)
                await service.abort("m")
                status = await asyncio.wait_for(run, 30)
                assert status.status is Status.STOPPED
    finally:
        if gateway.process.poll() is None:
            gateway.end()
        for end in ends:
            async with open_endpoint(end) as collection:
                await collection.drop()
