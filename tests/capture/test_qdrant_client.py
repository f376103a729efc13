"""Every call of qdrant-client changes only what its requests were said to touch, over REST and over gRPC.

The traffic is made anew in each run, so it is always that of the client that is installed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest

from tests.capture.following import Following, ids, named_exactly, scoped
from tests.emulators.qdrant import emulator
from tests.support.recording import Recording, recorded_grpc, recorded_rest
from vectormigrate.adapter.operations import Chosen, CollectionFacts, Effect
from vectormigrate.config.settings import Endpoint

qdrant: Any = pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")
models: Any = qdrant.models

U = "5d1f0c22-92aa-4d6b-8a3e-1f3b1a5e7a10"
BY_YEAR = models.Filter(must=[models.FieldCondition(key="year", match=models.MatchValue(value=1))])


def vector(seed: int) -> list[float]:
    return [0.25 * seed, 1.5, -0.125, 0.0625]


def point(record_id: Any, seed: int, **payload: Any) -> Any:
    return models.PointStruct(id=record_id, vector={"v": vector(seed)}, payload=payload)


class World:
    def __init__(self, client: Any, following: Following) -> None:
        self.client = client
        self.following = following

    def step(self, act: Callable[[Any], object]) -> Any:
        return self.following.step(lambda: act(self.client))


@pytest.fixture(scope="module", params=["rest", "grpc"])
def world(request: pytest.FixtureRequest) -> Generator[World, None, None]:
    recording = Recording()
    with ExitStack() as stack:
        server = stack.enter_context(emulator())
        url = stack.enter_context(recorded_rest(server.url, recording))
        address = stack.enter_context(recorded_grpc(f"127.0.0.1:{server.grpc_port}", recording))
        client = qdrant.QdrantClient(
            url=url,
            grpc_port=int(address.rpartition(":")[2]),
            prefer_grpc=request.param == "grpc",
            check_compatibility=False,
            timeout=30,
        )
        stack.callback(client.close)
        direct = qdrant.QdrantClient(url=server.url, check_compatibility=False)
        stack.callback(direct.close)
        direct.create_collection("c", vectors_config={"v": models.VectorParams(size=4, distance="Dot")})
        endpoint = Endpoint(type="qdrant", url=server.url, collection="c")
        following = Following(
            name="qdrant",
            recording=recording,
            endpoint=endpoint,
            address="c",
            facts={"c": CollectionFacts()},
            server=(server.url, f"127.0.0.1:{server.grpc_port}"),
        )
        yield World(client, following)


@pytest.fixture
def filled(world: World) -> World:
    """With five points and nothing else."""
    held = [record_id for _, record_id in world.following.records()]
    if held:
        world.client.delete("c", [int(item) if item.isdigit() else item for item in held], wait=True)
    points = [point(item, seed, year=seed % 2) for seed, item in enumerate((1, 2, 3, 2**63 + 1, U))]
    found = world.step(lambda client: client.upsert("c", points, wait=True))
    assert named_exactly(found) == {"1", "2", "3", str(2**63 + 1), U}
    return world


def test_upserts_in_each_of_their_forms(filled: World) -> None:
    step = filled.step
    columns = models.Batch(ids=[1, 9], vectors={"v": [vector(7), vector(8)]}, payloads=[{"a": 1}, {}])
    assert named_exactly(step(lambda client: client.upsert("c", columns, wait=True))) == {"1", "9"}
    uploaded = [point(seed + 20, seed) for seed in range(7)]
    found = step(lambda client: client.upload_points("c", uploaded, batch_size=3, wait=True))
    assert named_exactly(found) == {str(seed + 20) for seed in range(7)}
    assert len(found[0]) == 3
    made = step(lambda client: client.upload_collection("c", [{"v": vector(1)}, {"v": vector(2)}], wait=True))
    assert all(UUID(item) for item in named_exactly(made))


def test_changes_of_vectors_and_payloads(filled: World) -> None:
    step = filled.step
    moved = [models.PointVectors(id=U, vector={"v": vector(9)})]
    assert named_exactly(step(lambda client: client.update_vectors("c", moved, wait=True))) == {U}
    assert named_exactly(step(lambda client: client.set_payload("c", {"a": {"b": 1}}, [1, 2], wait=True))) == {"1", "2"}
    assert named_exactly(step(lambda client: client.overwrite_payload("c", {"z": 1}, [3], wait=True))) == {"3"}
    assert named_exactly(step(lambda client: client.clear_payload("c", [3], wait=True))) == {"3"}
    assert scoped(step(lambda client: client.set_payload("c", {"n": 2}, BY_YEAR, wait=True))) is Chosen.FILTER
    assert scoped(step(lambda client: client.clear_payload("c", BY_YEAR, wait=True))) is Chosen.FILTER


def test_deletes_by_id_and_by_filter(filled: World) -> None:
    step = filled.step
    assert named_exactly(step(lambda client: client.delete("c", [U, 2**63 + 1], wait=True))) == {U, str(2**63 + 1)}
    by_filter = models.FilterSelector(filter=BY_YEAR)
    assert scoped(step(lambda client: client.delete("c", by_filter, wait=True))) is Chosen.FILTER


def test_removals_of_parts(filled: World) -> None:
    step = filled.step
    assert named_exactly(step(lambda client: client.delete_payload("c", ["year"], [1], wait=True))) == {"1"}
    assert named_exactly(step(lambda client: client.delete_vectors("c", ["v"], [2], wait=True))) == {"2"}
    assert scoped(step(lambda client: client.delete_vectors("c", ["v"], BY_YEAR, wait=True))) is Chosen.FILTER
    assert scoped(step(lambda client: client.delete_payload("c", ["year"], BY_YEAR, wait=True))) is Chosen.FILTER


def test_a_batch_touches_what_its_operations_touch(filled: World) -> None:
    batch = [
        models.UpsertOperation(upsert=models.PointsList(points=[point(1, 5)])),
        models.SetPayloadOperation(set_payload=models.SetPayload(payload={"q": 1}, points=[2])),
        models.DeleteOperation(delete=models.PointIdsList(points=[3])),
    ]
    # Over gRPC the emulator refuses it, so only what was said counts there.
    touches, changed = filled.step(tolerated(lambda client: client.batch_update_points("c", batch, wait=True)))
    assert ids(touches) == {"1", "2", "3"}
    assert {record_id for _, record_id in changed} in ({"1", "2", "3"}, set())
    assert [touch for touch in touches if touch.scopes] == []


def tolerated(act: Callable[[Any], object]) -> Callable[[Any], None]:
    """The gRPC front of the emulator does not answer every method."""

    def tried(client: Any) -> None:
        try:
            act(client)
        except Exception as error:
            if "UNIMPLEMENTED" not in str(error):
                raise

    return tried


def test_reads_are_reads(filled: World) -> None:
    def act(client: Any) -> None:
        client.retrieve("c", [1, U])
        client.scroll("c", limit=2)
        client.count("c")
        client.query_points("c", vector(1), using="v")
        client.query_batch_points("c", [models.QueryRequest(query=vector(1), using="v")])
        client.get_collection("c")
        client.get_collections()
        client.collection_exists("c")

    assert filled.step(act) == ([], set())


def test_changes_of_the_schema_are_said_by_name(filled: World) -> None:
    def act(client: Any) -> None:
        tolerated(lambda client: client.create_payload_index("c", "year", "integer"))(client)
        tolerated(lambda client: client.create_collection("d", vectors_config={}))(client)
        tolerated(lambda client: client.delete_collection("d"))(client)

    touches, changed = filled.step(act)
    assert changed == set()
    assert [touch.effect for touch in touches] == [Effect.SCHEMA, Effect.WHOLE]
    assert {scope.collection for touch in touches for scope in touch.scopes} == {"d"}
