"""Every call of pymilvus, and of REST, changes on a real Milvus only what its requests were said to touch; made anew
in each run."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from tests.capture import tables
from tests.capture.following import Following, ids, named_exactly, scoped
from tests.harness.milvus_server import standalone
from tests.natively.milvus import QUIET
from tests.support.recording import Recording, recorded_grpc, recorded_rest
from vectormigrate.adapter.operations import Chosen, CollectionFacts, Division, Effect
from vectormigrate.adapters.milvus import SPEC, MilvusConfig
from vectormigrate.config.settings import Endpoint

pymilvus: Any = pytest.importorskip("pymilvus")
pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

URL = os.environ.get("VECTORMIGRATE_TEST_MILVUS_URL")
INT, TEXT = pymilvus.DataType.INT64, pymilvus.DataType.VARCHAR


class World:
    def __init__(self, server: str, client: Any, rest: str, recording: Recording) -> None:
        self.client = client
        self.rest = rest
        self._server = server
        self._recording = recording

    def made(self, name: str, kind: Any, **more: Any) -> Following:
        """A new collection with two partitions, and what the adapter knows of it."""
        schema = pymilvus.MilvusClient.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("key", kind, is_primary=True, max_length=64, **more)
        schema.add_field("v", pymilvus.DataType.FLOAT_VECTOR, dim=4)
        index = pymilvus.MilvusClient.prepare_index_params()
        index.add_index("v", index_type="FLAT", metric_type="L2")
        self.client.create_collection(name, schema=schema, index_params=index)
        self.client.create_partition(name, "p")
        self._recording.taken()
        facts = anyio.run(self._facts, name)
        endpoint = Endpoint(type="milvus", url=self._server, collection=name)
        server = ("", self._server)
        return Following(
            name="milvus",
            recording=self._recording,
            endpoint=endpoint,
            address=name,
            facts={name: facts},
            server=server,
        )

    async def _facts(self, name: str) -> CollectionFacts:
        config = MilvusConfig(url=self._server, collection=name)
        async with SPEC.open(config) as collection:
            return tables.operations("milvus").facts(await collection.describe(), config)

    def post(self, path: str, body: Any) -> Any:
        answer = httpx.post(f"{self.rest}{path}", json=body, timeout=30)
        answer.raise_for_status()
        assert answer.json()["code"] == 200, answer.text
        return answer.json()["data"]


@pytest.fixture(scope="module")
def world() -> Generator[World, None, None]:
    recording = Recording()
    with ExitStack() as stack:
        server = URL or stack.enter_context(standalone())
        place = urlsplit(server)
        address = stack.enter_context(recorded_grpc(f"{place.hostname}:{place.port}", recording))
        rest = stack.enter_context(recorded_rest(server, recording))
        client = pymilvus.MilvusClient(f"http://{address}", grpc_options=QUIET)
        stack.callback(client.close)
        yield World(server, client, rest, recording)


def row(key: Any, seed: int, **fields: Any) -> dict[str, Any]:
    return {"key": key, "v": [seed, 0.5, 0.25, 1.0], **fields}


def test_numbers_in_partitions(world: World) -> None:
    numbers, client = world.made("numbers", INT), world.client
    assert numbers.facts["numbers"] == CollectionFacts(id_field="key", divided_by=Division.REQUEST)

    def step(act: Callable[[], object]) -> Any:
        return numbers.step(act)

    rows = [row(key, n, year=n % 2) for n, key in enumerate((1, -2, 3, 2**62 + 1))]
    assert named_exactly(step(lambda: client.insert("numbers", rows))) == {"1", "-2", "3", str(2**62 + 1)}
    found = step(lambda: client.insert("numbers", [row(1, 9), row(8, 9)], partition_name="p"))
    assert named_exactly(found) == {"1", "8"}
    assert named_exactly(step(lambda: client.upsert("numbers", [row(3, 7), row(5, 5)]))) == {"3", "5"}
    assert named_exactly(step(lambda: client.delete("numbers", ids=[8], partition_name="p"))) == {"8"}
    touches, changed = step(lambda: client.delete("numbers", ids=[1, -2]))
    assert ids(touches) == {"1", "-2"}
    assert changed == {("", "1"), ("p", "1"), ("", "-2")}, "without a partition, in all of them"
    assert scoped(step(lambda: client.delete("numbers", filter="key > 3"))) is Chosen.FILTER


def test_texts_with_quotes(world: World) -> None:
    texts, client = world.made("texts", TEXT), world.client
    keys = ["a", "it's", "ü", "b c", 'say "x"']
    rows = [row(key, n) for n, key in enumerate(keys)]
    assert named_exactly(texts.step(lambda: client.upsert("texts", rows))) == set(keys)
    for some in (["a", "ü"], ['say "x"'], ["b c"]):  # the client does not escape the other one
        touches, changed = texts.step(lambda some=some: client.delete("texts", ids=some))
        assert {key for _, key in changed} == set(some)
        assert ids(touches) in (set(some), set())


def test_ids_that_the_server_makes(world: World) -> None:
    made, client = world.made("made", INT, auto_id=True), world.client
    rows = [{"v": [n, 1, 1, 1]} for n in range(3)]
    touches, changed = made.step(lambda: client.insert("made", rows))
    assert {key for _, key in changed} == ids(touches)
    assert len(changed) == 3
    assert {scope.chosen for touch in touches for scope in touch.scopes} == {Chosen.ASSIGNED}
    touches, changed = made.step(lambda: world.post("/v1/vector/insert", {"collectionName": "made", "data": rows[:2]}))
    assert {key for _, key in changed} == ids(touches)
    assert len(changed) == 2


def test_rest_of_the_first_version(world: World) -> None:
    first = world.made("first", INT)

    def insert() -> None:
        world.post("/v1/vector/insert", {"collectionName": "first", "data": [row(1, 1), row(2, 2)]})

    def remove() -> None:
        world.post("/v1/vector/delete", {"collectionName": "first", "id": [1]})

    def look() -> None:
        world.post("/v1/vector/query", {"collectionName": "first", "filter": "key > 0"})
        world.post("/v1/vector/search", {"collectionName": "first", "vector": [1, 1, 1, 1]})
        httpx.get(f"{world.rest}/v1/vector/collections").raise_for_status()

    assert named_exactly(first.step(insert)) == {"1", "2"}
    assert named_exactly(first.step(remove)) == {"1"}
    assert first.step(look) == ([], set())


def test_reads_and_what_changes_no_record(world: World) -> None:
    calm, client = world.made("calm", INT), world.client
    calm.step(lambda: client.insert("calm", [row(1, 1)]))

    def act() -> None:
        client.search("calm", [[1.0, 1.0, 1.0, 1.0]], limit=1)
        client.query("calm", filter="key > 0")
        client.get("calm", ids=[1])
        client.describe_collection("calm")
        client.has_collection("calm")
        client.list_collections()
        client.list_partitions("calm")
        client.get_collection_stats("calm")
        client.flush("calm")
        client.load_collection("calm")
        client.get_load_state("calm")

    assert calm.step(act) == ([], set())


def test_changes_of_the_schema_are_said_by_name(world: World) -> None:
    gone, client = world.made("gone", INT), world.client
    gone.step(lambda: client.insert("gone", [row(1, 1)], partition_name="p"))

    def part() -> None:
        client.release_partitions("gone", ["p"])
        client.drop_partition("gone", "p")

    touches, changed = gone.step(part)
    assert changed == {("p", "1")}
    assert [touch.effect for touch in touches] == [Effect.WHOLE]
    touches, _ = gone.step(lambda: client.drop_collection("gone"), read=False)
    assert [(touch.effect, touch.scopes[0].collection) for touch in touches] == [(Effect.WHOLE, "gone")]
    touches, _ = gone.step(lambda: world.made("gone", INT), read=False)
    assert all(touch.effect is Effect.SCHEMA for touch in touches)
