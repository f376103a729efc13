"""Connections: how many, how long without a request, and what a lack of descriptors does."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx2
import pytest
import uvicorn
from anyio.abc import SocketStream
from uvicorn.protocols.http.h11_impl import H11Protocol

from tests.server.support import ALICE, accounting, audit_lines
from tests.server.toy import bearer, serving
from vectormigrate.adapter.vendor_errors import translated
from vectormigrate.errors import AdapterError, ConfigError, TransientError
from vectormigrate.server.http.listener import ConnectionLimits, Listener
from vectormigrate.server.http.peers import Proxies

pytestmark = pytest.mark.anyio

QUICK = ConnectionLimits(total=40, per_peer=20, header_seconds=0.4)


async def opened(url: str, text: str = "") -> SocketStream:
    stream = await anyio.connect_tcp("127.0.0.1", int(url.rpartition(":")[2]))
    if text:
        await stream.send(text.encode())
    return stream


async def end_of(stream: SocketStream) -> bytes:
    """What comes until the server closes."""
    got = b""
    async with stream:
        try:
            while True:
                got += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return got


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "GET /page HTT",
        "GET /page HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nX-B: ",
    ],
)
async def test_a_connection_without_a_whole_request_is_ended(sent: str) -> None:
    async with (
        serving(accounting(), caps=QUICK) as url,
        httpx2.AsyncClient(headers=bearer(ALICE)) as http,
        http.stream("GET", f"{url}/sse") as stream,
    ):
        await anext(stream.aiter_lines())
        with anyio.fail_after(20):
            await end_of(await opened(url, sent))
            # An open stream is a request that is being answered.
            assert (await http.get(f"{url}/page")).status_code == 200


async def test_one_address_may_not_hold_all_connections(tmp_path: Path) -> None:
    caps = ConnectionLimits(total=40, per_peer=5, header_seconds=30)
    async with serving(accounting(tmp_path), caps=caps) as url:
        held = [await opened(url, "GET ") for _ in range(5)]
        with anyio.fail_after(20):
            assert b"503" in await end_of(await opened(url))
            for stream in held:
                await stream.aclose()
            async with httpx2.AsyncClient(headers=bearer(ALICE)) as http:
                while True:
                    try:
                        assert (await http.get(f"{url}/page")).status_code in (200, 503)
                        break
                    except httpx2.TransportError:
                        pass
    assert audit_lines(tmp_path)[0]["outcome"] == "refused connections_of_address"


@contextmanager
def no_descriptors() -> Generator[None]:
    """This process can open nothing more inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    filled: list[int] = []
    try:
        try:
            while True:
                filled.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in filled:
            os.close(descriptor)


async def test_without_descriptors_callers_are_turned_away_and_the_log_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(accounting(), caps=QUICK) as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        clients = [socket.socket() for _ in range(5)]
        with caplog.at_level(logging.ERROR), no_descriptors():
            for client in clients:
                client.settimeout(20)
                client.connect(address)
            for client in clients:
                assert await anyio.to_thread.run_sync(_ended, client)
        for client in clients:
            client.close()
        assert [record.getMessage() for record in caplog.records if "turned away" in record.getMessage()] != []
        assert len(caplog.records) == 1
        assert all(record.exc_info is None for record in caplog.records)
        async with httpx2.AsyncClient(headers=bearer(ALICE)) as http:
            assert (await http.get(f"{url}/page")).status_code == 200


async def test_one_whose_spare_descriptor_was_taken_serves_again_when_there_are_some() -> None:
    async with serving(accounting(), caps=QUICK) as url:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        client = socket.socket()
        try:
            # Below every free one: what is closed now cannot be opened again, as if another thread had taken it.
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            client.connect(("127.0.0.1", int(url.rpartition(":")[2])))
            await anyio.sleep(0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client.close()
        with anyio.fail_after(20):
            async with httpx2.AsyncClient(headers=bearer(ALICE)) as http:
                assert (await http.get(f"{url}/page")).status_code == 200


async def test_a_server_that_is_cancelled_closes_what_it_opened() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for _ in range(2):
            kind = (await receive())["type"]
            ended.append(kind)
            await send({"type": f"{kind}.complete"})

    config = uvicorn.Config(app, host="127.0.0.1", port=0, http=H11Protocol, log_config=None, lifespan="on")
    server = Listener(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await anyio.lowlevel.checkpoint()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert [sock.fileno() for sock in server.listening] == [-1]
    assert ended == ["lifespan.startup", "lifespan.shutdown"]


def _ended(client: socket.socket) -> bool:
    try:
        return client.recv(10) == b""
    except ConnectionResetError:
        return True


def test_some_descriptors_stay_free() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        assert ConnectionLimits.of(1000) == ConnectionLimits(total=384, per_peer=192)
        assert ConnectionLimits.of(100).total == 100
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_lack_of_descriptors_is_tried_again_by_the_engine_however_deep_it_is_told() -> None:
    def unknown(error: BaseException, operation: str) -> AdapterError | None:
        return None

    def deep() -> None:
        try:
            try:
                raise OSError(24, "Too many open files")
            except OSError as inner:
                raise RuntimeError("connection failed") from inner
        except RuntimeError as outer:
            raise ValueError("the client says") from outer

    with pytest.raises(TransientError, match="too many files open"), translated(unknown, "scan"):
        deep()
    with pytest.raises(ValueError, match="other"), translated(unknown, "scan"):
        raise ValueError("other")


def scope(client: str, *forwarded: str) -> dict[str, object]:
    return {"type": "http", "client": (client, 1), "headers": [(b"x-forwarded-for", f.encode()) for f in forwarded]}


@pytest.mark.parametrize(
    ("trusted", "direct", "forwarded", "peer"),
    [
        ((), "127.0.0.1", ("9.9.9.9",), "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1", ("9.9.9.9",), "9.9.9.9"),
        (("127.0.0.1",), "8.8.8.8", ("9.9.9.9",), "8.8.8.8"),
        (("127.0.0.1",), "127.0.0.1", ("6.6.6.6, 9.9.9.9",), "9.9.9.9"),
        (("127.0.0.1",), "127.0.0.1", ("6.6.6.6", "9.9.9.9"), "9.9.9.9"),
        (("127.0.0.1", "10.0.0.0/8"), "127.0.0.1", ("9.9.9.9, 10.1.2.3",), "9.9.9.9"),
        (("127.0.0.1",), "127.0.0.1", ("<script>",), "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1", ("9.9.9.9, root",), "127.0.0.1"),
        (("127.0.0.1",), "127.0.0.1", (), "127.0.0.1"),
        (("127.0.0.1",), "::ffff:127.0.0.1", ("2001:db8::1",), "2001:db8::1"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(
    trusted: tuple[str, ...], direct: str, forwarded: tuple[str, ...], peer: str
) -> None:
    assert Proxies.of(trusted).client(scope(direct, *forwarded)) == peer


def test_what_is_no_address_cannot_be_trusted() -> None:
    with pytest.raises(ConfigError, match="--trusted-proxy 'nginx'"):
        Proxies.of(["nginx"])


async def test_a_header_changes_neither_the_limit_of_refusals_nor_the_audit_log(tmp_path: Path) -> None:
    async with serving(accounting(tmp_path, calls=0)) as url, httpx2.AsyncClient() as http:
        codes = [
            (await http.get(f"{url}/page", headers={"X-Forwarded-For": f"10.0.0.{number}"})).status_code
            for number in range(110)
        ]
    assert codes == [401] * 100 + [429] * 10
    assert {line["peer"] for line in audit_lines(tmp_path)} == {"127.0.0.1"}
    assert len(audit_lines(tmp_path)) == 100


async def test_behind_a_trusted_proxy_each_client_has_its_own_limit(tmp_path: Path) -> None:
    proxies = Proxies.of(["127.0.0.1"])
    async with serving(accounting(tmp_path, calls=2), proxies=proxies) as url, httpx2.AsyncClient() as http:
        for client in ("10.0.0.1", "10.0.0.2"):
            codes = [(await http.get(f"{url}/page", headers={"X-Forwarded-For": client})).status_code for _ in range(3)]
            assert codes == [401, 401, 429]
    assert {line["peer"] for line in audit_lines(tmp_path)} == {"10.0.0.1", "10.0.0.2"}
