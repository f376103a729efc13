"""Writes whose keys are not in one request with a length: ids that the server makes, and calls that stay open."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import orjson
import pytest

from tests.live.faults import fault
from tests.support.gateway import answer, gateway, server, until
from vectormigrate.adapters.weaviate.operations import OPERATIONS
from vectormigrate.capture.gateway.ports import Upstream
from vectormigrate.capture.keys import Key

pytestmark = pytest.mark.anyio

NAMES: frozenset[str | None] = frozenset({"C"})
MADE = uuid.UUID(int=7)
SERVICE = "weaviate.v1.Weaviate"
LARGE = 20 * 2**20


def upstream(port: int) -> Upstream:
    return Upstream(host="127.0.0.1", port=port)


@fault(18)
@pytest.mark.parametrize(
    ("reply", "keys", "scopes"),
    [
        (answer(200, orjson.dumps({"id": str(MADE), "class": "C"})), {Key("", MADE)}, 0),
        (answer(422, b'{"error": []}'), set[Key](), 0),
        (answer(200, b'{"id": "no id"}'), set[Key](), 1),
        (answer(500, b"{}"), set[Key](), 1),
        (b"", set[Key](), 1),
    ],
    ids=["answered", "refused", "unreadable", "failed", "lost"],
)
async def test_ids_that_the_server_made_come_from_its_answer_or_are_looked_for(
    reply: bytes, keys: set[Key], scopes: int
) -> None:
    async with server() as db, gateway(OPERATIONS, upstream(db.port), names=NAMES) as front:
        db.answers = [reply]
        got = await front.request("POST", "/v1/objects", {"class": "C", "properties": {}})
        await front.settled()
        assert {dirty.key for dirty in front.keys.dirty(10)} == keys
        assert len(front.keys.scopes()) == scopes
        assert not reply or got.endswith(reply.partition(b"\r\n\r\n")[2])


class Streams:
    """A server of bidirectional calls that keeps what it got."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.port = 0

    async def stream(self, messages: Any, context: Any) -> AsyncGenerator[bytes]:
        async for message in messages:
            self.seen.append(message)
            yield b""

    async def unary(self, message: bytes, context: Any) -> bytes:
        self.seen.append(message)
        return b""


@asynccontextmanager
async def streams() -> AsyncGenerator[Streams]:
    kept = Streams()

    async def unary(message: bytes, context: Any) -> bytes:
        return await kept.unary(message, context)

    handlers: dict[str, Any] = {
        "BatchStream": grpc.stream_stream_rpc_method_handler(kept.stream),
        "BatchObjects": grpc.unary_unary_rpc_method_handler(unary),  # pyright: ignore[reportArgumentType]
    }
    listening = grpc.aio.server(options=[("grpc.max_receive_message_length", -1)])
    listening.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    kept.port = listening.add_insecure_port("127.0.0.1:0")
    await listening.start()
    try:
        yield kept
    finally:
        await listening.stop(grace=None)


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    length = len(content)
    head = bytearray([number << 3 | 2])
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    return bytes([*head, length]) + content


def objects(*ids: uuid.UUID, padding: int = 0) -> bytes:
    """The objects of a batch: BatchObject{uuid=1, collection=4, vector bytes=6}."""
    return b"".join(field(1, field(1, str(each).encode()) + field(4, b"C") + field(6, bytes(padding))) for each in ids)


async def test_each_message_of_an_open_call_is_noted_before_the_server_has_it() -> None:
    ids = [uuid.UUID(int=number) for number in range(3)]
    async with streams() as db, gateway(OPERATIONS, upstream(db.port), names=NAMES) as front:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0].number}") as channel:
            call: Any = channel.stream_stream(f"/{SERVICE}/BatchStream")()
            for number, each in enumerate(ids, 1):
                await call.write(field(2, field(1, objects(each))))
                await call.read()
                assert len(db.seen) == number
                assert {dirty.key for dirty in front.keys.dirty(10) if dirty.covered} == {
                    Key("", known) for known in ids[:number]
                }
            await call.done_writing()
            assert await call.code() is grpc.StatusCode.OK
        await front.settled()
        assert front.keys.figures().in_doubt == 0
        assert not any(dirty.covered for dirty in front.keys.dirty(10))


async def test_an_open_call_that_is_cut_off_leaves_its_messages_in_doubt() -> None:
    async with streams() as db, gateway(OPERATIONS, upstream(db.port), names=NAMES) as front:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0].number}") as channel:
            call: Any = channel.stream_stream(f"/{SERVICE}/BatchStream")()
            await call.write(field(2, field(1, objects(MADE))))
            await call.read()
            call.cancel()
        await until(lambda: front.keys.figures().in_doubt == 1)


async def test_a_large_message_over_http_2_passes_whole() -> None:
    message = objects(MADE, padding=LARGE)
    async with streams() as db, gateway(OPERATIONS, upstream(db.port), names=NAMES) as front:
        options = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0].number}", options=options) as channel:
            call: Any = channel.unary_unary(f"/{SERVICE}/BatchObjects")
            await asyncio.wait_for(call(message), 60)
        assert db.seen == [message]
        await front.settled()
        assert [dirty.key for dirty in front.keys.dirty(10)] == [Key("", MADE)]


async def test_a_call_that_the_server_refuses_is_not_in_doubt_and_one_that_failed_on_the_way_is() -> None:
    for code, doubted in ((grpc.StatusCode.INVALID_ARGUMENT, 0), (grpc.StatusCode.UNAVAILABLE, 1)):

        async def refuse(message: bytes, context: Any, code: grpc.StatusCode = code) -> bytes:
            await context.abort(code, "no")
            return b""

        async with streams() as db, gateway(OPERATIONS, upstream(db.port), names=NAMES) as front:
            db.unary = refuse  # type: ignore[method-assign]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{front.ports[0].number}") as channel:
                call: Any = channel.unary_unary(f"/{SERVICE}/BatchObjects")
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await call(objects(MADE))
            assert error.value.code() is code
            await front.settled()
            assert front.keys.figures().in_doubt == doubted
