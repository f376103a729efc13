"""The adapter against the emulator; what it wrote is read with Pinecone's own SDK."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import numpy as np
import pytest
from pydantic import SecretStr

from tests.adapters.pinecone.support import (
    dense,
    fresh,
    opened,
    records,
    schema,
    sdk,
    sdk_index,
    sparse,
    sparse_column,
)
from tests.conformance.data import read_all, rows_of, scan
from tests.emulators.pinecone import Emulator, Fault
from tests.live.faults import fault
from tests.support.connected import connected
from vectormigrate.adapter import Eventual
from vectormigrate.adapters.pinecone import SPEC, PineconeConfig
from vectormigrate.adapters.pinecone.capabilities import NOTE_NAMESPACE
from vectormigrate.errors import (
    AuthFailed,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    RecordsRejected,
    TimedOut,
    Unavailable,
    VectorMigrateError,
)
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.schema import FieldType, Metric, Weight

pytestmark = pytest.mark.anyio

NAMES = ["", "a/b", "with space", "..", "quote'\"\\", "documents", "x" * 512]


async def test_a_hybrid_index_declares_both_fields(emulator: Emulator) -> None:
    async with fresh(emulator, schema(dense(), sparse())) as (index, name):
        terms = sparse_column([{7: 0.5, 2**32 - 1: 1.5}, {}])
        batch = records(
            ["a", "b"], metadata=[{"s": "x", "f": 0.5, "t": ["p", "q"], "b": True}, {}], sparse_values=terms
        )
        assert await index.upsert(batch) == []
        await index.finalize()
        async with sdk_index(emulator, name) as theirs:
            found = (await theirs.fetch(ids=["a", "b"])).vectors
        column = batch.vectors["values"]
        assert np.array(found["a"].values, np.float32).tobytes() == column.values[0].tobytes()
        assert found["a"].sparse_values.indices == [7, 2**32 - 1]
        assert found["b"].sparse_values is None
        assert found["a"].metadata == batch.metadata[0]
        assert index.capabilities.vectors.metrics_with_sparse == {Metric.DOT}
        hits = await index.search("sparse_values", [(np.array([7], np.uint32), np.array([1], np.float32))], 1, "")
        assert hits[0].ids == ["a"]
        assert await read_all(index) == rows_of(batch)
        with pytest.raises(InvalidRequest, match="no vector field"):
            await index.search("nothing", np.ones((1, 3), np.float32), 1, "")


async def test_a_cosine_field_beside_a_sparse_one_is_refused_before_it_is_too_late(emulator: Emulator) -> None:
    async with opened(emulator, "trap") as index:
        with pytest.raises(InvalidRequest, match="dotproduct"):
            await index.create(schema(dense(metric=Metric.COSINE), sparse()))
        with pytest.raises(CollectionNotFound):
            await index.describe()


async def test_a_sparse_index_needs_no_dense_vector(emulator: Emulator) -> None:
    async with fresh(emulator, schema(sparse())) as (index, name):
        batch = records(["a", "b"])
        batch = RecordBatch("", batch.ids, {"sparse_values": sparse_column([{1: 1.0}, {}])}, batch.metadata)
        assert [(reject.id, reject.code) for reject in await index.upsert(batch)] == [("b", "missing_vector")]
        await index.set_note({"from": "x"})
        assert (await index.describe()).note == {"from": "x"}
        await index.finalize()
        async with sdk_index(emulator, name) as theirs:
            found = await theirs.query(top_k=3, sparse_vector={"indices": [1], "values": [2.0]})
        assert [hit.id for hit in found.matches] == ["a"]


async def test_every_namespace_is_read_and_the_default_one_has_one_name(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, name):
        for number, namespace in enumerate(NAMES):
            assert await index.upsert(records([f"r{number}"], namespace=namespace)) == []
        async with sdk_index(emulator, name) as theirs:
            await theirs.upsert(vectors=[{"id": "theirs", "values": [1, 2, 3]}], namespace="__default__")
        assert await index.namespaces() == sorted(NAMES)
        assert {part.namespace: part.rows for part in await index.partitions(3)} == {n: 1 + (n == "") for n in NAMES}
        found = await read_all(index)
        assert set(found) == {*((item, f"r{number}") for number, item in enumerate(NAMES)), ("", "theirs")}
        for bad in ("__default__", NOTE_NAMESPACE, "ü", "x" * 513, "nul\0"):
            (reject,) = await index.upsert(records(["z"], namespace=bad))
            assert reject.code == "namespace"


async def test_the_default_namespace_of_documents_is_an_ordinary_one(emulator: Emulator) -> None:
    async with fresh(emulator, schema(dense("body")), index_kind="document") as (index, name):
        batch = records(["a"])
        batch = RecordBatch("", batch.ids, {"body": batch.vectors["values"]}, [{"year": 1999}])
        assert (await index.fetch(["a"], "")).ids == []
        assert await index.upsert(batch) == []
        async with sdk_index(emulator, name) as theirs:
            found = (await theirs.documents.fetch(namespace="__default__", ids=["a"])).documents["a"].to_dict()
        assert found["year"] == 1999
        assert await index.namespaces() == [""]


async def test_batches_are_cut_by_their_encoded_bytes(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        emulator.requests()
        row: Metadata = {"t": "x" * 30_000}
        batch = records([f"r{n:03d}" for n in range(200)], metadata=[row] * 200)
        assert await index.upsert(batch) == []
        sizes = [size for op, status, size in emulator.requests() if op == "upsert" and status == 200]
        assert sum(sizes) > 6_000_000
        assert len(sizes) == 4
        assert max(sizes) <= 2_000_000
        await index.finalize()
        assert await index.count() == 200


async def test_fetches_keep_to_a_short_url_and_to_the_order_asked(emulator: Emulator) -> None:
    ids = [f"{n:03d} +/%" + "~é".replace("é", "!") * 120 for n in range(150)]
    async with fresh(emulator) as (index, _):
        await index.upsert(records(ids))
        await index.finalize()
        emulator.requests()
        found = await index.fetch([ids[7], "missing", *reversed(ids), "é", "", 7], "")
        assert found.ids == [ids[7], *reversed(ids)]
        sizes = [size for op, _, size in emulator.requests() if op == "fetch"]
        assert len(sizes) > 5
        assert max(sizes) <= 6_100


async def test_a_record_deleted_after_it_was_listed_is_left_out(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, name):
        await index.upsert(records([f"r{n:03d}" for n in range(250)]))
        await index.finalize()
        (partition,) = await index.partitions(1)
        pages = index.scan(partition, page_rows=10)
        first = await anext(pages)
        async with sdk_index(emulator, name) as theirs:
            await theirs.delete(ids=[f"r{n:03d}" for n in range(190, 240)])
        rest = [key async for page in pages for key in page.batch.ids]
        assert [*first.batch.ids, *rest] == [f"r{n:03d}" for n in [*range(190), *range(240, 250)]]


async def test_a_fetch_that_fails_is_no_missing_record(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        await index.upsert(records([f"r{n:03d}" for n in range(30)]))
        await index.finalize()
        (partition,) = await index.partitions(1)
        emulator.knobs.faults.append(Fault(op="fetch", status=503, skip=1))
        pages = index.scan(partition, page_rows=10)
        assert len((await anext(pages)).batch) == 10
        with pytest.raises(Unavailable):
            _ = [page async for page in pages]
        emulator.knobs.faults.append(Fault(op="list", status=500))
        with pytest.raises(Unavailable):
            await scan(index, partition)


@fault(25)
@pytest.mark.parametrize("kind", ["vector", "document"])
async def test_a_scan_goes_on_by_the_last_id_when_its_token_is_refused(emulator: Emulator, kind: Any) -> None:
    async with fresh(emulator, schema(dense()), index_kind=kind) as (index, _):
        ids = [f"r{n:03d}" for n in range(350)]
        await index.upsert(records(ids))
        await index.finalize()
        (partition,) = await index.partitions(1)
        pages = await scan(index, partition, page_rows=30)
        cursor = pages[7].cursor
        assert cursor["last"] == ids[239]
        assert cursor["token"]
        for epoch in (0, 1):
            emulator.knobs.token_epoch = epoch
            again = index.scan(partition, cursor, page_rows=30)
            first = await anext(again)
            assert first.batch.ids == ids[240:270]
            await again.aclose()
        rest = await scan(index, partition, {"last": ids[100], "token": "nonsense"})
        assert [key for page in rest for key in page.batch.ids] == ids[101:]
        emulator.knobs.faults.append(Fault(op="list", status=400, message="no", skip=1, times=100))
        with pytest.raises(InvalidRequest):
            await scan(index, partition, cursor)


@pytest.mark.parametrize("kind", ["vector", "document"])
async def test_a_listing_that_goes_back_is_an_error_and_not_a_gap(emulator: Emulator, kind: Any) -> None:
    async with fresh(emulator, schema(dense()), index_kind=kind) as (index, _):
        await index.upsert(records([f"r{n:03d}" for n in range(250)]))
        await index.finalize()
        (partition,) = await index.partitions(1)
        emulator.knobs.pages_back = True
        with pytest.raises(InvalidRequest, match="order"):
            await scan(index, partition)


async def test_finalize_waits_until_queries_see_the_writes(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        emulator.knobs.lag = 4
        await index.upsert(records(["a", "b"]))
        await index.upsert(records(["c"], namespace="n"))
        assert (await index.fetch(["a"], "")).ids == []
        await index.finalize()
        assert (await index.fetch(["a", "b"], "")).ids == ["a", "b"]
        assert await index.count("n") == 1
        await index.delete(["a"], "")
        assert await index.count("") == 1


@pytest.mark.parametrize("kind", ["vector", "document"])
async def test_finalize_waits_for_writes_of_an_earlier_process(emulator: Emulator, kind: Any) -> None:
    async with fresh(emulator, schema(dense()), index_kind=kind) as (index, name):
        await index.upsert(records(["a"]))
        await index.finalize()
        emulator.knobs.lag = 5
        await index.upsert(records(["b", "c"]))
        async with opened(emulator, name, index_kind=kind) as other:
            assert await other.count() == 1
            await other.finalize()
            assert await other.count() == 3
            emulator.requests()
            await other.finalize()
            assert "delete" not in emulator.counts()


@pytest.mark.parametrize("kind", ["vector", "document"])
async def test_a_fetch_can_wait_for_writes_that_others_made(emulator: Emulator, kind: Any) -> None:
    async with fresh(emulator, schema(dense()), index_kind=kind) as (index, name):
        await index.upsert(records(["a"]))
        await index.finalize()
        async with opened(emulator, name, index_kind=kind) as other:
            for record_id in ("b", "c"):
                emulator.knobs.lag = 3
                await index.upsert(records([record_id]))
                assert (await other.fetch([record_id], "")).ids == []
                assert isinstance(other, Eventual)
                await other.freshen("")
                assert (await other.fetch([record_id], "")).ids == [record_id]


async def test_nothing_is_waited_for_in_a_namespace_that_is_not_there(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        assert isinstance(index, Eventual)
        await index.freshen("nowhere")


async def test_finalize_gives_up_at_its_deadline(emulator: Emulator) -> None:
    async with fresh(emulator, fresh_timeout=0.2) as (index, _):
        emulator.knobs.lag = None
        await index.upsert(records(["a"]))
        with pytest.raises(TimedOut, match="did not show up"):
            await index.finalize()
        emulator.release()
        await index.finalize()


async def test_without_lsns_finalize_compares_statistics_with_a_listing(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        emulator.knobs.no_lsn = True
        await index.upsert(records(["a", "b"]))
        emulator.requests()
        await index.finalize()
        assert {"stats", "list"} <= set(emulator.counts())
        assert await index.count() == 2


@pytest.mark.parametrize("kind", ["vector", "document"])
async def test_a_note_larger_than_a_record_is_kept_hidden_replaced_and_removed(emulator: Emulator, kind: Any) -> None:
    noise = np.random.default_rng(1).bytes(150_000).hex()
    async with fresh(emulator, schema(dense(), note={"n": noise}), index_kind=kind) as (index, name):
        await index.upsert(records(["a"]))
        await index.finalize()
        assert (await index.describe()).note == {"n": noise}
        await index.set_note({"n": [1, None, 2**60]})
        async with opened(emulator, name, index_kind=kind) as other:
            assert (await other.describe()).note == {"n": [1, None, 2**60]}
        assert await index.namespaces() == [""]
        assert await index.count() == 1
        assert [part.namespace for part in await index.partitions(4)] == [""]
        assert set(await read_all(index)) == {("", "a")}
        kept = emulator.index(name).spaces[NOTE_NAMESPACE].head
        assert len(kept) == 2
        await index.set_note(None)
        assert (await index.describe()).note is None
        assert NOTE_NAMESPACE not in emulator.index(name).spaces


async def test_a_damaged_note_is_not_taken_for_none(emulator: Emulator) -> None:
    async with fresh(emulator, schema(note={"a": "b"})) as (index, name):
        async with sdk_index(emulator, name) as theirs:
            pages = [page async for page in theirs.list(namespace=NOTE_NAMESPACE)]
            part = next(item.id for page in pages for item in page.vectors if item.id != "head")
            await theirs.delete(ids=[part], namespace=NOTE_NAMESPACE)
        with pytest.raises(Unavailable, match="incomplete"):
            await index.describe()


async def test_a_protected_index_is_left_alone_and_the_way_out_named(emulator: Emulator) -> None:
    async with fresh(emulator, deletion_protection=True) as (index, name):
        assert (await index.describe()).extras["pinecone"]["deletion_protection"] == "enabled"
        assert emulator.index(name).deletion_protection == "disabled", "what failed half-way can be undone"
        await index.finalize()
        assert (emulator.index(name).deletion_protection, emulator.index(name).tags) == ("enabled", None)
        with pytest.raises(InvalidRequest, match="configure"):
            await index.drop()
        assert await index.count() == 0
        async with sdk(emulator) as theirs:
            await theirs.indexes.configure(name, deletion_protection="disabled")


async def test_a_creation_that_fails_half_way_leaves_no_index(emulator: Emulator) -> None:
    emulator.knobs.faults.append(Fault(op="upsert", status=503))
    async with opened(emulator, "half", deletion_protection=True) as index:
        with pytest.raises(Unavailable):
            await index.create(schema(note={"a": 1}))
        with pytest.raises(CollectionNotFound):
            await index.describe()


async def test_creating_and_dropping_wait_until_it_is_done(emulator: Emulator) -> None:
    emulator.knobs.ready_after, emulator.knobs.gone_after = 2, 2
    async with fresh(emulator) as (index, name):
        assert await index.upsert(records(["a"])) == []
        await index.drop()
        async with sdk(emulator) as theirs:
            assert not await theirs.indexes.exists(name)
    emulator.knobs.ready_after = 1000
    async with opened(emulator, "never", ready_timeout=0.2) as index:
        with pytest.raises(TimedOut, match="not ready"):
            await index.create(schema())
        emulator.knobs.ready_after, emulator.knobs.gone_after = 0, 0
        await index.drop()


async def test_a_project_that_is_full_is_a_quota(emulator: Emulator) -> None:
    emulator.knobs.max_indexes = 0
    async with opened(emulator, "more") as index:
        with pytest.raises(QuotaExceeded):
            await index.create(schema())


async def test_pod_indexes_are_refused_with_the_reason(emulator: Emulator) -> None:
    emulator.add_pod_index("old-pods")
    with pytest.raises(InvalidRequest, match="serverless"):
        async with opened(emulator, "old-pods"):
            pass


async def test_an_integrated_index_is_a_source_and_takes_own_vectors(emulator: Emulator) -> None:
    async with sdk(emulator) as theirs:
        embed = {"model": "multilingual-e5-large", "field_map": {"text": "chunk"}, "metric": "dotproduct"}
        await theirs.indexes.create_for_model(name="texts", cloud="aws", region="us-east-1", embed=embed)
        async with await theirs.index(name="texts") as data:
            await data.upsert_records(namespace="n", records=[{"_id": "a", "chunk": "hello", "year": 1}])
        async with opened(emulator, "texts") as index:
            (field,) = (await index.describe()).vectors
            assert (field.name, field.dim, field.metric) == ("values", 8, Metric.DOT)
            (row,) = (await read_all(index)).values()
            assert row[0] == {"chunk": ("str", "hello"), "year": ("int", 1)}
            bare = records(["b", "c"], dim=8)
            column = bare.vectors["values"]
            assert isinstance(column, DenseColumn)
            bare = RecordBatch(
                "", bare.ids, {"values": DenseColumn(column.values, valid=np.array([True, False]))}, bare.metadata
            )
            assert [reject.code for reject in await index.upsert(bare)] == ["missing_vector"]
            await index.drop()


async def test_text_that_is_not_stored_is_warned_of_and_embedding_documents_take_no_records(emulator: Emulator) -> None:
    fields = {
        "secret": {"type": "string", "embed": {"model": "m", "dimension": 4}, "store_text": False},
        "title": {"type": "string", "full_text_search": {"language": "en"}},
    }
    async with sdk(emulator) as theirs:
        await theirs.indexes.create(name="hidden", schema={"fields": fields})
        async with await theirs.index(name="hidden") as data:
            document = {"_id": "a", "secret": "text", "title": "words", "year": 3}
            await data.documents.upsert(namespace="n", documents=[document])
    async with opened(emulator, "hidden") as index:
        shape = await index.describe()
        assert (shape.vectors, shape.computed) == ((), ("secret",))
        assert [item.type for item in shape.fields if item.name == "title"] == [FieldType.TEXT]
        assert [(item.name, item.weight) for item in shape.settings] == [
            ("embedding", Weight.BEHAVIOUR),
            ("text:secret", Weight.RECORDS),
        ]
        found = await index.fetch(["a"], "n")
        assert found.metadata == [{"title": "words", "year": 3}]
        with pytest.raises(InvalidRequest, match="makes its vectors itself"):
            await index.upsert(RecordBatch("", ["b"], {}, [{}]))
        await index.drop()


async def test_settings_and_text_fields_come_home(emulator: Emulator) -> None:
    fields = {
        "body": {"type": "dense_vector", "dimension": 3, "metric": "euclidean"},
        "title": {"type": "string", "full_text_search": {"language": "de", "stemming": True}},
    }
    async with sdk(emulator) as theirs:
        place = {"deployment_type": "managed", "cloud": "gcp", "region": "europe-west4"}
        await theirs.indexes.create(name="home", schema={"fields": fields}, deployment=place, tags={"team": "x"})
        async with opened(emulator, "home", index_kind="document") as index:
            shape = await index.describe()
            await index.drop()
        async with opened(emulator, "home", index_kind="document") as index:
            await index.create(shape)
            assert await index.describe() == shape
            assert "gcp europe-west4" in await index.server()
            await index.drop()


async def test_rate_limits_and_outages_are_told_apart_and_nothing_is_tried_twice(emulator: Emulator) -> None:
    faults = emulator.knobs.faults
    async with fresh(emulator) as (index, name):
        for fault, kind in (
            (Fault(op="upsert", status=429, retry_after="3", message="slow down"), RateLimited),
            (Fault(op="upsert", status=429, message="slow down"), RateLimited),
            (Fault(op="upsert", status=429, message="limit for the current month"), QuotaExceeded),
            (Fault(op="upsert", status=500), Unavailable),
            (Fault(op="upsert", status=413, message="too large"), RecordsRejected),
            (Fault(op="upsert", kind="reset"), Unavailable),
            (Fault(op="upsert", kind="lose"), Unavailable),
        ):
            faults.append(fault)
            emulator.requests()
            with pytest.raises(kind) as caught:
                await index.upsert(records([f"r-{fault.kind}-{fault.status}"]))
            assert emulator.counts()["upsert"] == (0 if fault.kind == "reset" else 1)
            if fault.retry_after:
                assert isinstance(caught.value, RateLimited)
                assert caught.value.retry_after == 3
        await index.finalize()
        # A lost answer: the write was done, and is done again by whoever retries.
        async with sdk_index(emulator, name) as theirs:
            assert list((await theirs.fetch(ids=["r-lose-503"])).vectors) == ["r-lose-503"]
        emulator.knobs.rates["list"] = 0
        with pytest.raises(RateLimited):
            await index.count()


async def test_a_write_that_is_not_answered_in_time_has_an_unknown_outcome(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, name), opened(emulator, name, timeout=0.2) as hasty:
        emulator.knobs.faults.append(Fault(op="upsert", kind="stall"))
        with pytest.raises(TimedOut):
            await hasty.upsert(records(["a"]))
        await index.finalize()
        assert await index.count() == 1


async def test_a_cancelled_scan_stops_its_requests(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        await index.upsert(records([f"r{n:03d}" for n in range(500)]))
        await index.finalize()
        (partition,) = await index.partitions(1)
        emulator.knobs.faults.append(Fault(op="fetch", kind="stall", times=100))
        with anyio.move_on_after(0.3) as scope:
            await scan(index, partition, page_rows=20)
        assert scope.cancelled_caught
        emulator.knobs.faults.clear()
        assert len(await read_all(index)) == 500


async def test_a_wrong_key_is_refused_and_never_shown(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = "pcsk_wrong_0987654321"
    with pytest.raises(AuthFailed) as caught:
        async with connected(SPEC, PineconeConfig(url=emulator.url, collection="any", api_key=SecretStr(wrong))):
            pass
    chain: BaseException | None = caught.value
    while chain is not None:
        assert wrong not in f"{chain} {chain!r}"
        chain = chain.__cause__
    assert wrong not in caplog.text


async def test_a_key_that_a_server_sends_back_is_not_passed_on(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        emulator.knobs.faults.append(Fault(op="upsert", status=400, message=f"bad key {emulator.api_key}"))
        with pytest.raises(VectorMigrateError, match=r"bad key \*\*\*"):
            await index.upsert(records(["a"]))


async def test_an_index_dropped_and_made_again_elsewhere_is_noticed(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, name):
        await index.upsert(records(["a"]))
        async with opened(emulator, name) as other:
            await other.drop()
            with pytest.raises(CollectionNotFound):
                await index.fetch(["a"], "")
            with pytest.raises(CollectionNotFound):
                await index.count()
            await other.create(schema(dense(dim=2)))
        assert (await index.describe()).vectors[0].dim == 2
        assert [reject.code for reject in await index.upsert(records(["a"]))] == ["dimension"]


async def test_the_control_plane_is_asked_once(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, _):
        emulator.knobs.faults.append(Fault(op="describe", status=503))
        emulator.requests()
        with pytest.raises(Unavailable):
            await index.describe()
        assert emulator.counts() == {"describe": 1}
