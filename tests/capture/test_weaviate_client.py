"""Every call of weaviate-client changes only what its requests were said to touch; made anew in each run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from tests.capture.following import Following, ids, named_exactly, scoped
from tests.emulators.weaviate import emulator
from tests.support.recording import Recording, recorded_grpc, recorded_rest
from tests.weaviate_client import weaviate, wvc
from vectormigrate.adapter.operations import Chosen, CollectionFacts, Effect
from vectormigrate.config.settings import Endpoint

IDS = [f"5d1f0c22-92aa-4d6b-8a3e-{n:012d}" for n in range(8)]
STREAMS = frozenset({"/weaviate.v1.Weaviate/BatchStream"})


def named(values: list[float]) -> dict[str, list[float]]:
    return {"default": values}


class World:
    def __init__(self, client: Any, rest: str, following: Following, tenant: str) -> None:
        self.client = client
        self.rest = rest
        self.following = following
        self.tenant = tenant

    @property
    def collection(self) -> Any:
        found = self.client.collections.use("Docs")
        return found.with_tenant(self.tenant) if self.tenant else found

    def step(self, act: Callable[[Any], object]) -> Any:
        return self.following.step(lambda: act(self.collection))


@pytest.fixture(scope="module", params=["", "tenant-a"])
def world(request: pytest.FixtureRequest) -> Generator[World, None, None]:
    recording = Recording()
    with ExitStack() as stack:
        server = stack.enter_context(emulator())
        url = stack.enter_context(recorded_rest(server.url, recording))
        address = stack.enter_context(recorded_grpc(server.grpc, recording, STREAMS))
        rest = urlsplit(url)
        client = weaviate.connect_to_custom(
            http_host=rest.hostname or "",
            http_port=rest.port or 80,
            http_secure=False,
            grpc_host="127.0.0.1",
            grpc_port=int(address.rpartition(":")[2]),
            grpc_secure=False,
            skip_init_checks=True,
        )
        stack.callback(client.close)
        properties = [
            wvc.config.Property(name="title", data_type=wvc.config.DataType.TEXT),
            wvc.config.Property(name="year", data_type=wvc.config.DataType.INT),
        ]
        client.collections.create(
            "docs",
            properties=properties,
            vector_config=wvc.config.Configure.Vectors.self_provided(),
            multi_tenancy_config=wvc.config.Configure.multi_tenancy(enabled=bool(request.param)),
        )
        if request.param:
            client.collections.use("Docs").tenants.create([request.param, "tenant-b"])
        # Of its own, because the reader of the tests takes references for properties.
        client.collections.create(
            "Links",
            vector_config=wvc.config.Configure.Vectors.self_provided(),
            references=[wvc.config.ReferenceProperty(name="sees", target_collection="Links")],
        )
        endpoint = Endpoint(
            type="weaviate", url=server.url, collection="Docs", options={"grpc_url": f"http://{server.grpc}"}
        )
        following = Following(
            name="weaviate",
            recording=recording,
            endpoint=endpoint,
            address="Docs",
            facts={"Docs": CollectionFacts()},
            server=(server.url, server.grpc),
        )
        yield World(client, url, following, request.param)


@pytest.fixture
def filled(world: World) -> World:
    """With five objects and nothing else."""
    for _, record_id in world.following.records():
        world.collection.data.delete_by_id(record_id)
    objects = [
        wvc.data.DataObject(properties={"title": f"t{n}", "year": n % 2}, uuid=IDS[n], vector=named([0.5 * n, 1.0]))
        for n in range(5)
    ]
    assert named_exactly(world.step(lambda docs: docs.data.insert_many(objects))) == set(IDS[:5])
    return world


def test_single_objects_over_rest(filled: World) -> None:
    step = filled.step
    assert named_exactly(step(lambda docs: docs.data.insert({"title": "x"}, uuid=IDS[6], vector=named([1, 2])))) == {
        IDS[6]
    }
    assert len(named_exactly(step(lambda docs: docs.data.insert({"title": "x"}, vector=named([1, 2]))))) == 1
    assert named_exactly(step(lambda docs: docs.data.replace(IDS[0], {"title": "y"}, vector=named([3, 4])))) == {IDS[0]}
    assert named_exactly(step(lambda docs: docs.data.update(IDS[1], {"title": "z"}))) == {IDS[1]}
    assert named_exactly(step(lambda docs: docs.data.delete_by_id(IDS[2]))) == {IDS[2]}


def test_batches_over_grpc(filled: World) -> None:
    def fixed(docs: Any) -> None:
        with docs.batch.fixed_size(2) as batch:
            for n in range(3):
                batch.add_object({"title": "b"}, uuid=IDS[n], vector=named([9, n]))

    assert named_exactly(filled.step(fixed)) == set(IDS[:3])


def test_a_stream_of_batches(filled: World) -> None:
    def streamed(docs: Any) -> None:
        with docs.batch.stream() as batch:
            for n in range(2, 7):
                batch.add_object({"title": "s"}, uuid=IDS[n], vector=named([7, n]))

    touches, changed = filled.step(streamed)
    assert {record_id for _, record_id in changed} == set(IDS[2:7]) <= ids(touches)
    assert [touch for touch in touches if touch.scopes] == []
    assert any(touch.stream for touch in touches)


def test_references_change_their_source(world: World) -> None:
    links = world.client.collections.use("Links")

    def touched(act: Callable[[], object]) -> list[tuple[str | None, Any]]:
        touches, _ = world.following.step(act, read=False)
        return [(keys.collection, item) for touch in touches for keys in touch.keys for item in keys.ids]

    first, second = ("Links", UUID(IDS[0])), ("Links", UUID(IDS[1]))
    for item in (first, second):
        assert touched(lambda item=item: links.data.insert({}, uuid=item[1])) == [item]
    assert touched(lambda: links.data.reference_add(IDS[0], "sees", IDS[1])) == [first]
    assert touched(lambda: links.data.reference_replace(IDS[0], "sees", IDS[0])) == [first]
    assert touched(lambda: links.data.reference_delete(IDS[0], "sees", IDS[0])) == [first]
    many = [wvc.data.DataReference(from_property="sees", from_uuid=item, to_uuid=IDS[0]) for item in IDS[:2]]
    assert touched(lambda: links.data.reference_add_many(many)) == [first, second]


def test_deletes_by_filter_and_by_ids_in_a_filter(filled: World) -> None:
    by_id = wvc.query.Filter.by_id()
    assert named_exactly(filled.step(lambda docs: docs.data.delete_many(by_id.contains_any(IDS[:2])))) == set(IDS[:2])
    assert named_exactly(filled.step(lambda docs: docs.data.delete_many(by_id.equal(IDS[2])))) == {IDS[2]}
    by_year = wvc.query.Filter.by_property("year").equal(1)
    assert filled.step(lambda docs: docs.data.delete_many(by_year, dry_run=True)) == ([], set())
    assert scoped(filled.step(lambda docs: docs.data.delete_many(by_year))) is Chosen.FILTER


def test_objects_without_an_id_are_known_by_the_answer(filled: World) -> None:
    body = {"class": "Docs", "properties": {"title": "n"}}
    if filled.tenant:
        body["tenant"] = filled.tenant

    def raw(docs: Any) -> None:
        httpx.post(f"{filled.rest}/v1/objects", json=body).raise_for_status()
        batch = {"objects": [body, {**body, "id": IDS[7]}]}
        httpx.post(f"{filled.rest}/v1/batch/objects", json=batch).raise_for_status()

    touches, changed = filled.step(raw)
    assert {record_id for _, record_id in changed} == ids(touches)
    assert len(changed) == 3
    assert {scope.chosen for touch in touches for scope in touch.scopes} == {Chosen.ASSIGNED}


def test_reads_are_reads(filled: World) -> None:
    def act(docs: Any) -> None:
        docs.query.fetch_objects(limit=2)
        docs.query.near_vector([1.0, 0.5], limit=2)
        docs.query.fetch_object_by_id(IDS[0])
        docs.data.exists(IDS[0])
        docs.aggregate.over_all(total_count=True)
        docs.config.get()
        filled.client.is_ready()
        filled.client.get_meta()
        if filled.tenant:
            docs.tenants.get()

    assert filled.step(act) == ([], set())


def test_changes_of_the_schema_are_said_by_name(filled: World) -> None:
    def act(docs: Any) -> None:
        filled.client.collections.create("other", vector_config=wvc.config.Configure.Vectors.self_provided())
        filled.client.collections.delete("other")

    touches, _ = filled.step(act)
    assert [touch.effect for touch in touches] == [Effect.SCHEMA, Effect.WHOLE]
    assert {scope.collection for touch in touches for scope in touch.scopes} == {"Other"}
