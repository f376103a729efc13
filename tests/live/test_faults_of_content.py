"""What a live migration cannot follow is refused before anything is written; what it follows arrives as it was."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import UUID

import anyio
import httpx
import numpy as np
import pytest

from tests.adapters.milvus.native import native
from tests.adapters.milvus.shapes import shape
from tests.capture.live_pair import Live, Wrapped, live
from tests.emulators.weaviate import emulator
from tests.live.faults import fault
from tests.live.playing import QUICK
from tests.validation.support import batch_of, pair, rules_of
from vectormigrate import Endpoint, MigrationRequest
from vectormigrate.adapters.milvus import MilvusConfig
from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.frozen import strict
from vectormigrate.errors import MigrationNotFound, PlanError
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.service import open_service

pytestmark = pytest.mark.anyio


def milvus(folder: Path, stack: ExitStack) -> Endpoint:
    """A collection whose records expire."""
    config = MilvusConfig(url=str(folder / "a.db"), collection="c")

    async def make() -> None:
        async with native(config) as client:
            await client.create("c", shape(), properties=pairs({"collection.ttl.seconds": 60}))
            await client.index("c", index_type="HNSW", metric_type="IP", params='{"M": 9, "efConstruction": 33}')

    anyio.run(make)
    return Endpoint(type="milvus", url=config.url, collection="c")


def weaviate(folder: Path, stack: ExitStack) -> Endpoint:
    """A class whose objects expire."""
    server = stack.enter_context(emulator())
    shape = {
        "class": "Docs",
        "vectorizer": "none",
        "objectTtlConfig": {"enabled": True, "deleteOn": "_creationTimeUnix", "defaultTtl": 60},
        "invertedIndexConfig": {"indexTimestamps": True},
    }
    httpx.post(f"{server.url}/v1/schema", json=shape).raise_for_status()
    one = {"class": "Docs", "id": str(UUID(int=7)), "vector": [1, 2, 3], "properties": {}}
    httpx.post(f"{server.url}/v1/objects", json=one).raise_for_status()
    return Endpoint(type="weaviate", url=server.url, collection="Docs", options={"grpc_port": server.grpc_port})


@pytest.fixture(params=[milvus, weaviate])
def expiring(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Endpoint]:
    make: Callable[[Path, ExitStack], Endpoint] = request.param
    with ExitStack() as stack:
        yield make(tmp_path, stack)


@fault(31)
async def test_a_source_that_deletes_records_by_itself_is_refused_before_anything_is_written(
    expiring: Endpoint, tmp_path: Path
) -> None:
    target = Endpoint(type="memory", url=f"memory://{expiring.type}-copy", collection="copy")
    async with open_service(state=tmp_path / "state.db") as service:
        request = MigrationRequest(id="m", source=expiring, target=target)
        plan = await service.plan(request)
        request = replace(request, accepted_losses=tuple(plan.unaccepted))
        with pytest.raises(PlanError, match="the source deletes records by itself, which no request shows"):
            await service.migrate(request, live=QUICK)
        with pytest.raises(MigrationNotFound):
            await service.status("m")
    assert not (tmp_path / "state.db.live").exists()


ODD: dict[RecordId, Metadata] = {
    1: {},
    "1": {"one": None},
    "": {"empty": "", "list": [], "map": {}},
    "nul\0\0": {"nul": "\0", "\0": 1},
    "🦊é\u0301": {"🦊": "\U0010ffff"},
    2**63 - 1: {"big": 2**63 - 1, "odd": 2**53 + 1},
    -(2**63): {"small": -(2**63)},
    UUID(int=2**128 - 1): {"minus": -0.0, "tiny": 5e-324},
    str(UUID(int=2**128 - 1)): {"float": 1.0, "int": 1, "true": True},
}


def odd(seed: int) -> RecordBatch:
    """Records with odd ids, values and numbers."""
    made = batch_of(list(range(len(ODD))), "a", seed)
    dense = made.vectors["dense"]
    assert isinstance(dense, DenseColumn)
    values = dense.values.copy()
    values[:, :3] = np.array([-0.0, np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max / 2])
    vectors = {**made.vectors, "dense": DenseColumn(values)}
    return replace(made, ids=list(ODD), metadata=list(ODD.values()), vectors=vectors)


async def content(made: Live) -> dict[RecordId, tuple[str, bytes]]:
    """What the target has of the odd records: metadata with its types, and the bytes of a vector."""
    found: dict[RecordId, tuple[str, bytes]] = {}
    for record_id in ODD:
        place, target_id = made.both.mapper.target_key("a", record_id)
        batch = await made.both.target.fetch([target_id], place)
        if len(batch):
            dense = batch.vectors["dense"]
            assert isinstance(dense, DenseColumn)
            own = {name: value for name, value in batch.metadata[0].items() if not name.startswith("_vm")}
            found[record_id] = repr(sorted(own.items())), dense.values.tobytes()
    return found


@fault(39)
@pytest.mark.parametrize("strategy", ["native", "uuid5"])
async def test_odd_ids_and_values_arrive_exactly_and_none_takes_another_s_place(tmp_path: Path, strategy: str) -> None:
    async with pair(rows=5, rules=rules_of(id_strategy=strategy)) as both, live(both, tmp_path) as made:
        batch = odd(3)
        await made.upsert(batch)
        await made.apply()
        assert (made.dirty(), made.touched.parked(10)) == (set(), [])
        dense = batch.vectors["dense"]
        assert isinstance(dense, DenseColumn)
        assert await content(made) == {
            record_id: (repr(sorted(metadata.items())), row.tobytes())
            for (record_id, metadata), row in zip(ODD.items(), dense.values, strict=True)
        }
        assert (await strict(made.sides, made.touched)).passed
        await made.delete(["1", "", "nul\0\0"])
        await made.apply()
        assert (await content(made)).keys() == ODD.keys() - {"1", "", "nul\0\0"}
        assert (await strict(made.sides, made.touched)).passed


@fault(39)
async def test_a_vector_with_something_that_is_no_number_is_refused_by_name_and_the_others_go(tmp_path: Path) -> None:
    async with pair(rows=5) as both, live(both, tmp_path) as made:
        batch = odd(3)
        dense = batch.vectors["dense"]
        assert isinstance(dense, DenseColumn)
        dense.values[0, 0] = np.nan
        dense.values[1, 0] = np.inf
        before = (await content(made))[1]
        made.changes["source"] = Wrapped(both.source, fetch=partial(_given, batch))
        made.end(made.begin(*(Key("a", record_id) for record_id in batch.ids)))
        await made.apply()
        parked = {key.id: reason for key, reason in made.touched.parked(10)}
        held = await content(made)
        assert (parked.keys(), held.keys(), held[1]) == ({1, "1"}, ODD.keys() - {"1"}, before)
        assert all("NaN or infinity" in reason for reason in parked.values()), parked


async def _given(batch: RecordBatch, ids: list[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
    return batch.take([batch.ids.index(record_id) for record_id in ids])
