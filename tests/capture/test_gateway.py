"""Requests through real Envoy: forwarded as they came, noted before, held, refused, and in doubt where they must be."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.live.faults import fault
from tests.support.gateway import answer, gateway, server, until
from vectormigrate.adapter.choosing import Listed, Question
from vectormigrate.adapter.operations import CollectionFacts
from vectormigrate.adapters.qdrant.operations import OPERATIONS
from vectormigrate.capture.gateway import admission
from vectormigrate.capture.gateway.asking import Asker
from vectormigrate.capture.gateway.ports import Upstream
from vectormigrate.capture.journal.records import Scope
from vectormigrate.capture.keys import Key
from vectormigrate.capture.phases import LivePhase

pytestmark = pytest.mark.anyio

POINTS = "/collections/c/points"
UPSERT = {"points": [{"id": 7, "vector": [0.5], "payload": {}}, {"id": 2**64 - 1, "vector": [0.5]}]}
KEYS = {Key(None, 7), Key(None, 2**64 - 1)}
FREEZE = (LivePhase.CAPTURING, LivePhase.BACKFILL, LivePhase.CATCH_UP, LivePhase.READY, LivePhase.FREEZING)


def upstream(port: int) -> Upstream:
    return Upstream(host="127.0.0.1", port=port)


def status(raw: bytes) -> int:
    return int(raw.split()[1])


async def test_a_write_is_forwarded_byte_by_byte_and_noted() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        body = b'{"points": [ {"id":7,  "vector":[0.5]} ]}'
        head = (
            b"PUT /collections/c/points?wait=true&x=%2F HTTP/1.1\r\nHost: My.Host:99\r\nX-Custom-CASE: a  b\r\n"
            b"api-key: secret\r\nuser-agent: u\r\nx_under: 1\r\nContent-Length: 41\r\n\r\n"
        )
        assert status(await front.send(head + body)) == 200
        assert db.seen == [head + body]
        await front.settled()
        (dirty,) = front.keys.dirty(10)
        assert (dirty.key, dirty.covered) == (Key(None, 7), False)


@fault(19)
@pytest.mark.parametrize("path", ["/collections/c//points", "/collections/c/../c/points", "/collections%2Fc/points"])
async def test_a_path_is_not_tidied_up_and_an_odd_one_is_a_write_of_unknown_scope(path: str) -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        raw = f"POST {path} HTTP/1.1\r\nHost: db\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        assert status(await front.send(raw)) == 200
        assert db.seen == [raw]
        assert [scope.namespace for _, scope in front.keys.scopes()] == [None]


async def test_reads_leave_no_trace_and_pass_without_our_process() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        await front.stop_asking()
        for method, path in (("GET", "/collections/c"), ("POST", POINTS), ("POST", f"{POINTS}/search")):
            assert status(await front.request(method, path, {"ids": [1]})) == 200
        assert len(db.seen) == 3
        assert front.keys.figures().touched == 0


async def test_no_write_passes_without_our_process() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        await front.stop_asking()
        assert status(await front.request("PUT", POINTS, UPSERT)) == 503
        assert status(await front.request("DELETE", "/collections/c")) == 503
        assert db.seen == []


async def test_the_intent_is_in_the_journal_before_the_server_sees_the_request() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        db.delay = 0.3
        sent = asyncio.create_task(front.request("PUT", POINTS, UPSERT))
        await until(lambda: bool(db.seen))
        assert {dirty.key for dirty in front.keys.dirty(10) if dirty.covered} == KEYS
        assert status(await sent) == 200


@fault(3, 5)
@pytest.mark.parametrize(
    ("reply", "doubted"),
    [(200, False), (404, False), (409, False), (500, True), (503, True), (0, True)],
)
async def test_only_an_answer_of_the_server_itself_ends_the_doubt(reply: int, doubted: bool) -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        db.answers = [answer(reply) if reply else b""]
        await front.request("PUT", POINTS, UPSERT)
        await front.settled()
        figures = front.keys.figures()
        assert (figures.dirty, figures.in_doubt) == (2, int(doubted))
        assert len(db.seen) == 1, "a write is never sent twice"


@fault(13)
@pytest.mark.parametrize(
    ("query", "early"), [("?wait=true", False), ("?wait=false", True), ("", True), ("?wait=1", True)]
)
@pytest.mark.parametrize("seconds", [0.0, 1e6])
async def test_a_write_that_is_acknowledged_before_it_takes_effect_is_under_way_for_some_time_more(
    monkeypatch: pytest.MonkeyPatch, query: str, early: bool, seconds: float
) -> None:
    monkeypatch.setattr(admission, "EARLY_SECONDS", seconds)
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        assert status(await front.request("PUT", POINTS + query, UPSERT)) == 200
        if early and seconds:
            # What ends later than the write has ended by then.
            assert (
                status(await front.request("PUT", f"{POINTS}?wait=true", {"points": [{"id": 1, "vector": [1]}]})) == 200
            )
            await until(lambda: front.keys.figures().under_way == 1)
            assert {dirty.key for dirty in front.keys.dirty(10) if dirty.covered} == KEYS
        else:
            await front.settled()
        db.answers = [answer(400)]
        await front.request("PUT", POINTS + query, {"points": [{"id": 1, "vector": [1]}]})
        await until(lambda: front.keys.figures().under_way == (early and seconds > 0))


async def test_a_client_that_goes_away_leaves_its_request_in_doubt() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        db.delay = 30
        sent = asyncio.create_task(front.request("PUT", POINTS, UPSERT))
        await until(lambda: bool(db.seen))
        sent.cancel()
        await until(lambda: front.keys.figures().in_doubt == 1)
        assert all(dirty.covered for dirty in front.keys.dirty(10))


async def test_writes_to_other_collections_are_nobodys_business() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        assert status(await front.request("PUT", "/collections/other/points", UPSERT)) == 200
        assert status(await front.request("DELETE", "/collections/other")) == 200
        assert front.keys.figures().touched == 0
        assert front.keys.scopes() == []


async def test_a_delete_by_filter_is_a_scope_until_somebody_reconciles_it() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        assert status(await front.request("POST", f"{POINTS}/delete", {"filter": {"must": []}})) == 200
        await front.settled()
        ((_, scope),) = front.keys.scopes()
        assert scope == Scope(None, "POST /collections/{collection}/points/delete (filter)", ids_only=True)


FACTS = {"c": CollectionFacts()}
DELETE = f"{POINTS}/delete?wait=true"
FILTER = {"must": [{"key": "year", "match": {"value": 1.0}}]}


def page(*ids: int, more: int | None = None) -> bytes:
    """Of a scroll."""
    result = {"points": [{"id": item} for item in ids], "next_page_offset": more}
    return answer(200, orjson.dumps({"result": result}))


async def test_the_server_is_asked_what_a_filter_chooses_and_the_delete_is_one_of_these_keys() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port), facts=FACTS) as front:
        db.answers = [page(4, 2**64 - 1), answer(200, b"{}")]
        headers = {"api-key": "secret", "accept-encoding": "gzip"}
        assert status(await front.request("POST", DELETE, {"filter": FILTER}, headers=headers)) == 200
        asked, sent = db.seen
        assert asked.startswith(b"POST /collections/c/points/scroll HTTP/1.1\r\n")
        assert b"api-key: secret" in asked
        assert orjson.loads(asked.partition(b"\r\n\r\n")[2])["filter"] == FILTER
        assert sent.startswith(b"POST /collections/c/points/delete?wait=true ")
        await front.settled()
        assert front.keys.scopes() == []
        dirty = front.keys.dirty(10)
        assert {(each.key, each.deleted, each.covered) for each in dirty} == {
            (Key(None, 4), True, False),
            (Key(None, 2**64 - 1), True, False),
        }


async def test_while_a_delete_by_filter_is_under_way_no_key_can_be_settled() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port), facts=FACTS) as front:
        assert status(await front.request("PUT", POINTS, UPSERT)) == 200
        await front.settled()
        before = front.keys.dirty(10)
        db.seen.clear()
        db.answers, db.delay = [page(4), answer(200, b"{}")], 0.3
        sent = asyncio.create_task(front.request("POST", DELETE, {"filter": FILTER}))
        for seen in (1, 2):
            await until(lambda seen=seen: len(db.seen) == seen)
            assert all(each.covered for each in front.keys.dirty(10))
            assert front.keys.clear(before) == 0
        assert front.keys.scopes() == [], "its keys are known by now"
        assert status(await sent) == 200
        await front.settled()
        assert front.keys.clear(before) == 2


@fault(17)
@pytest.mark.parametrize(
    "reply",
    [page(4, more=5), answer(403), answer(500), answer(200, b"{}"), answer(200, b'{"result": {"points": [{}]}}'), b""],
    ids=["more", "forbidden", "error", "nothing", "no ids", "closed"],
)
async def test_what_a_filter_chooses_is_found_by_comparing_where_the_server_does_not_list_it(reply: bytes) -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port), facts=FACTS) as front:
        db.answers = [reply, answer(200, b"{}")]
        assert status(await front.request("POST", DELETE, {"filter": FILTER})) == 200
        await front.settled()
        assert [scope.reason for _, scope in front.keys.scopes()] == [
            "POST /collections/{collection}/points/delete (filter)"
        ]
        assert front.keys.dirty(10) == []


@pytest.mark.parametrize("headers", [{"x-who": "\u4e16"}, {"x-trace-bin": "1"}, {"X-Case": "1"}])
@pytest.mark.parametrize("grpc", [False, True])
async def test_headers_that_cannot_be_sent_with_a_question_are_no_error(headers: dict[str, str], grpc: bool) -> None:
    async with server() as db:
        asker = Asker(upstream(db.port))
        asked = Question(method="POST", path="/c", body=b"", grpc=grpc, read=lambda answer: Listed([], complete=True))
        try:
            listed = await asker.ask(asked, headers)
        finally:
            await asker.close()
        assert listed in (None, Listed([], complete=True))


@pytest.mark.parametrize("facts", [{"c": CollectionFacts(replicated=True)}, {"other": CollectionFacts()}])
async def test_a_collection_whose_reads_may_differ_is_not_asked(facts: dict[str, CollectionFacts]) -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port), facts=facts) as front:
        assert status(await front.request("POST", DELETE, {"filter": FILTER})) == 200
        assert len(db.seen) == 1
        assert len(front.keys.scopes()) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{POINTS}/delete", {"filter": FILTER}),
        (f"{POINTS}/batch?wait=true", {"operations": [{"delete": {"filter": FILTER}}]}),
    ],
    ids=["not waiting", "in steps"],
)
async def test_a_filter_whose_choice_may_still_change_is_not_asked_for(path: str, body: object) -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port), facts=FACTS) as front:
        assert status(await front.request("POST", path, body)) == 200
        assert len(db.seen) == 1
        assert len(front.keys.scopes()) == 1


async def test_a_client_that_goes_away_while_the_server_is_asked_has_sent_nothing() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port), facts=FACTS) as front:
        db.delay = 1.0
        sent = asyncio.create_task(front.request("POST", DELETE, {"filter": FILTER}))
        await until(lambda: bool(db.seen))
        sent.cancel()
        await until(lambda: front.keys.figures().under_way == 0)
        assert front.keys.scopes() == []
        assert len(db.seen) == 1


async def test_a_change_of_the_collection_is_refused_with_the_reason() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        refused = await front.request("DELETE", "/collections/c")
        assert status(refused) == 409
        assert b"changes the collection as a whole" in refused
        assert db.seen == []


async def test_a_write_waits_while_frozen_and_goes_on_when_it_is_thawed() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        front.go(*FREEZE)
        sent = asyncio.create_task(front.request("PUT", POINTS, UPSERT))
        assert status(await front.request("GET", "/collections/c")) == 200
        await asyncio.sleep(0.3)
        assert len(db.seen) == 1, "the read alone"
        front.go(LivePhase.CATCH_UP)
        assert status(await sent) == 200
        assert len(db.seen) == 2


async def test_a_held_write_is_refused_before_its_client_gives_up_and_says_when_to_come_back() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        front.go(*FREEZE)
        refused = await front.request("PUT", POINTS, UPSERT, headers={"grpc-timeout": "1S"})
        assert status(refused) == 503
        assert b"retry-after: 1" in refused
        assert db.seen == []
        assert front.keys.figures().touched == 0


@fault(34)
async def test_after_the_flip_the_source_takes_no_write_any_more() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        front.go(*FREEZE, LivePhase.DRAINING, LivePhase.VERIFYING, LivePhase.FLIPPED)
        refused = await front.request("PUT", POINTS, UPSERT)
        assert status(refused) == 409
        assert b"write to the target" in refused
        assert status(await front.request("POST", POINTS, {"ids": [1]})) == 200
        assert len(db.seen) == 1


async def test_a_header_that_comes_twice_is_read_as_one_with_both_values() -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        # Compressed twice: not to be read here, so anything may have changed.
        headers = {"content-encoding": "identity", "Content-Encoding": "gzip"}
        await front.request("PUT", POINTS, UPSERT, headers=headers)
        assert len(front.keys.scopes()) == 1


FILTERED = {"filter": {"must": []}}
BATCH = {"operations": [{"delete": FILTERED}, {"delete": FILTERED}]}


@pytest.mark.parametrize(
    ("path", "body", "code", "left"),
    [
        (f"{POINTS}/delete", FILTERED, 400, 0),
        (f"{POINTS}/delete", FILTERED, 404, 0),
        (f"{POINTS}/delete", FILTERED, 408, 1),
        (f"{POINTS}/delete", FILTERED, 200, 1),
        (f"{POINTS}/batch", BATCH, 400, 1),
        (f"{POINTS}/batch", BATCH, 404, 1),
        (f"{POINTS}/batch", BATCH, 401, 0),
        (f"{POINTS}/unheard-of", {}, 404, 0),
        (f"{POINTS}/unheard-of", {}, 400, 1),
    ],
)
async def test_a_request_that_the_server_refuses_as_a_whole_leaves_no_scope(
    path: str, body: object, code: int, left: int
) -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port)) as front:
        db.answers = [answer(code)]
        assert status(await front.request("POST", path, body)) == code
        await front.settled()
        assert len(front.keys.scopes()) == left
