"""The gateway as a process of its own, with the vendors' clients before real engines: what it notes, what it forwards,
and what happens when it is killed, frozen, or cannot write its journal."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pinecone
import pytest
import qdrant_client
from qdrant_client import models

import vectormigrate
from tests.emulators import pinecone as pinecone_emulator
from tests.emulators.qdrant import Emulator, emulator
from tests.harness.pinecone import key_in_environment
from tests.live.faults import fault
from tests.support.gateway import require_envoy
from tests.support.gateway_process import (
    CAPTURING,
    FLIP,
    GatewayProcess,
    LiveMigration,
    eventually,
    live_migration,
    request,
    start,
)
from vectormigrate.capture.gateway.files import read_info
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.journal.intents import alive
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import LivePhase
from vectormigrate.config.settings import Endpoint
from vectormigrate.errors import InvalidTransition, JournalError, StateBusy
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.live import GatewayPort

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def source() -> Generator[Emulator]:
    require_envoy()
    with emulator() as server:
        fill(server.url, "docs")
        yield server


@pytest.fixture
def target() -> Generator[Emulator]:
    with emulator() as server:
        yield server


@pytest.fixture
def live(tmp_path: Path, source: Emulator, target: Emulator) -> Generator[LiveMigration]:
    with live_migration(tmp_path / "state.db", endpoint(source), endpoint(target, "copy"), deadline=1.0) as found:
        yield found


def endpoint(server: Emulator, collection: str = "docs") -> Endpoint:
    options = {"grpc_port": server.grpc_port}
    return Endpoint(type="qdrant", url=server.url, collection=collection, options=options)


def fill(url: str, name: str) -> None:
    body = {"vectors": {"size": 4, "distance": "Dot"}}
    request("PUT", f"{url}/collections/{name}", body).raise_for_status()
    points = [{"id": n, "vector": [n, 1, 1, 1], "payload": {"n": n}} for n in range(1, 21)]
    request("PUT", f"{url}/collections/{name}/points?wait=true", {"points": points}).raise_for_status()


def client(gateway: GatewayProcess, side: str = "source", **more: Any) -> Any:
    rest, grpc = gateway.port(f"{side}-rest"), gateway.port(f"{side}-grpc")
    number = int(grpc.rpartition(":")[2])
    return qdrant_client.QdrantClient(
        url=f"http://{rest}", grpc_port=number, check_compatibility=False, timeout=10, **more
    )


def point(number: int) -> models.PointStruct:
    return models.PointStruct(id=number, vector=[number, 2, 2, 2], payload={"n": number})


def numbered(number: int) -> models.FilterSelector:
    """By the payload, which the server chooses points by."""
    condition = models.FieldCondition(key="n", match=models.MatchValue(value=number))
    return models.FilterSelector(filter=models.Filter(must=[condition]))


def write(gateway: GatewayProcess, number: int, side: str = "source", name: str = "docs") -> httpx.Response:
    points = [{"id": number, "vector": [number, 2, 2, 2]}]
    url = f"http://{gateway.port(f'{side}-rest')}/collections/{name}/points?wait=true"
    return request("PUT", url, {"points": points})


def read(gateway: GatewayProcess, number: int) -> httpx.Response:
    url = f"http://{gateway.port('source-rest')}/collections/docs/points"
    return request("POST", url, {"ids": [number]})


def test_what_clients_write_over_both_interfaces_is_in_the_journal_and_on_the_server(
    live: LiveMigration, source: Emulator
) -> None:
    live.go(*CAPTURING)
    with live.gateway() as gateway, ExitStack() as stack:
        rest = client(gateway)
        grpc = client(gateway, prefer_grpc=True)
        stack.callback(rest.close)
        stack.callback(grpc.close)
        rest.upsert("docs", [point(100), point(101)])
        grpc.upsert("docs", [point(102)])
        rest.delete("docs", [1])
        rest.delete("docs", numbered(3))
        grpc.delete("docs", numbered(4))
        assert len(grpc.query_points("docs", [1.0, 1, 1, 1], limit=3).points) == 3
        assert {point.id for point in rest.retrieve("docs", [100, 101, 102, 1, 2])} == {100, 101, 102, 2}
        eventually(lambda: live.dirty() == {"100", "101", "102", "1", "3", "4"}, live.dirty())
        assert live.keys().scopes() == []
        eventually(lambda: not live.keys().figures().under_way)
        assert alive(live.journal, steady_milliseconds)
        info = gateway.event("started")
        assert info["ports"][0]["repoint"][0] == (
            f'  QdrantClient(url="http://{gateway.port("source-rest")}", '
            f"grpc_port={gateway.port('source-grpc').rpartition(':')[2]}, prefer_grpc=True)"
        )
        eventually(lambda: metric(gateway, "admitted_writes_total") == 5)
        assert gateway.end() == 0
    assert not alive(live.journal, steady_milliseconds)
    assert live.envoy() is None
    assert live.keys().figures().in_doubt == 0


def metric(gateway: GatewayProcess, name: str) -> float | None:
    lines = request("GET", f"{gateway.http}/metrics").text.splitlines()
    found = [line for line in lines if line.startswith(f"vectormigrate_live_{name}{{")]
    return float(found[0].rpartition(" ")[2]) if found else None


def test_a_killed_gateway_leaves_reads_and_the_next_one_takes_over(live: LiveMigration, source: Emulator) -> None:
    live.go(*CAPTURING)
    with live.gateway() as gateway:
        first = gateway.event("started")
        envoy = live.envoy()
        answers: list[int] = []
        over = threading.Event()

        def load() -> None:
            number = 1000
            while not over.is_set():
                number += 1
                with contextlib.suppress(httpx.TransportError):
                    answers.append(write(gateway, number).status_code)

        writer = threading.Thread(target=load)
        writer.start()
        eventually(lambda: answers.count(200) > 5)
        assert gateway.end(signal.SIGKILL) == -signal.SIGKILL
        eventually(lambda: answers[-1:] == [503])
        assert read(gateway, 2).status_code == 200
        assert live.envoy() == envoy
        with live.gateway() as following:
            assert following.event("adopted")
            assert live.envoy() == envoy
            again = following.event("started")
            assert [port["address"] for port in again["ports"]] == [port["address"] for port in first["ports"]]
            assert again["http"] == first["http"]
            eventually(lambda: answers[-1:] == [200])
            over.set()
            writer.join()
            there = {item["id"] for item in scroll(source.url) if item["id"] > 1000}
            noted = {int(key) for key in live.dirty() if int(key) > 1000}
            assert there <= noted, "nothing was forwarded without an intent"
            assert len(there) >= answers.count(200)
            # What the first one left under way is in doubt for the deadline of the source, which is a second here.
            eventually(lambda: not live.keys().figures().in_doubt)


def scroll(url: str) -> list[dict[str, Any]]:
    body = {"limit": 10_000, "with_payload": False}
    return request("POST", f"{url}/collections/docs/points/scroll", body).json()["result"]["points"]


@fault(34)
def test_writes_are_held_while_frozen_and_refused_on_the_source_after_the_flip(
    live: LiveMigration, target: Emulator
) -> None:
    live.go(*CAPTURING)
    with live.gateway() as gateway:
        assert write(gateway, 100).status_code == 200
        live.go(LivePhase.FREEZING, until=steady_milliseconds() + 60_000)
        eventually(lambda: authority(gateway)["writes"] == "held")
        answer: list[httpx.Response] = []
        held = threading.Thread(target=lambda: answer.append(write(gateway, 101)))
        held.start()
        eventually(lambda: metric(gateway, "held_writes") == 1)
        assert read(gateway, 2).status_code == 200
        live.go(LivePhase.CATCH_UP)
        held.join()
        assert answer[0].status_code == 200
        eventually(lambda: metric(gateway, "gateway_held_longest_ms"))
        eventually(lambda: metric(gateway, "journal_fsync_ms_p99"))
        eventually(lambda: (info := read_info(live.folder)) is not None and info.journal_ms_p99)

        fill(target.url, "copy")
        eventually(lambda: target_known(gateway, live))
        live.go(LivePhase.READY)
        epoch = authority(gateway)["epoch"]
        news: list[dict[str, Any]] = []
        url = f"{gateway.http}/authority?after={epoch}&wait=30"
        waiting = threading.Thread(target=lambda: news.append(request("GET", url, timeout=40).json()))
        waiting.start()
        live.go(*FLIP, until=steady_milliseconds() + 60_000)
        waiting.join()
        assert (news[0]["side"], news[0]["epoch"], news[0]["phase"]) == ("target", epoch + 1, "flipped")
        refused = write(gateway, 102)
        assert (refused.status_code, "write to the target" in refused.text) == (409, True)
        with pytest.raises(Exception, match="PERMISSION_DENIED"):
            client(gateway, prefer_grpc=True).upsert("docs", [point(103)])
        assert write(gateway, 104, "target", "copy").status_code == 200
        url = f"http://{gateway.port('target-rest')}/collections/copy/points/delete?wait=true"
        by_filter = {"filter": {"must": [{"key": "n", "match": {"value": 5}}]}}
        put, five = (
            f"{target.url}/collections/copy/points?wait=true",
            {"id": 5, "vector": [5, 1, 1, 1], "payload": {"n": 5}},
        )

        def named() -> bool:
            """Again and again: until the gateway knows what the target is like, such a delete is a scope."""
            request("PUT", put, {"points": [five]}).raise_for_status()
            request("POST", url, by_filter).raise_for_status()
            return live.dirty(Side.TARGET) == {"104", "5"}

        eventually(named)
        assert "102" not in live.dirty()


def target_known(gateway: GatewayProcess, live: LiveMigration) -> bool:
    """Whether the gateway knows the target by now: a change of it as a whole is refused by its name."""
    url = f"http://{gateway.port('target-rest')}/collections/copy"
    return request("PATCH", url, {"params": {}}).status_code == 409


def authority(gateway: GatewayProcess) -> dict[str, Any]:
    return request("GET", f"{gateway.http}/authority").json()


@fault(32)
def test_a_freeze_that_its_runner_left_is_thawed(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    with live.gateway() as gateway:
        gateway.event("started")
        live.go(LivePhase.FREEZING, LivePhase.DRAINING, until=steady_milliseconds())
        assert "draining" in gateway.event("thawed")["text"]
        assert live.phase is LivePhase.CATCH_UP
        assert write(gateway, 100).status_code == 200


def test_marks_are_intents_of_writers_that_do_not_come_through_envoy(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    with live.gateway("--marks-only", "--http-token", "env:MARK_TOKEN", env={"MARK_TOKEN": "t0ken"}) as gateway:
        shown = {"headers": {"authorization": "Bearer t0ken"}}
        assert gateway.event("started")["ports"] == []
        assert request("POST", f"{gateway.http}/intents", {"keys": [{"id": 7}]}).status_code == 401
        made = request("POST", f"{gateway.http}/intents", {"keys": [{"namespace": "", "id": 7}]}, **shown)
        assert made.status_code == 201
        assert live.dirty() == {"7"}
        assert live.keys().figures().under_way == 1
        token = made.json()["token"]
        close = f"{gateway.http}/intents/{token}/close"
        assert request("POST", f"{close[:-7]}x/close", {}, **shown).status_code == 404
        assert request("POST", close, {"definite": True}, **shown).status_code == 200
        eventually(lambda: not live.keys().figures().under_way)
        scope = request("POST", f"{gateway.http}/intents", {"scope": {"namespace": "a"}}, **shown).json()["token"]
        request("POST", f"{gateway.http}/intents/{scope}/close", {"definite": False}, **shown).raise_for_status()
        eventually(lambda: live.keys().figures().in_doubt == 1)
        wrong = request("POST", f"{gateway.http}/intents", {"keys": [{"id": "no uuid"}]}, **shown)
        assert (wrong.status_code, "cannot hold" in wrong.text) == (400, True)
        live.go(*FLIP, until=steady_milliseconds() + 60_000)
        late = request("POST", f"{gateway.http}/intents", {"keys": [{"id": 8}]}, **shown)
        assert (late.status_code, late.json()["epoch"]) == (409, 1)


def break_journal(live: LiveMigration) -> None:
    """Its tables are gone for the gateway, as with a file that a disk has lost."""
    with live.journal.transaction():
        live.journal._db.execute("ALTER TABLE intent RENAME TO lost")


@fault(27)
def test_a_journal_that_fails_ends_the_gateway_while_reads_go_on_and_writes_are_refused(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    with live.gateway() as gateway:
        assert write(gateway, 100).status_code == 200
        break_journal(live)
        assert write(gateway, 101).status_code == 503
        assert gateway.ended() == 1
        eventually(lambda: "journal" in "".join(gateway.errors) + str(gateway.events))
        assert write(gateway, 102).status_code == 503
        assert read(gateway, 2).status_code == 200
        assert read(gateway, 101).json()["result"] == []


@fault(28)
def test_fail_open_forwards_without_a_journal_and_the_next_gateway_knows_of_it(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    with live.gateway("--fail-open") as gateway:
        gateway.event("started")
        break_journal(live)
        assert write(gateway, 101).status_code == 200
        assert "without the journal" in gateway.event("tainted")["text"]
        assert request("GET", f"{gateway.http}/health").status_code == 503
        gateway.end(signal.SIGKILL)
        with live.journal.transaction():
            live.journal._db.execute("ALTER TABLE lost RENAME TO intent")
        with live.gateway("--fail-open") as following:
            following.event("started")
            assert any("no such table" in reason for reason in live.taints()), live.taints()
            assert not (live.folder.path / "taint").exists()


@fault(37)
def test_a_journal_that_was_restored_from_an_old_copy_is_a_taint(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    with live.gateway() as gateway:
        gateway.event("started")
        gateway.end()
    live.journal.checkpoint()
    copy = live.folder.journal.read_bytes()
    with live.gateway() as gateway:
        write(gateway, 100)
        gateway.end()
    live.journal.close()
    for name in ("journal.db-wal", "journal.db-shm"):
        (live.folder.path / name).unlink(missing_ok=True)
    live.folder.journal.write_bytes(copy)
    live.journal = connect(live.folder.journal, "docs", durable=True)
    with live.gateway() as gateway:
        gateway.event("started")
        assert any("old copy" in reason for reason in live.taints())


@fault(37)
def test_only_one_gateway_has_a_journal(live: LiveMigration) -> None:
    with live.gateway() as gateway:
        gateway.event("started")
        second = start(live.state, "docs")
        assert second.ended() == 4
        eventually(lambda: f"process {gateway.process.pid}" in str(second.events) + "".join(second.errors))


def test_without_envoy_one_line_names_the_ways_out(live: LiveMigration, tmp_path: Path) -> None:
    own = tmp_path / "envoy"
    own.write_text("#!/bin/sh\necho something else\n")
    own.chmod(0o755)
    refused = start(live.state, "docs", "--envoy", str(own))
    assert refused.ended() == 2
    eventually(lambda: "is not Envoy" in str(refused.events) + "".join(refused.errors))


def test_it_waits_for_the_plan(tmp_path: Path, source: Emulator, target: Emulator) -> None:
    state = tmp_path / "state.db"
    early = start(state, "docs", "--marks-only")
    try:
        assert "waiting for the plan of docs" in early.event("waiting")["text"]
        with live_migration(state, endpoint(source), endpoint(target, "copy")):
            assert early.event("started")["http"]
            assert early.end() == 0
    finally:
        early.process.kill()
        early.ended()


def test_an_application_follows_the_authority_also_across_a_restart_of_the_gateway(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    seen: list[tuple[str, int]] = []

    async def follow(place: str) -> None:
        async for now in vectormigrate.authority(place):
            seen.append((now.side, now.epoch))
            if now.side == "target":
                return

    with live.gateway("--marks-only") as gateway:
        url = gateway.http
        follower = threading.Thread(target=anyio.run, args=(follow, url))
        follower.start()
        eventually(lambda: seen == [("source", 0)])
        following = vectormigrate.authority(url)
        assert following.current().side == "source"
        gateway.end(signal.SIGKILL)
        assert following.current().epoch == 0, "what was seen last stays"
        live.go(*FLIP, until=steady_milliseconds() + 60_000)
        with pytest.raises(StateBusy):
            vectormigrate.authority(url).current()
        following.close()
        with live.gateway("--marks-only") as again:
            assert again.http == url
            follower.join(60)
            assert seen == [("source", 0), ("target", 1)]
            assert following.current() == vectormigrate.authority(live.folder.path).current()
            following.close()


def test_who_waits_for_a_switch_is_answered_when_the_gateway_ends(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    with live.gateway("--marks-only") as gateway:
        host, _, port = gateway.http.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), 60) as waiting:
            waiting.sendall(b"GET /authority?after=0&wait=60 HTTP/1.1\r\nHost: gateway\r\n\r\n")
            assert request("GET", f"{gateway.http}/health").status_code == 200, "it has the first one too"
            assert gateway.end() == 0
            assert waiting.makefile("rb").read().startswith(b"HTTP/1.1 200")
        assert gateway.errors == []


def test_a_marked_write_is_closed_by_its_success_or_its_refusal_and_else_in_doubt(live: LiveMigration) -> None:
    live.go(*CAPTURING)
    with live.gateway("--marks-only") as gateway:
        marking = vectormigrate.marker(gateway.http)

        def figures() -> tuple[int, int]:
            found = live.keys().figures()
            return found.under_way, found.in_doubt

        with marking.writing([7, ("", 8)]):
            assert live.dirty() == {"7", "8"}
            assert figures() == (1, 0)
        eventually(lambda: figures() == (0, 0))
        with pytest.raises(LookupError), marking.writing([9], refusals=(LookupError,)):
            raise LookupError
        eventually(lambda: figures() == (0, 0))

        async def cancelled() -> None:
            with anyio.move_on_after(0.01):
                async with marking.writing([10]):
                    await anyio.sleep_forever()

        anyio.run(cancelled)
        eventually(lambda: figures()[1] == 1)
        with pytest.raises(ConnectionError), marking.writing(scope=""):
            raise ConnectionError
        eventually(lambda: len(live.keys().scopes()) == 1)
        live.go(*FLIP, until=steady_milliseconds() + 60_000)
        with pytest.raises(InvalidTransition, match="write to the target"), marking.writing([11]):
            pytest.fail("it may not be written")
        marking.close()
    with pytest.raises(JournalError), vectormigrate.marker(gateway.http).writing([12]):
        pytest.fail("it may not be written")


def test_a_target_that_gets_its_address_later_gets_ports_while_the_same_envoy_runs(
    tmp_path: Path, source: Emulator
) -> None:
    with pinecone_emulator.running("127.0.0.6") as server, ExitStack() as stack:
        later = Endpoint(type="pinecone", url=server.url, collection="docs", api_key_ref="env:PINECONE_API_KEY")
        stack.enter_context(key_in_environment(server.api_key))
        live = stack.enter_context(live_migration(tmp_path / "state.db", endpoint(source), later))
        live.go(*CAPTURING)
        gateway = stack.enter_context(live.gateway())
        assert {port["side"] for port in gateway.event("started")["ports"]} == {"source"}
        assert eventually(lambda: unserved(live) == ("target",))
        envoy = live.envoy()
        fields = {"_values": {"type": "dense_vector", "dimension": 4, "metric": "dotproduct"}}
        with pinecone.Pinecone(api_key=server.api_key, host=server.url) as control:
            control.indexes.create(name="docs", schema={"fields": fields}, timeout=10)
        assert gateway.event("ports")
        info = eventually(lambda: target_port(live))
        assert unserved(live) == ()
        index = stack.enter_context(pinecone.Pinecone(api_key=server.api_key).index(host=f"http://{info.address}"))
        assert eventually(lambda: listens(info.address))
        assert index.describe_index_stats().total_vector_count == 0
        with pytest.raises(pinecone.PineconeError, match="write to the source"):
            index.upsert(vectors=[{"id": "a", "values": [1.0, 2, 3, 4]}])
        assert live.envoy() == envoy
        assert write(gateway, 100).status_code == 200


def unserved(live: LiveMigration) -> tuple[str, ...] | None:
    info = read_info(live.folder)
    return info and info.unserved


def target_port(live: LiveMigration) -> GatewayPort | None:
    info = read_info(live.folder)
    return next((port for port in info.ports if port.side == "target"), None) if info else None


def listens(address: str) -> bool:
    host, _, number = address.rpartition(":")
    try:
        socket.create_connection((host, int(number)), 1).close()
    except OSError:
        return False
    return True


def test_a_page_that_others_can_reach_needs_a_token(live: LiveMigration) -> None:
    refused = start(live.state, "docs", "--marks-only", "--http", "0.0.0.0:1")
    assert refused.ended() == 2
    assert "needs a token" in refused.events[-1]["text"]
