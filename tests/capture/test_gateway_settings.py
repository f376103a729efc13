"""What each setting of Envoy is for: the test holds with it, and the same test does not without it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.gateway import Fronted, Server, answer, gateway, server
from tests.support.tls import authority
from vectormigrate.adapters.qdrant.operations import OPERATIONS
from vectormigrate.capture.gateway.admission import Admissions, Collection
from vectormigrate.capture.gateway.envoy_config import BELT, EXT_PROC, INTENT_HEADER
from vectormigrate.capture.gateway.messages import CONTINUE_REQUEST_HEADERS, pb
from vectormigrate.capture.gateway.ports import Upstream
from vectormigrate.capture.gateway.protocol import SERVICE
from vectormigrate.capture.phases import LivePhase

pytestmark = pytest.mark.anyio

Config = dict[str, Any]
Look = Callable[[Fronted, Server], Awaitable[bool]]
POINTS = "/collections/c/points"
UPSERT = {"points": [{"id": 7, "vector": [0.5]}]}


def manager(config: Config) -> Config:
    """The HTTP connection manager of the first listener."""
    return config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]


def asking(config: Config) -> Config:
    return next(item for item in manager(config)["http_filters"] if item["name"] == EXT_PROC)["typed_config"]


def host(config: Config) -> Config:
    return manager(config)["route_config"]["virtual_hosts"][0]


def cluster(config: Config) -> Config:
    (found,) = (item for item in config["static_resources"]["clusters"] if item["name"] == "source-0")
    return found


def as_it_is(config: Config) -> None:
    """Nothing is taken out."""


def without_belt(config: Config) -> None:
    manager(config)["http_filters"] = [item for item in manager(config)["http_filters"] if item["name"] != BELT]
    for route in host(config)["routes"]:
        route["typed_per_filter_config"].pop(BELT, None)


def status(raw: bytes) -> int:
    return int(raw.split()[1]) if raw else 0


async def keeps_case(front: Fronted, db: Server) -> bool:
    db.answers = [answer(200, b"", **{"X-Answer-CASE": "1"})]
    reply = await front.send(b"GET /collections HTTP/1.1\r\nHost: db\r\nX-Some-CASE: 1\r\n\r\n")
    return b"X-Some-CASE: 1" in db.seen[-1] and b"X-Answer-CASE: 1" in reply


async def adds_nothing(front: Fronted, db: Server) -> bool:
    raw = b"GET /collections HTTP/1.1\r\nHost: db\r\n\r\n"
    db.answers = [answer(200, b"", date="Thu, 01 Jan 2026 00:00:00 GMT", server="db")]  # Envoy adds a missing date.
    reply = await front.send(raw)
    await front.request("PUT", POINTS, UPSERT)
    return db.seen[0] == raw and INTENT_HEADER.encode() not in db.seen[1] and reply == db.answers[0]


async def names_with_underscores_pass(front: Fronted, db: Server) -> bool:
    await front.send(b"GET /collections HTTP/1.1\r\nHost: db\r\nx_y: 1\r\n\r\n")
    return b"x_y: 1" in db.seen[-1]


async def slow_answers_pass(front: Fronted, db: Server) -> bool:
    db.delay = 1.5
    return status(await front.request("GET", "/collections")) == 200


async def writes_may_be_held(front: Fronted, db: Server) -> bool:
    front.go(LivePhase.CAPTURING, LivePhase.BACKFILL, LivePhase.CATCH_UP, LivePhase.READY, LivePhase.FREEZING)
    sent = asyncio.create_task(front.request("PUT", POINTS, UPSERT))
    await asyncio.sleep(1)
    front.go(LivePhase.CATCH_UP)
    return status(await sent) == 200


async def refusals_can_be_tried_again(front: Fronted, db: Server) -> bool:
    await front.stop_asking()
    return status(await front.request("PUT", POINTS, UPSERT)) == 503


async def reads_pass_while_nobody_answers(front: Fronted, db: Server) -> bool:
    await front.stop_asking()
    return status(await front.request("POST", POINTS, {"ids": [1]})) == 200


async def large_bodies_pass(front: Fronted, db: Server) -> bool:
    body = b'{"points":[{"id":7,"vector":[' + b"1," * (2 * 2**20) + b"1]}]}"
    head = b"PUT /collections/c/points HTTP/1.1\r\nHost: db\r\nContent-Length: " + str(len(body)).encode()
    raw = head + b"\r\n\r\n" + body
    reply = await front.send(raw)
    return status(reply) == 200 and db.seen == [raw] and front.keys.figures().touched == 1


async def a_method_decides(front: Fronted, db: Server) -> bool:
    await front.request("PUT", POINTS, UPSERT)
    await front.settled()
    return front.keys.figures().touched == 1


async def bodyless_writes_are_noted(front: Fronted, db: Server) -> bool:
    await front.request("DELETE", "/collections/c/something/new")
    return len(front.keys.scopes()) == 1


SETTINGS: dict[str, tuple[Look, Callable[[Config], Any]]] = {
    "case of the request": (
        keeps_case,
        lambda config: manager(config).pop("http_protocol_options"),
    ),
    "x-forwarded-proto": (adds_nothing, lambda config: host(config)["request_headers_to_remove"].pop(0)),
    "the nonce stays inside": (adds_nothing, lambda config: host(config)["request_headers_to_remove"].pop(1)),
    "no request id": (adds_nothing, lambda config: manager(config).pop("generate_request_id")),
    "the server's name": (adds_nothing, lambda config: manager(config).pop("server_header_transformation")),
    "no headers of the router": (
        adds_nothing,
        lambda config: manager(config)["http_filters"][-1]["typed_config"].pop("suppress_envoy_headers"),
    ),
    "underscores": (
        names_with_underscores_pass,
        lambda config: manager(config).update(
            common_http_protocol_options={"headers_with_underscores_action": "DROP_HEADER"}
        ),
    ),
    "no deadline of the route": (
        slow_answers_pass,
        lambda config: [route["route"].update(timeout="1s") for route in host(config)["routes"]],
    ),
    "time to hold": (writes_may_be_held, lambda config: asking(config).pop("message_timeout")),
    "status": (refusals_can_be_tried_again, lambda config: asking(config).pop("status_on_error")),
    "reads are not asked about": (
        reads_pass_while_nobody_answers,
        lambda config: [route["typed_per_filter_config"].clear() for route in host(config)["routes"]],
    ),
    "room for a body": (
        large_bodies_pass,
        lambda config: [
            item.pop("per_connection_buffer_limit_bytes")
            for item in (*config["static_resources"]["listeners"], *config["static_resources"]["clusters"])
        ],
    ),
    "methods tell reads from writes": (
        a_method_decides,
        lambda config: [route["match"].pop("headers", None) for route in host(config)["routes"]],
    ),
    "headers are asked about": (
        bodyless_writes_are_noted,
        lambda config: (asking(config)["processing_mode"].update(request_header_mode="SKIP"), without_belt(config)),
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
async def test_a_setting_is_needed_and_does_what_it_is_for(name: str) -> None:
    look, remove = SETTINGS[name]
    async with server() as db, gateway(OPERATIONS, Upstream(host="127.0.0.1", port=db.port)) as front:
        assert await look(front, db)
    async with server() as db, gateway(OPERATIONS, Upstream(host="127.0.0.1", port=db.port), change=remove) as front:
        assert not await look(front, db)


@asynccontextmanager
async def deserting(
    socket: Path, admissions: Admissions, collections: dict[str, Collection], nonce: str
) -> AsyncGenerator[None]:
    """Answers the headers, and ends the conversation in order before the body was asked about: a mistake of ours."""

    async def process(messages: Any, context: Any) -> None:
        await context.read()
        await context.write(CONTINUE_REQUEST_HEADERS)

    handler: Any = grpc.stream_stream_rpc_method_handler(process, request_deserializer=pb.ProcessingRequest.FromString)
    asked = grpc.aio.server()
    asked.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Process": handler}),))
    asked.add_insecure_port(f"unix:{socket}")
    await asked.start()
    try:
        yield
    finally:
        await asked.stop(grace=None)


async def test_a_conversation_that_we_end_too_early_forwards_nothing() -> None:
    for change, reply in ((as_it_is, 403), (without_belt, 200)):
        async with (
            server() as db,
            gateway(OPERATIONS, Upstream(host="127.0.0.1", port=db.port), change=change, asked=deserting) as front,
        ):
            # A client that knows the header's name gains nothing.
            got = await front.request("PUT", POINTS, UPSERT, pause=0.5, headers={INTENT_HEADER: "guessed"})
            assert (status(got), len(db.seen)) == (reply, int(reply == 200))


async def test_a_server_that_is_not_who_it_should_be_gets_nothing(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    for folder in (good, bad):
        folder.mkdir()
    own = authority(good, "localhost")
    foreign = authority(bad, "localhost")

    async def reached(upstream: Upstream, change: Callable[[Config], Any] = as_it_is) -> bool:
        async with gateway(OPERATIONS, upstream, change=change) as front:
            return status(await front.request("GET", "/collections")) == 200

    def believe_all(config: Config) -> None:
        cluster(config)["transport_socket"]["typed_config"]["common_tls_context"].pop("validation_context")

    async with server() as db, encrypted(db, own.server) as port:
        assert await reached(Upstream(host="localhost", port=port, tls=True, ca=own.ca))
        assert not await reached(Upstream(host="localhost", port=port, tls=True, ca=foreign.ca))
        assert not await reached(Upstream(host="localhost", port=port, tls=True, ca=own.ca, server_name="other"))
        assert await reached(Upstream(host="localhost", port=port, tls=True, ca=foreign.ca), believe_all)


@asynccontextmanager
async def encrypted(db: Server, certificate: Path) -> AsyncGenerator[int]:
    """The server behind TLS; its port."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listening = await asyncio.start_server(db.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


@pytest.mark.parametrize("database", ["milvus", "pinecone", "qdrant", "weaviate"])
async def test_envoy_takes_the_configuration_for_each_database(database: str, tmp_path: Path) -> None:
    operations = importlib.import_module(f"vectormigrate.adapters.{database}.operations").OPERATIONS
    async with server() as db, gateway(operations, Upstream(host="127.0.0.1", port=db.port)) as front:
        assert status(await front.request("GET", "/")) == 200
        assert status(await front.request("PUT", "/never/heard/of", {})) == 200
        assert len(front.keys.scopes()) == 1
