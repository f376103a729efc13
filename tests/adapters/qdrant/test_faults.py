"""What goes wrong on the wire becomes the right error, and no outcome is guessed."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest

from tests.adapters.qdrant.support import SCHEMA, config, created, everything, new_name, records
from tests.emulators.qdrant import Emulator, emulator
from tests.support.connected import connected
from vectormigrate.adapters.qdrant import SPEC
from vectormigrate.adapters.qdrant.errors import HttpError, NotCompleted
from vectormigrate.errors import (
    AdapterError,
    AlreadyExists,
    AuthFailed,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    RecordsRejected,
    TerminalError,
    TimedOut,
    Unavailable,
)
from vectormigrate.model.batch import Metadata

pytestmark = pytest.mark.anyio

both = pytest.mark.parametrize("prefer_grpc", [True, False])


@both
async def test_a_rate_limit_says_how_long_to_wait(server: Emulator, prefer_grpc: bool) -> None:
    async with created(server, prefer_grpc=prefer_grpc) as target:
        server.fault("upsert", status=429, retry_after=7)
        with pytest.raises(RateLimited) as caught:
            await target.upsert(records([1]))
        assert caught.value.retry_after == 7
        server.fault("upsert", status=429)
        with pytest.raises(RateLimited) as caught:
            await target.upsert(records([1]))
        assert caught.value.retry_after is None
        assert await target.upsert(records([1])) == []


@both
async def test_a_write_that_no_rate_limit_will_ever_allow_is_to_be_split(server: Emulator, prefer_grpc: bool) -> None:
    async with created(server, prefer_grpc=prefer_grpc) as target:
        text = "Rate limiting exceeded: Write rate limit exceeded, request larger than the limiter's capacity"
        server.fault("upsert", status=429, text=text)
        with pytest.raises(RecordsRejected):
            await target.upsert(records([1, 2]))


@both
@pytest.mark.parametrize(
    ("status", "kind"),
    [(503, Unavailable), (500, Unavailable), (507, QuotaExceeded), (403, AuthFailed), (408, TimedOut)],
)
async def test_statuses_are_transient_or_terminal(
    server: Emulator, prefer_grpc: bool, status: int, kind: type[AdapterError]
) -> None:
    async with created(server, prefer_grpc=prefer_grpc) as target:
        for operation in ("upsert", "scroll"):
            server.fault(operation, status=status)
            with pytest.raises(AdapterError) as caught:
                await (target.upsert(records([1])) if operation == "upsert" else everything(target))
            assert type(caught.value) is kind


@both
@pytest.mark.parametrize("word", ["acknowledged", "wait_timeout"])
async def test_a_write_that_is_not_known_to_be_applied_counts_as_not_done(
    server: Emulator, prefer_grpc: bool, word: str
) -> None:
    async with created(server, prefer_grpc=prefer_grpc) as target:
        for call, operation in ((target.upsert(records([1])), "upsert"), (target.delete([1], ""), "delete")):
            server.fault(operation, "update_status", update_status=word)
            with pytest.raises(TimedOut, match=word):
                await call


@both
async def test_no_answer_in_time_is_an_unknown_outcome_and_writing_again_is_safe(
    server: Emulator, prefer_grpc: bool
) -> None:
    async with created(server, prefer_grpc=prefer_grpc, timeout=1.5) as target:
        server.fault("upsert", "late")
        with pytest.raises(TimedOut):
            await target.upsert(records([1, 2]))
        assert await target.count() == 2
        assert await target.upsert(records([1, 2])) == []
        assert await target.count() == 2


@both
async def test_an_answer_that_was_lost_after_applying_is_transient(server: Emulator, prefer_grpc: bool) -> None:
    async with created(server, prefer_grpc=prefer_grpc) as target:
        server.fault("upsert", "lost")
        with pytest.raises(Unavailable):
            await target.upsert(records([1, 2]))
        assert await target.upsert(records([1, 2])) == []
        assert await target.count() == 2


@both
async def test_a_read_that_lags_behind_shows_less_and_the_next_one_everything(
    server: Emulator, prefer_grpc: bool
) -> None:
    async with created(server, prefer_grpc=prefer_grpc) as target:
        assert await target.upsert(records([1])) == []
        assert await target.upsert(records([2, 3])) == []
        for operation in ("count", "retrieve", "scroll"):
            server.fault(operation, kind="stale")
        assert await target.count() == 1
        assert (await target.fetch([1, 2, 3], "")).ids == [1]
        assert {key for _, key in await everything(target)} == {1}
        assert (await target.fetch([1, 2, 3], "")).ids == [1, 2, 3]
        assert {key for _, key in await everything(target)} == {1, 2, 3}


@both
async def test_a_cut_connection_is_unavailable_and_the_next_call_works(server: Emulator, prefer_grpc: bool) -> None:
    async with created(server, prefer_grpc=prefer_grpc) as target:
        for _ in range(3):
            server.fault("upsert", "reset")
            with pytest.raises(Unavailable):
                await target.upsert(records([1]))
            assert await target.upsert(records([1])) == []


async def test_a_scan_that_breaks_off_goes_on_from_its_last_page(server: Emulator) -> None:
    async with created(server) as target:
        await target.upsert(records(list(range(50))))
        (partition,) = await target.partitions(1)
        server.fault("scroll", status=503, skip=2)
        seen: list[Any] = []
        cursor = None
        try:
            async for page in target.scan(partition, page_rows=10):
                seen += page.batch.ids
                cursor = page.cursor
            pytest.fail("the fault did not show")
        except Unavailable:
            pass
        assert seen == list(range(20))
        seen += [item async for page in target.scan(partition, cursor, page_rows=10) for item in page.batch.ids]
        assert seen == list(range(50))


async def test_a_wrong_key_is_refused_at_opening_and_never_shown() -> None:
    with emulator(api_key="right") as locked:
        for key in ("wrong-secret", None):
            with pytest.raises(AuthFailed) as caught:
                async with connected(SPEC, config(locked, "c", api_key=key)):
                    pass
            assert "wrong-secret" not in f"{caught.value!r} {caught.value}"
        async with connected(SPEC, config(locked, "c", api_key="right")) as target:
            await target.create(SCHEMA)
            await target.upsert(records([1]))
            assert await target.count() == 1
            assert "right" not in repr(config(locked, "c", api_key="right"))


async def test_without_grpc_everything_goes_over_rest() -> None:
    with emulator(grpc=False) as rest_only:
        async with created(rest_only) as target:
            assert "(REST)" in await target.server()
            await target.upsert(records([1, 2]))
            assert await target.count() == 2


async def test_a_server_that_is_no_qdrant_is_named_so(server: Emulator) -> None:
    with pytest.raises(InvalidRequest, match="no Qdrant"):
        async with connected(SPEC, config(server, "c", url=f"{server.url}/collections")):
            pass


@both
async def test_a_body_over_the_limit_is_sent_in_parts(server: Emulator, prefer_grpc: bool) -> None:
    rows: list[Metadata] = [{"text": "x" * 9_000_000} for _ in range(4)]
    async with created(server, prefer_grpc=prefer_grpc) as target:
        assert await target.upsert(records([1, 2, 3, 4], rows)) == []
        assert await target.count() == 4


async def test_hidden_records_are_not_overlooked(server: Emulator) -> None:
    name = new_name()
    async with created(server, name=name) as target:
        await target.upsert(records([1]))
        server.collection(name, deferred=5)
        assert any("5 records are hidden" in text for text in (await target.describe()).warnings)
        for call in (target.count, target.namespaces, lambda: target.partitions(2)):
            with pytest.raises(Unavailable, match="5 records are hidden"):
                await call()
        server.collection(name, deferred=0)
        assert await target.count() == 1


class GrpcError(grpc.RpcError):
    """As grpc.aio raises them."""

    def __init__(self, code: grpc.StatusCode, text: str, *trailing: tuple[str, str]) -> None:
        super().__init__()
        self._parts = code, text, trailing

    def code(self) -> grpc.StatusCode:
        return self._parts[0]

    def details(self) -> str:
        return self._parts[1]

    def trailing_metadata(self) -> Any:
        return self._parts[2]


S = grpc.StatusCode
ERRORS: list[tuple[Exception, str, type[AdapterError]]] = [
    (HttpError(404, "Not found: Collection `c` doesn't exist!"), "scan", CollectionNotFound),
    (HttpError(404, "Not found: No point with id 5 found"), "scan", InvalidRequest),
    (HttpError(409, "Wrong input: Collection `c` already exists!"), "create", AlreadyExists),
    (HttpError(400, "Wrong input: Vector dimension error: expected dim: 4, got 3"), "upsert", RecordsRejected),
    (HttpError(400, "Wrong input: Vector dimension error: expected dim: 4, got 3"), "search", InvalidRequest),
    (HttpError(400, "JSON payload (33 bytes) is larger than allowed (limit: 32 bytes)."), "upsert", RecordsRejected),
    (HttpError(400, "Bad request: Max points reached. Help: Delete some."), "upsert", QuotaExceeded),
    (HttpError(400, 'Bad request: Limit exceeded 9 > 5 for "upsert limit". Help: x'), "upsert", RecordsRejected),
    (HttpError(400, "Wrong input: Shard key not specified"), "upsert", InvalidRequest),
    (HttpError(403, "Storage locked: the disk is read-only"), "upsert", TerminalError),
    (HttpError(500, "Service internal error: No space left on device"), "upsert", QuotaExceeded),
    (HttpError(504, "upstream timed out"), "upsert", TimedOut),
    (HttpError(520, "a proxy's own"), "upsert", Unavailable),
    (GrpcError(S.NOT_FOUND, "Not found: Collection `c` doesn't exist!"), "scan", CollectionNotFound),
    (GrpcError(S.RESOURCE_EXHAUSTED, "full", ("qdrant-insufficient-storage", "1")), "upsert", QuotaExceeded),
    (GrpcError(S.FAILED_PRECONDITION, "Storage locked: x"), "upsert", TerminalError),
    (GrpcError(S.FAILED_PRECONDITION, "Pre-condition failure: x"), "upsert", Unavailable),
    (GrpcError(S.UNAUTHENTICATED, "Invalid API key or JWT"), "scan", AuthFailed),
    (GrpcError(S.DEADLINE_EXCEEDED, "late"), "upsert", TimedOut),
    (GrpcError(S.CANCELLED, "gone"), "scan", Unavailable),
    (httpx.ConnectTimeout("late"), "open", Unavailable),
    (httpx.ReadTimeout("late"), "upsert", TimedOut),
    (httpx.RemoteProtocolError("cut"), "upsert", Unavailable),
    (NotCompleted("x"), "upsert", TimedOut),
]


@pytest.mark.parametrize(("error", "operation", "kind"), ERRORS, ids=lambda item: str(item)[:40])
def test_vendor_errors_become_ours(error: Exception, operation: str, kind: type[AdapterError]) -> None:
    found = SPEC.classify(error, operation)
    assert found is not None
    assert type(found) is kind
    assert found.operation == operation


async def test_a_missing_collection_is_told_from_one_that_cannot_be_read(server: Emulator) -> None:
    async with connected(SPEC, config(server, new_name())) as target:
        with pytest.raises(CollectionNotFound):
            await target.count()
        server.fault("info", status=503)
        with pytest.raises(Unavailable):
            await target.count()
