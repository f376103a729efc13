"""Two records never become one: whatever the way, the target holds as many as the source, or a plan refuses by name."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.harness.base import Harness, all_harnesses
from tests.matrix.moving import copy, endpoint
from vectormigrate import Endpoint, open_service
from vectormigrate.engine.connect import open_endpoint

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, Harness]]:
    wanted = {harness.name: harness for harness in all_harnesses()}
    with ExitStack() as stack:
        for name in ("qdrant", "weaviate"):
            if wanted[name].unavailable() is not None:
                pytest.skip(f"{name} cannot run here")
            stack.enter_context(wanted[name].running(tmp_path_factory.mktemp(name)))
        yield wanted


def sharded(url: str, name: str) -> None:
    """A collection made by an application, in which each of 20 ids stands under two shard keys."""
    place = f"{url}/collections/{name}"
    body = {"vectors": {"size": 4, "distance": "Dot"}, "sharding_method": "custom"}
    httpx.put(place, json=body).raise_for_status()
    for key in ("eu", "us"):
        httpx.put(f"{place}/shards", json={"shard_key": key}).raise_for_status()
        points = [{"id": n, "vector": [1, 2, 3, n], "payload": {"of": key}} for n in range(1, 21)]
        httpx.put(f"{place}/points?wait=true", json={"points": points, "shard_key": key}).raise_for_status()


async def found(end: Endpoint) -> int:
    async with open_endpoint(end) as collection:
        return await collection.count()


@pytest.mark.parametrize("options", [{}, {"divide_by": "shard_key"}], ids=["default", "sharded"])
async def test_ids_of_two_shard_keys_come_home_as_two_records(
    engines: dict[str, Harness], options: dict[str, str], tmp_path: Path
) -> None:
    qdrant, weaviate = engines["qdrant"], engines["weaviate"]
    ends = [endpoint(harness, harness.new_name()) for harness in (qdrant, weaviate, qdrant)]
    ends[2] = replace(ends[2], options={**ends[2].options, **options})
    sharded(ends[0].url, ends[0].collection)
    async with open_service(state=tmp_path / "state.db") as service:
        await copy(service, "there", ends[0], ends[1])
        plan = await copy(service, "back", ends[1], ends[2])
        assert await found(ends[2]) == 40
    derived = {loss.name for loss in plan.losses} & {"id-original"}
    assert derived == (set() if options else {"id-original"})
