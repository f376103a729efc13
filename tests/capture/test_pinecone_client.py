"""Every call of Pinecone's SDK changes only what its requests were said to touch; made anew in each run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

import pytest
from pydantic import SecretStr

from tests.capture.following import Following, Place, named_exactly, scoped
from tests.capture.requests import grpc, said
from tests.emulators import pinecone as emulator
from tests.support.recording import Recording, answered_grpc, recorded_rest
from vectormigrate.adapter.operations import Chosen, Effect
from vectormigrate.capture.classify import Touch
from vectormigrate.config.settings import Endpoint

sdk: Any = pytest.importorskip("pinecone")

VECTORS = {"_values": {"type": "dense_vector", "dimension": 3, "metric": "dotproduct"}}
DOCUMENTS = {"body": {"type": "dense_vector", "dimension": 3, "metric": "cosine"}}


class World:
    def __init__(self, index: Any, following: Following, release: Callable[[], None]) -> None:
        self.index = index
        self.following = following
        self._release = release

    def step(self, act: Callable[[Any], object]) -> tuple[list[Touch], set[Place]]:
        """Everything that was written is indexed before and after."""

        def settled() -> None:
            act(self.index)
            self._release()

        return self.following.step(settled)


@pytest.fixture(scope="module")
def server() -> Generator[emulator.Emulator, None, None]:
    with emulator.running("127.0.0.4") as found:
        yield found


def opened(server: emulator.Emulator, name: str, fields: dict[str, Any]) -> Generator[World, None, None]:
    recording = Recording()
    with ExitStack() as stack:
        client = sdk.Pinecone(api_key=server.api_key, host=server.url)
        stack.callback(client.close)
        client.indexes.create(name=name, schema={"fields": fields}, timeout=10)
        url = stack.enter_context(recorded_rest(client.indexes.describe(name).host, recording))
        index = stack.enter_context(client.index(host=url))
        endpoint = Endpoint(type="pinecone", url=server.url, collection=name, api_key=SecretStr(server.api_key))
        following = Following(name="pinecone", recording=recording, endpoint=endpoint, address=None)
        yield World(index, following, server.release)


@pytest.fixture(scope="module")
def vectors(server: emulator.Emulator) -> Generator[World, None, None]:
    yield from opened(server, "vectors", VECTORS)


@pytest.fixture(scope="module")
def documents(server: emulator.Emulator) -> Generator[World, None, None]:
    yield from opened(server, "documents", DOCUMENTS)


def item(record_id: str, seed: int, **metadata: Any) -> dict[str, Any]:
    return {"id": record_id, "values": [0.5, seed + 0.25, 1.0], **({"metadata": metadata} if metadata else {})}


@pytest.mark.parametrize("namespace", ["", "__default__", "a b/c%2F"])
def test_vectors_are_written_changed_and_removed(vectors: World, namespace: str) -> None:
    step = vectors.step
    items = [item(f"id {n}", n, year=n % 2) for n in range(5)]
    found = step(lambda index: index.upsert(vectors=items, namespace=namespace, batch_size=2, show_progress=False))
    assert named_exactly(found) == {f"id {n}" for n in range(5)}
    assert len(found[0]) == 3
    change = {"id": "id 1", "values": [1.0, 2.0, 3.0], "set_metadata": {"a": "b"}}
    assert named_exactly(step(lambda index: index.update(**change, namespace=namespace))) == {"id 1"}
    by_year = {"year": {"$eq": 0}}
    update = {"filter": by_year, "set_metadata": {"c": 1}}
    assert scoped(step(lambda index: index.update(**update, namespace=namespace))) is Chosen.FILTER
    assert named_exactly(step(lambda index: index.delete(ids=["id 1"], namespace=namespace))) == {"id 1"}
    assert scoped(step(lambda index: index.delete(filter=by_year, namespace=namespace))) is Chosen.FILTER
    assert scoped(step(lambda index: index.delete(delete_all=True, namespace=namespace))) is Chosen.ALL


def test_a_namespace_is_made_and_dropped_as_a_whole(vectors: World) -> None:
    vectors.step(lambda index: index.upsert(vectors=[item("a", 1)], namespace="n", show_progress=False))
    touches, changed = vectors.step(lambda index: index.delete_namespace(name="n"))
    assert changed == {("n", "a")}
    assert [touch.effect for touch in touches] == [Effect.WHOLE]
    touches, _ = vectors.step(lambda index: index.create_namespace(name="m"))
    assert [touch.effect for touch in touches] == [Effect.SCHEMA]


def test_documents_are_written_changed_and_removed(documents: World) -> None:
    step = documents.step
    items = [{"_id": name, "body": [1.0, 2.0, 3.0], "year": n} for n, name in enumerate("abcd")]
    namespace = {"namespace": "a/b c"}
    assert named_exactly(step(lambda index: index.documents.upsert(documents=items, **namespace))) == set("abcd")
    change = [{"_id": "b", "year": 7}]
    assert named_exactly(step(lambda index: index.documents.update(documents=change, **namespace))) == {"b"}
    assert named_exactly(step(lambda index: index.documents.delete(ids=["a"], **namespace))) == {"a"}
    by_year = {"year": {"$eq": 7}}
    assert scoped(step(lambda index: index.documents.delete(filter=by_year, **namespace))) is Chosen.FILTER
    assert scoped(step(lambda index: index.documents.delete(delete_all=True, **namespace))) is Chosen.ALL


def test_its_grpc_client_names_what_it_changes() -> None:
    """There is no server to change here: what counts is what the client puts on the wire."""
    recording = Recording()
    with answered_grpc(recording) as address, sdk.Pinecone(api_key="nobody", grpc_scheme="http") as client:
        index = client.index(host=address, grpc=True)
        index.upsert(vectors=[item("a", 1, year=1), item("b", 2)], namespace="n")
        index.update(id="a", values=[1.0, 2.0, 3.0], namespace="n")
        index.delete(ids=["a", "b"], namespace="n")
        index.delete(filter={"year": {"$eq": 1}}, namespace="n")
        index.delete(delete_all=True)
        index.query(top_k=1, vector=[1.0, 2.0, 3.0], namespace="n")
        index.fetch(ids=["a"], namespace="n")
        index.close()
    found = [grpc("pinecone", exchange.path, exchange.body[0]) for exchange in recording.taken()]
    assert [said(touch) for touch in found] == [
        ["replace */n: 'a' 'b'"],
        ["part */n: 'a'"],
        ["delete */n: 'a' 'b'"],
        ["filter delete */n"],
        ["all delete */"],
        [],
        [],
    ]
    assert [touch.effect for touch in found[5:]] == [Effect.READ, Effect.READ]


def test_reads_are_reads(vectors: World, documents: World) -> None:
    vectors.step(lambda index: index.upsert(vectors=[item("a", 1, year=1)], show_progress=False))
    documents.step(
        lambda index: index.documents.upsert(documents=[{"_id": "a", "body": [1.0, 2.0, 3.0]}], namespace="n")
    )

    def of_vectors(index: Any) -> None:
        index.query(top_k=2, vector=[1.0, 2.0, 3.0])
        index.fetch(ids=["a"])
        index.fetch_by_metadata(filter={"year": {"$eq": 1}})
        list(index.list())
        index.describe_index_stats()
        list(index.list_namespaces())
        index.describe_namespace(name="__default__")

    def of_documents(index: Any) -> None:
        index.documents.fetch(namespace="n", ids=["a"])
        list(index.documents.list(namespace="n"))

    assert vectors.step(of_vectors) == documents.step(of_documents) == ([], set())
