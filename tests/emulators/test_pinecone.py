"""The Pinecone emulator, driven by Pinecone's own SDK alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pinecone import (
    ApiError,
    AsyncPinecone,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    PayloadTooLargeError,
    PineconeConnectionError,
    PineconeTimeoutError,
    RateLimitError,
    RetryConfig,
    SparseValues,
    UnauthorizedError,
)

from tests.emulators.pinecone import Emulator, Fault, running

pytestmark = pytest.mark.anyio

DENSE = {"_values": {"type": "dense_vector", "dimension": 3, "metric": "cosine"}}
HYBRID = {
    "_values": {"type": "dense_vector", "dimension": 3, "metric": "dotproduct"},
    "_sparse_values": {"type": "sparse_vector"},
}
SPARSE = {"_sparse_values": {"type": "sparse_vector"}}
DOCUMENT = {
    "body": {"type": "dense_vector", "dimension": 3, "metric": "euclidean"},
    "words": {"type": "sparse_vector"},
    "title": {"type": "string", "full_text_search": {}},
}


@pytest.fixture(scope="module")
def emulator() -> Generator[Emulator, None, None]:
    with running("127.0.0.3") as found:
        yield found


@asynccontextmanager
async def index(emulator: Emulator, name: str, fields: dict[str, Any]) -> AsyncGenerator[tuple[Any, Any], None]:
    """The control-plane client, which does not retry, and the data plane of a new index."""
    retries = RetryConfig(max_retries=0)
    async with AsyncPinecone(api_key=emulator.api_key, host=emulator.url, retry_config=retries) as pc:
        await pc.indexes.create(name=name, schema={"fields": fields}, timeout=10)
        try:
            async with await pc.index(name=name) as data:
                yield pc, data
        finally:
            if await pc.indexes.exists(name):
                await pc.indexes.delete(name)


async def test_records_of_the_vectors_api_live_and_die(emulator: Emulator) -> None:
    async with index(emulator, "plain", DENSE) as (_, ix):
        first = {
            "id": "b",
            "values": [0.1, 0.2, 0.3],
            "metadata": {"n": 1, "f": 1.5, "t": ["x"], "gone": None, "w": 2.0},
        }
        answer = await ix.upsert(vectors=[first, {"id": "a", "values": [1, 0, 0]}], namespace="")
        assert answer.upserted_count == 2
        assert answer.response_info.lsn_committed == 1
        found = (await ix.fetch(ids=["b", "missing"])).vectors
        assert list(found) == ["b"]
        assert found["b"].metadata == {"n": 1, "f": 1.5, "t": ["x"], "w": 2}
        assert [type(found["b"].metadata[key]) for key in "nfw"] == [int, float, int]
        assert found["b"].values == pytest.approx([0.1, 0.2, 0.3], rel=1e-6)
        await ix.update(id="a", set_metadata={"n": 5})
        await ix.update(id="nobody", set_metadata={"n": 5})
        hits = (await ix.query(top_k=2, vector=[1, 0, 0], include_metadata=True)).matches
        assert (hits[0].id, hits[0].metadata) == ("a", {"n": 5})
        by_filter = await ix.fetch_by_metadata(filter={"n": {"$gte": 2}})
        assert list(by_filter.vectors) == ["a"]
        await ix.delete(ids=["a", "zzz"])
        pages = [page async for page in ix.list()]
        assert [item.id for page in pages for item in page.vectors] == ["b"]
        stats = await ix.describe_index_stats()
        assert stats.namespaces["__default__"].vector_count == 1
        assert stats.dimension == 3


async def test_lists_are_sorted_by_byte_and_paged_by_the_last_id(emulator: Emulator) -> None:
    async with index(emulator, "listed", DENSE) as (_, ix):
        ids = [f"k{number}" for number in range(250)] + ["B", "a", "~"]
        await ix.upsert(vectors=[{"id": item, "values": [1, 2, 3]} for item in ids], namespace="ns a/b+%")
        listed: list[str] = []
        token = None
        while True:
            page = await ix.list_paginated(namespace="ns a/b+%", pagination_token=token)
            listed += [item.id for item in page.vectors]
            if page.pagination is None:
                break
            token = page.pagination.next
            await ix.delete(ids=[listed[0]], namespace="ns a/b+%")
        assert listed == sorted(ids)
        page = await ix.list_paginated(namespace="ns a/b+%", prefix="k1", limit=5)
        assert [item.id for item in page.vectors] == ["k1", "k10", "k100", "k101", "k102"]
        (names,) = [page async for page in ix.list_namespaces()]
        assert [item.name for item in names.namespaces] == ["ns a/b+%"]


async def test_sparse_and_hybrid_records(emulator: Emulator) -> None:
    sparse = {"indices": [2**32 - 1, 7], "values": [0.5, 1.0]}
    async with index(emulator, "thin", SPARSE) as (_, ix):
        await ix.upsert(vectors=[{"id": "a", "values": [], "sparse_values": sparse}])
        found = (await ix.fetch(ids=["a"])).vectors["a"]
        assert found.sparse_values.indices == [2**32 - 1, 7]
        hits = (await ix.query(top_k=5, sparse_vector=SparseValues(indices=[7], values=[2.0]))).matches
        assert [(hit.id, hit.score) for hit in hits] == [("a", 2.0)]
    async with index(emulator, "both", HYBRID) as (_, ix):
        await ix.upsert(vectors=[{"id": "a", "values": [1, 0, 0], "sparse_values": sparse}])
        hits = (await ix.query(top_k=5, vector=[1, 0, 0], sparse_vector=sparse)).matches
        assert [(hit.id, hit.score) for hit in hits] == [("a", 2.25)]
    async with index(emulator, "trap", DENSE | {"_values": HYBRID["_values"]}) as (_, ix):
        with pytest.raises(ApiError, match="does not support sparse"):
            await ix.upsert(vectors=[{"id": "a", "values": [1, 0, 0], "sparse_values": sparse}])


async def test_documents_live_and_die(emulator: Emulator) -> None:
    async with index(emulator, "papers", DOCUMENT) as (_, ix):
        first = {"_id": "b", "body": [1.0, 0.0, 0.0], "title": "Old ships", "year": 1999, "tags": ["x"]}
        second = {"_id": "a", "body": [0.0, 1.0, 0.0], "words": SparseValues(indices=[3], values=[2.0])}
        with pytest.raises(NotFoundError):
            await ix.documents.fetch(namespace="__default__", ids=["a"])
        answer = await ix.documents.upsert(namespace="n", documents=[first, second])
        assert (answer.upserted_count, answer.response_info.lsn_committed) == (2, 1)
        found = (await ix.documents.fetch(namespace="n", ids=["a", "b", "c"])).documents
        assert found["b"].to_dict() == first
        assert found["a"].to_dict() == {"_id": "a", "body": [0.0, 1.0, 0.0], "words": {"indices": [3], "values": [2.0]}}
        listed = [item.id async for item in ix.documents.list(namespace="n")]
        assert listed == ["a", "b"]
        search = {"type": "dense_vector", "field": "body", "values": [1.0, 0.1, 0.0]}
        hits = await ix.documents.search(namespace="n", top_k=1, score_by=[search], include_fields=["year"])
        assert [(hit.id, hit.to_dict()["year"]) for hit in hits.matches] == [("b", 1999)]
        assert hits.response_info.is_reconciled(1)
        await ix.documents.update(namespace="n", documents=[{"_id": "b", "year": 2000, "_remove_fields": ["tags"]}])
        changed = (await ix.documents.fetch(namespace="n", ids=["b"])).documents["b"].to_dict()
        assert (changed["year"], "tags" in changed) == (2000, False)
        await ix.documents.delete(namespace="n", ids=["a"])
        assert [item.id async for item in ix.documents.list(namespace="n")] == ["b"]
        with pytest.raises(ApiError, match="documents API"):
            await ix.upsert(vectors=[{"id": "a", "values": [1, 2, 3]}])


@pytest.mark.parametrize(
    "bad",
    [
        {"id": "", "values": [1, 2, 3]},
        {"id": "x" * 513, "values": [1, 2, 3]},
        {"id": "a", "values": [1, 2]},
        {"id": "a", "values": [0, 0, 0]},
        {"id": "a", "values": [float("nan"), 1, 2]},
        {"id": "a", "values": [1, 2, 3], "metadata": {"$x": 1}},
        {"id": "a", "values": [1, 2, 3], "metadata": {"x": "y" * 41_000}},
    ],
)
async def test_one_bad_record_refuses_the_request(emulator: Emulator, bad: dict[str, Any]) -> None:
    async with index(emulator, "strict", DENSE) as (_, ix):
        with pytest.raises(ApiError) as caught:
            await ix.upsert(vectors=[{"id": "good", "values": [1, 2, 3]}, bad])
        assert caught.value.status_code == 400
        assert (await ix.fetch(ids=["good"])).vectors == {}


async def test_limits_of_a_request(emulator: Emulator) -> None:
    async with index(emulator, "limits", DENSE) as (_, ix):
        with pytest.raises(ApiError, match="1 to 1000"):
            await ix.upsert(vectors=[{"id": str(n), "values": [1, 2, 3]} for n in range(1001)])
        heavy = [{"id": str(n), "values": [1, 2, 3], "metadata": {"t": "x" * 40_000}} for n in range(51)]
        with pytest.raises(PayloadTooLargeError):
            await ix.upsert(vectors=heavy)
        await ix.upsert(vectors=heavy[:49])


async def test_the_control_plane_refuses(emulator: Emulator) -> None:
    async with index(emulator, "kept", DENSE) as (pc, _):
        with pytest.raises(ConflictError):
            await pc.indexes.create(name="kept", schema={"fields": DENSE})
        await pc.indexes.configure("kept", deletion_protection="enabled", tags={"a": "b"})
        with pytest.raises(ForbiddenError, match="Deletion protection"):
            await pc.indexes.delete("kept")
        described = await pc.indexes.configure("kept", deletion_protection="disabled", tags={"a": ""})
        assert described.tags is None
        two = {"one": DOCUMENT["body"], "two": DOCUMENT["body"]}
        with pytest.raises(ApiError, match="at most one dense"):
            await pc.indexes.create(name="two", schema={"fields": two})
        with pytest.raises(NotFoundError):
            await pc.indexes.describe("two")
        async with AsyncPinecone(api_key="wrong", host=emulator.url) as stranger:
            with pytest.raises(UnauthorizedError):
                await stranger.indexes.describe("kept")


async def test_writes_are_seen_when_the_index_has_caught_up(emulator: Emulator) -> None:
    async with index(emulator, "slow", DENSE) as (_, ix):
        emulator.knobs.lag = 2
        try:
            lsn = (await ix.upsert(vectors=[{"id": "a", "values": [1, 2, 3]}])).response_info.lsn_committed
            assert (await ix.fetch(ids=["a"])).vectors == {}
            behind = [await ix.query(top_k=1, vector=[1, 0, 0]) for _ in range(3)]
            assert [item.response_info.is_reconciled(lsn) for item in behind] == [False, False, True]
            assert list((await ix.fetch(ids=["a"])).vectors) == ["a"]
        finally:
            emulator.knobs.lag = 0


async def test_faults_strike(emulator: Emulator) -> None:
    async with index(emulator, "faulty", DENSE) as (pc, ix):
        faults = emulator.knobs.faults
        faults.append(Fault(op="describe", status=429, retry_after="7", message="too many"))
        with pytest.raises(RateLimitError) as caught:
            await pc.indexes.describe("faulty")
        assert caught.value.retry_after == 7
        faults.append(Fault(op="describe", kind="reset"))
        with pytest.raises(PineconeConnectionError):
            await pc.indexes.describe("faulty")
        faults.append(Fault(op="upsert", kind="stall", times=4))
        with pytest.raises(PineconeTimeoutError):
            await ix.upsert(vectors=[{"id": "a", "values": [1, 2, 3]}], timeout=0.1)
        faults.clear()
        assert list((await ix.fetch(ids=["a"])).vectors) == ["a"]


async def test_an_integrated_index_embeds_texts(emulator: Emulator) -> None:
    async with AsyncPinecone(api_key=emulator.api_key, host=emulator.url) as pc:
        embed = {"model": "multilingual-e5-large", "field_map": {"text": "chunk"}}
        await pc.indexes.create_for_model(name="texts", cloud="aws", region="us-east-1", embed=embed)
        async with await pc.index(name="texts") as ix:
            await ix.upsert_records(namespace="n", records=[{"_id": "a", "chunk": "hello", "year": 1}])
            found = (await ix.fetch(ids=["a"], namespace="n")).vectors["a"]
        assert (len(found.values), found.metadata) == (8, {"chunk": "hello", "year": 1})
        await pc.indexes.delete("texts")


async def test_a_route_is_read_from_the_raw_path(emulator: Emulator) -> None:
    name = "a/documents/upsert"
    async with index(emulator, "raw", DOCUMENT) as (_, ix):
        await ix.documents.upsert(namespace=name, documents=[{"_id": "a", "body": [1.0, 2.0, 3.0]}])
        assert [item.id async for item in ix.documents.list(namespace=name)] == ["a"]
    headers = {"Api-Key": emulator.api_key}
    async with httpx.AsyncClient(base_url=emulator.url, headers=headers) as raw:
        assert (await raw.get("/indexes")).status_code == 400
