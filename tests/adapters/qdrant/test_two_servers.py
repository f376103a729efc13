"""REST of one server and gRPC of its neighbour: nothing is written to the neighbour, nothing is read from it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import pytest
from pydantic import ValidationError

from tests.adapters.qdrant.support import SCHEMA, call, config, everything, new_name, records
from tests.emulators.qdrant import Emulator, emulator
from tests.support.connected import connected
from vectormigrate.adapter import Target
from vectormigrate.adapters.qdrant import SPEC, QdrantConfig
from vectormigrate.errors import TerminalError

pytestmark = pytest.mark.anyio

TWO = "another server than REST"


@pytest.fixture(scope="module", params=["1.19.0", "1.15.4"])
def version(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def near(version: str) -> Generator[Emulator, None, None]:
    with emulator(version=version) as running:
        yield running


@pytest.fixture(scope="module")
def far(version: str) -> Generator[Emulator, None, None]:
    with emulator(version=version) as running:
        yield running


@pytest.fixture(scope="module")
def copied() -> Generator[tuple[Emulator, Emulator], None, None]:
    """A server and another one on a copy of its disk."""
    with emulator(peer=7) as one, emulator(peer=7) as other:
        yield one, other


def crossed(near: Emulator, far: Emulator, name: str, **options: object) -> QdrantConfig:
    return config(near, name, grpc_port=far.grpc_port, **options)


async def opened(settings: QdrantConfig) -> None:
    async with connected(SPEC, settings):
        pass


@asynccontextmanager
async def filled(server: Emulator, name: str, ids: list[int]) -> AsyncGenerator[Target, None]:
    async with connected(SPEC, config(server, name)) as target:
        await target.create(SCHEMA)
        try:
            await target.upsert(records(ids))
            yield target
        finally:
            await target.drop()


async def test_a_new_collection_is_refused_and_leaves_nothing_on_either_server(near: Emulator, far: Emulator) -> None:
    name = new_name()
    async with connected(SPEC, crossed(near, far, name)) as target:
        with pytest.raises(TerminalError, match=TWO) as caught:
            await target.create(SCHEMA)
    assert "grpc_port" in str(caught.value)
    for server in (near, far):
        assert name not in [item["name"] for item in call(server, "GET", "collections")["collections"]]


async def test_two_servers_that_hold_something_are_told_apart_when_the_collection_that_is_to_be_made_is_opened(
    near: Emulator, far: Emulator
) -> None:
    other, name = new_name(), new_name()
    async with filled(near, other, [1]), filled(far, other, [1]):
        with pytest.raises(TerminalError, match=TWO):
            await opened(crossed(near, far, name))


async def test_a_collection_of_the_same_name_on_the_neighbour_is_not_read(near: Emulator, far: Emulator) -> None:
    name = new_name()
    async with filled(near, name, [1, 2]), filled(far, name, [1, 2]):
        with pytest.raises(TerminalError, match=TWO):
            await opened(crossed(near, far, name))


async def test_a_collection_that_only_the_rest_side_has_is_refused(near: Emulator, far: Emulator) -> None:
    name = new_name()
    async with filled(near, name, [1]):
        with pytest.raises(TerminalError, match="has no collection"):
            await opened(crossed(near, far, name))


async def test_a_collection_made_by_others_after_opening_is_looked_at_before_it_is_written(
    near: Emulator, far: Emulator
) -> None:
    name = new_name()
    async with (
        connected(SPEC, crossed(near, far, name)) as target,
        filled(near, name, []),
        filled(far, name, []) as there,
    ):
        with pytest.raises(TerminalError, match=TWO) as caught:
            await target.upsert(records([5]))
        assert type(caught.value) is TerminalError, "else the engine would ask again for every record of the batch"
        assert await there.count() == 0


async def test_a_copied_disk_is_told_apart_by_what_was_made_since(copied: tuple[Emulator, Emulator]) -> None:
    near, far = copied
    name = new_name()
    async with filled(near, name, [1]) as ours, filled(far, name, [1]):
        await ours.set_note({"migration": "m1"})
        with pytest.raises(TerminalError, match=TWO):
            await opened(crossed(near, far, name))


async def test_one_server_is_known_as_one_and_read_over_grpc(near: Emulator) -> None:
    name = new_name()
    async with filled(near, name, [1, 2, 3]) as target:
        assert "gRPC" in await target.server()
        assert len(await everything(target)) == 3


async def test_without_the_right_to_ask_records_go_over_rest(near: Emulator, far: Emulator) -> None:
    name = new_name()
    async with filled(near, name, [1, 2]), filled(far, name, [3]):
        near.fault("cluster", status=403, times=1)
        async with connected(SPEC, crossed(near, far, name)) as target:
            assert "REST" in await target.server()
            assert {key for _, key in await everything(target)} == {1, 2}


def test_a_grpc_port_is_only_assumed_beside_the_default_rest_port() -> None:
    assert QdrantConfig(url="http://db", collection="c").grpc_address() == "db:6334"
    with pytest.raises(ValidationError, match=r"grpc_port=7334"):
        QdrantConfig(url="http://db:7333", collection="c")
    assert QdrantConfig(url="http://db:7333", collection="c", grpc_port=9).grpc_address() == "db:9"
    assert QdrantConfig(url="http://db:7333", collection="c", prefer_grpc=False).base() == "http://db:7333"


async def test_a_neighbours_collection_that_goes_while_it_is_compared_stops_nobody(near: Emulator) -> None:
    async with filled(near, "aaa", [1]):
        near.fault("cluster", status=404, text="Not found: Collection `aaa` doesn't exist!")
        async with filled(near, new_name(), [1, 2]) as target:
            assert await target.count() == 2
