"""How often a migration asks its servers: per namespace and per batch, by the emulators' own counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import pytest
from pydantic import SecretStr

from tests.emulators import pinecone, qdrant, weaviate
from tests.support.calls import since_last
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Status, open_service
from vectormigrate.adapters.weaviate import session
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

DIM = 4
MANY = 24
SCHEMA_CALLS = {"weaviate": ("GET /schema",), "pinecone": ("describe",), "qdrant": ("info", "cluster")}


@dataclass(frozen=True, slots=True)
class Server:
    """An emulator: its end without a collection, and what was asked of it since the last call of `calls`."""

    end: Endpoint
    calls: Callable[[], Counter[str]]


@pytest.fixture(scope="module")
def servers() -> Generator[dict[str, list[Server]]]:
    """Two of each, so that what the source is asked is not counted for the target."""
    with ExitStack() as stack:
        found: dict[str, list[Server]] = {"weaviate": [], "pinecone": [], "qdrant": []}
        for _ in range(2):
            weave = stack.enter_context(weaviate.emulator())
            end = Endpoint(type="weaviate", url=weave.url, collection="", options={"grpc_url": weave.grpc})
            found["weaviate"].append(Server(end, weave.calls))
            pine = stack.enter_context(pinecone.running())
            end = Endpoint(type="pinecone", url=pine.url, api_key=SecretStr(pine.api_key), collection="")
            found["pinecone"].append(Server(end, pine.counts))
            quad = stack.enter_context(qdrant.emulator())
            end = Endpoint(type="qdrant", url=quad.url, collection="", options={"grpc_port": quad.grpc_port})
            found["qdrant"].append(Server(end, since_last(quad)))
        yield found


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Service]:
    monkeypatch.setattr(session, "FRESH_SECONDS", 3600.0)
    async with open_service(state=tmp_path / "state.db") as service:
        yield service


async def fill(end: Endpoint, namespaces: list[str], records: int) -> None:
    """A new collection with so many records in each of these namespaces."""
    async with open_endpoint(end) as source:
        await source.drop()
        caps = source.capabilities
        kind = next(kind for kind in (IdKind.STRING, IdKind.UUID) if kind in caps.ids.kinds)
        name = caps.vectors.fixed_names.get(VectorKind.DENSE, "v")
        field = MetadataField(name="year", type=FieldType.INT64, declared=True)
        await source.create(
            CollectionSchema(
                name=end.collection,
                id_kinds=frozenset({kind}),
                vectors=(VectorField(name=name, kind=VectorKind.DENSE, dim=DIM, metric=Metric.COSINE),),
                fields=() if caps.metadata.dynamic else (field,),
                dynamic=caps.metadata.dynamic,
                divided=namespaces != [""],
            )
        )
        await source.make_namespaces(namespaces)
        for place in namespaces:
            ids: list[RecordId] = [f"{place}-{n}" for n in range(records)]
            if kind is IdKind.UUID:
                ids = [uuid5(NAMESPACE_OID, str(item)) for item in ids]
            metadata: list[Metadata] = [{"year": 1900 + n} for n in range(records)]
            values = np.ones((records, DIM), np.float32)
            assert await source.upsert(RecordBatch(place, ids, {name: DenseColumn(values)}, metadata)) == []
        await source.finalize()


async def calls_of(
    service: Service, pair: tuple[Server, Server], namespaces: list[str], records: int, *, only_plan: bool
) -> list[Counter[str]]:
    """What a plan, or a whole migration, asks of source and target."""
    ends = [replace(server.end, collection=f"{side}{records}") for server, side in zip(pair, "ST", strict=True)]
    ends = [replace(end, collection=end.collection.lower()) if end.type == "pinecone" else end for end in ends]
    await fill(ends[0], namespaces, records)
    async with open_endpoint(ends[1]) as target:
        await target.drop()
    request = MigrationRequest(id=f"m{records}", source=ends[0], target=ends[1])
    request = replace(request, accepted_losses=tuple((await service.plan(request)).unaccepted))
    for server in pair:
        server.calls()
    if only_plan:
        await service.plan(request)
    else:
        found = await service.migrate(request, RunOptions(batch_size=10))
        assert found.status is Status.COMPLETED
        assert found.migrated_records == len(namespaces) * records
    return [server.calls() for server in pair]


PAIRS = [("weaviate", "weaviate"), ("pinecone", "weaviate"), ("weaviate", "pinecone"), ("qdrant", "weaviate")]


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_a_namespace_costs_few_calls(
    service: Service, servers: dict[str, list[Server]], source: str, target: str
) -> None:
    pair = (servers[source][0], servers[target][1])
    namespaces = [f"tenant-{number:02}" for number in range(MANY)]
    asked, _ = await calls_of(service, pair, namespaces, 1, only_plan=True)
    # Count it, read a page, see that there is no more.
    assert asked.total() <= 3 * MANY + 30, asked
    read, written = await calls_of(service, pair, namespaces, 2, only_plan=False)
    # The same for the plan and for the copy, and the count at the end.
    assert read.total() <= 6 * MANY + 60, read
    # Write it, show that it is readable, count it; and a look at some of the records.
    assert written.total() <= 3 * MANY + MANY // 2 + 30, written


@pytest.mark.parametrize(
    ("source", "target"), [("weaviate", "qdrant"), ("qdrant", "pinecone"), ("pinecone", "weaviate")]
)
async def test_a_schema_is_asked_for_as_often_for_many_batches_as_for_few(
    service: Service, servers: dict[str, list[Server]], source: str, target: str
) -> None:
    pair = (servers[source][0], servers[target][1])
    few = await calls_of(service, pair, [""], 50, only_plan=False)
    many = await calls_of(service, pair, [""], 450, only_plan=False)
    for name, before, after in zip((source, target), few, many, strict=True):
        for call in SCHEMA_CALLS[name]:
            assert 0 < after[call] <= before[call] + 4, (call, before, after)
