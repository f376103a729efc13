"""What the adapter makes of a server that fails, and of one with small limits."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pytest
from pydantic import SecretStr

from tests.adapters.weaviate.conftest import Place
from tests.conformance.data import read_all
from tests.emulators.weaviate import Emulator, Fault, emulator
from tests.support.connected import connected
from vectormigrate.adapters.weaviate import SPEC, WeaviateConfig, session
from vectormigrate.errors import (
    AuthFailed,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from vectormigrate.model.batch import DenseColumn, RecordBatch

pytestmark = pytest.mark.anyio

PROPERTIES = [{"name": "t", "dataType": ["text"]}]


def records(count: int, dim: int = 4, text: str = "x") -> RecordBatch:
    ids = [UUID(int=(number + 1) << 96) for number in range(count)]
    values = np.random.default_rng(1).standard_normal((count, dim)).astype(np.float32)
    return RecordBatch("", list(ids), {"": DenseColumn(values)}, [{"t": text} for _ in ids])


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(op="BatchObjects"), Unavailable),
        (Fault(op="BatchObjects", kind="lose"), Unavailable),
        (Fault(op="BatchObjects", code="RESOURCE_EXHAUSTED", message="usage limit"), QuotaExceeded),
        (Fault(op="BatchObjects", code="DEADLINE_EXCEEDED", message="late"), TimedOut),
        (Fault(op="BatchObjects", code="PERMISSION_DENIED", message="no"), AuthFailed),
        (Fault(op="BatchObjects", code="UNKNOWN", message="context deadline exceeded"), TimedOut),
        (Fault(op="BatchObjects", code="UNKNOWN", message="not enough memory"), RateLimited),
        (Fault(op="GET /schema", status=429, message="slow down", retry_after="7"), RateLimited),
        (Fault(op="GET /schema", status=503), Unavailable),
        (Fault(op="GET /schema", status=500, message="leader not found"), Unavailable),
        (Fault(op="GET /schema", status=403, message="forbidden"), AuthFailed),
        (Fault(op="GET /schema", kind="reset"), Unavailable),
    ],
)
async def test_each_failure_is_named_and_the_write_can_be_repeated(
    near: Place, emulated: Emulator, fault: Fault, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "FRESH_SECONDS", 0)
    name = near.create(properties=PROPERTIES)
    async with near.open(name) as target:
        emulated.knobs.faults = [fault]
        emulated.calls()
        with pytest.raises(error) as caught:
            await target.upsert(records(5))
        assert emulated.calls()[fault.op or ""] == 1
        if fault.retry_after:
            assert getattr(caught.value, "retry_after", None) == 7
        assert await target.upsert(records(5)) == []
        assert len(await read_all(target)) == 5


async def test_a_call_without_an_answer_is_timed_out(near: Place, emulated: Emulator) -> None:
    name = near.create(properties=PROPERTIES)
    async with near.open(name, timeout=0.3) as target:
        emulated.knobs.faults = [Fault(op="BatchObjects", kind="stall")]
        with pytest.raises(TimedOut):
            await target.upsert(records(5))


async def test_an_error_of_one_object_that_is_not_its_fault_fails_the_batch(near: Place, emulated: Emulator) -> None:
    name = near.create(properties=PROPERTIES)
    batch = records(3)
    async with near.open(name) as target:
        for text, error in (("cannot reach enough replicas", Unavailable), ("odd", None)):
            emulated.knobs.batch_errors = {str(batch.ids[1]): text}
            if error is not None:
                with pytest.raises(error):
                    await target.upsert(batch)
            else:
                assert [(item.id, item.reason) for item in await target.upsert(batch)] == [(batch.ids[1], text)]
        emulated.knobs.read_only = {name}
        with pytest.raises(QuotaExceeded, match="READY"):
            await target.upsert(batch)


async def test_pages_shrink_to_what_the_server_sends_and_takes() -> None:
    with emulator(message_bytes=200_000) as server:
        near = Place(server.url, server.grpc)
        name = near.create(properties=PROPERTIES)
        async with near.open(name) as target:
            big = records(60, dim=64, text="y" * 9_000)
            assert await target.upsert(big) == []
            huge = records(1, dim=64, text="z" * 300_000)
            assert [reject.code for reject in await target.upsert(huge)] == ["refused"]
            assert len(await read_all(target)) == 60
            assert (await target.fetch(big.ids[::-1], "")).ids == big.ids[::-1]


async def test_a_smaller_query_maximum_is_learned(near: Place, emulated: Emulator) -> None:
    name = near.create(properties=PROPERTIES)
    async with near.open(name) as target:
        assert await target.upsert(records(90)) == []
        emulated.knobs.query_maximum = 20
        assert len(await read_all(target, 4)) == 90
        assert len(await target.fetch(records(90).ids, "")) == 90
        await target.delete(records(90).ids, "")
        assert await target.count() == 0


async def test_ids_that_cluster_are_cut_evenly(near: Place) -> None:
    name = near.create(properties=PROPERTIES)
    ids = [UUID(int=number + 1) for number in range(400)]
    async with near.open(name) as target:
        assert await target.upsert(RecordBatch("", list(ids), {}, [{} for _ in ids])) == []
        parts = await target.partitions(4)
        sizes = [sum([len(page.batch) async for page in target.scan(part)]) for part in parts]
        assert sizes == [100, 100, 100, 100]


async def test_finalize_waits_for_the_shards(near: Place, emulated: Emulator) -> None:
    name = near.create(properties=PROPERTIES)
    async with near.open(name, ready_timeout=30) as target:
        emulated.knobs.busy = 3
        emulated.calls()
        await target.finalize()
        assert emulated.calls()["GET /schema"] >= 4
    async with near.open(name, ready_timeout=1) as target:
        emulated.knobs.busy = 10_000
        emulated.calls()
        with pytest.raises(TimedOut):
            await target.finalize()
        # The class, and its shards at once, after 100, 230, 399, 619, 904 ms and at the end; with even pauses 12.
        assert emulated.calls()["GET /schema"] <= 8
    told: list[int] = []
    async with near.open(name, ready_timeout=30) as target:
        assert await target.finalize(wait=False, report=told.append) > 0
        emulated.knobs.busy = 2
        assert await target.finalize(report=told.append) == 0
        assert told[0] > told[-1] == 0


async def test_writing_to_a_class_that_is_gone_does_not_make_it_again(
    near: Place, emulated: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "FRESH_SECONDS", 0)
    name = near.create(properties=PROPERTIES)
    async with near.open(name) as target:
        assert await target.upsert(records(1)) == []
        near.rest("DELETE", f"/schema/{name}")
        emulated.calls()
        with pytest.raises(CollectionNotFound):
            await target.upsert(records(1))
        assert emulated.calls()["BatchObjects"] == 0


async def test_a_class_that_came_in_the_place_of_the_one_that_was_opened_is_not_written(
    near: Place, emulated: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = near.create(properties=PROPERTIES)
    async with near.open(name) as target:
        assert await target.upsert(records(1)) == []
        near.rest("DELETE", f"/schema/{name}")
        # As Weaviate would, for a record that came before anybody noticed.
        near.rest("POST", "/schema", {"class": name})
        monkeypatch.setattr(session, "FRESH_SECONDS", 0)
        emulated.calls()
        with pytest.raises(CollectionNotFound, match="another one of this name now"):
            await target.upsert(records(1))
        assert emulated.calls()["BatchObjects"] == 0


async def test_a_property_that_was_added_meanwhile_does_not_make_it_another_class(
    near: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "FRESH_SECONDS", 0)
    name = near.create(properties=PROPERTIES)
    async with near.open(name) as target:
        assert await target.upsert(records(1)) == []
        near.rest("POST", f"/schema/{name}/properties", {"name": "more", "dataType": ["int"]})
        assert await target.upsert(records(1)) == []


async def test_an_alias_is_read_as_its_class(place: Place) -> None:
    name = place.create(properties=PROPERTIES)
    alias = f"A{name}"
    place.rest("POST", "/aliases", {"alias": alias, "class": name})
    try:
        async with place.open(alias) as target:
            assert await target.upsert(records(3)) == []
            assert (await target.describe()).name == alias
            assert len(await read_all(target)) == await target.count() == 3
            await target.set_note({"a": 1})
            assert (await target.describe()).note == {"a": 1}
    finally:
        place.rest("DELETE", f"/aliases/{alias}")


async def _open(url: str, grpc: str, **options: Any) -> None:
    async with connected(SPEC, WeaviateConfig(url=url, grpc_url=grpc, collection="C", connect_timeout=2, **options)):
        pass


async def test_opening_says_what_is_wrong() -> None:
    with emulator(api_key="right") as server:
        with pytest.raises(AuthFailed) as caught:
            await _open(server.url, server.grpc, api_key=SecretStr("wr0ng"))
        assert "wr0ng" not in str(caught.value)
        await _open(server.url, server.grpc, api_key=SecretStr("right"))
        with pytest.raises(Unavailable, match="grpc_port"):
            await _open(server.url, "127.0.0.1:1", api_key=SecretStr("right"))
    with emulator(version="1.26.4") as server, pytest.raises(InvalidRequest, match="too old"):
        await _open(server.url, server.grpc)
