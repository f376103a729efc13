"""A gateway with real Envoy before a server of the test, all on loopback and free ports."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
import pytest

from vectormigrate.adapter.operations import CollectionFacts, Operations
from vectormigrate.capture.classify import reads, routes_of
from vectormigrate.capture.gateway.admission import Admissions, Collection
from vectormigrate.capture.gateway.asking import Asker
from vectormigrate.capture.gateway.envoy_binary import find_envoy
from vectormigrate.capture.gateway.envoy_config import Gateway, envoy_config
from vectormigrate.capture.gateway.envoy_process import admin_page
from vectormigrate.capture.gateway.ports import Port, Routes, Upstream
from vectormigrate.capture.gateway.processor import serve_questions
from vectormigrate.capture.journal.connection import Connection, connect, make
from vectormigrate.capture.journal.group_commit import GroupCommit
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.phase import move, position
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import LivePhase
from vectormigrate.errors import ConfigError

NO_HEADERS: Mapping[str, str] = {}
NONCE = "the-nonce-of-the-test"


def milliseconds() -> int:
    return time.monotonic_ns() // 10**6


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def routes(operations: Operations) -> Routes:
    """Of a database's table."""
    return Routes(
        reads=reads(operations),
        streams=routes_of(operations, lambda row: row.stream),
        answered=routes_of(operations, lambda row: row.answer is not None),
    )


def require_envoy() -> None:
    """Skip where there is none."""
    try:
        find_envoy()
    except ConfigError as error:
        pytest.skip(str(error))


@dataclass(slots=True)
class Server:
    """A server of HTTP/1.1 that keeps the bytes it got. `answers`: one per request, the last one for all others; an
    empty one closes the connection. `delay`: seconds before it answers."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list[bytes])
    answers: list[bytes] = field(default_factory=lambda: [answer(200, b"{}")])
    delay: float = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while request := await read_message(reader):
                self.seen.append(request)
                await asyncio.sleep(self.delay)
                reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not reply:
                    break
                writer.write(reply)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def until(true: Callable[[], bool]) -> None:
    """Until another task or process has made it true."""
    while not true():  # noqa: ASYNC110  nothing tells of it
        await asyncio.sleep(0.01)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer of a server."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Length: {len(body)}",
        *(f"{k}: {v}" for k, v in headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """The bytes of a request or an answer with a length, empty at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    return head + await reader.readexactly(length)


@asynccontextmanager
async def server() -> AsyncGenerator[Server]:
    """A server while the context is open."""
    kept = Server()
    listening = await asyncio.start_server(kept.serve, "127.0.0.1", 0, limit=2**20)
    kept.port = listening.sockets[0].getsockname()[1]
    try:
        yield kept
    finally:
        listening.close()


@dataclass(slots=True, kw_only=True)
class Fronted:
    """A gateway and what belongs to it."""

    ports: Sequence[Port]
    journal: Connection
    envoy: subprocess.Popen[bytes]
    stop_asking: Callable[[], Any]
    now: Callable[[], int]

    @property
    def keys(self) -> TouchedKeys:
        """Of the source, as the runner sees them."""
        return TouchedKeys(self.journal, Side.SOURCE, self.now)

    async def send(self, raw: bytes, port: int = 0, pause: float = 0) -> bytes:
        """The answer to these bytes, empty when the connection is closed instead. `pause`: between head and body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[port].number, limit=2**20)
        try:
            head, _, body = raw.partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(pause)
            writer.write(body)
            await writer.drain()
            return await read_message(reader)
        finally:
            writer.close()

    async def request(
        self, method: str, path: str, body: object = None, pause: float = 0, headers: Mapping[str, str] = NO_HEADERS
    ) -> bytes:
        """The answer to a JSON request."""
        content = b"" if body is None else orjson.dumps(body)
        lines = [f"{method} {path} HTTP/1.1", "Host: db", *(f"{k}: {v}" for k, v in headers.items())]
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(content)}"]
        return await self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + content, pause=pause)

    async def settled(self) -> None:
        """Until no request is under way any more."""
        await until(lambda: self.keys.figures().under_way == self.keys.figures().in_doubt)

    def go(self, *phases: LivePhase) -> None:
        """Enter these phases one after another."""
        for phase in phases:
            with self.journal.transaction():
                move(self.journal, position(self.journal).phase, phase, {})


@asynccontextmanager
async def gateway(
    operations: Operations,
    *upstreams: Upstream,
    names: frozenset[str | None] = frozenset({"c"}),
    change: Callable[[dict[str, Any]], None] = lambda config: None,
    certificate: tuple[Path, Path] | None = None,
    facts: Mapping[str, CollectionFacts] | None = None,
    asked: Callable[[Path, Admissions, dict[str, Collection], str], Any] = serve_questions,
) -> AsyncGenerator[Fronted]:
    """A gateway before these ports of a server. `change`: edits Envoy's configuration, to see what a setting is for;
    `facts`: of the collection, with which the server is asked what filters choose; `asked`: serves its questions."""
    require_envoy()
    with tempfile.TemporaryDirectory(prefix="vm") as directory:
        folder = Path(directory)
        ports = [
            Port(
                name=f"source-{number}",
                side=Side.SOURCE,
                host="127.0.0.1",
                number=free_port(),
                upstream=upstream,
                routes=routes(operations),
                certificate=certificate,
            )
            for number, upstream in enumerate(upstreams)
        ]
        make(folder / "journal.db", "m")
        durable = connect(folder / "journal.db", "m", durable=True)
        runner = connect(folder / "journal.db", "m", durable=False)
        intents = Intents(durable, milliseconds)
        intents.begin_session(fail_open=False)
        group = GroupCommit(intents, lambda error: None)
        askers = {port.name: Asker(port.upstream) if facts else None for port in ports}
        collections = {
            name: Collection(side=Side.SOURCE, operations=operations, names=names, facts=facts or {}, asker=asker)
            for name, asker in askers.items()
        }
        wanted = Gateway(ports=ports, socket=folder / "ask.sock", admin=folder / "admin.sock", nonce=NONCE)
        asking = asked(wanted.socket, Admissions(group), collections, NONCE)
        await asking.__aenter__()
        stopped = False

        async def stop_asking() -> None:
            nonlocal stopped
            if not stopped:
                stopped = True
                await asking.__aexit__(None, None, None)

        config = envoy_config(wanted)
        change(config)
        (folder / "envoy.json").write_bytes(orjson.dumps(config))
        envoy = start_envoy(folder)
        try:
            while await admin_page(wanted.admin, "/ready") is None:
                assert envoy.poll() is None, (folder / "envoy.log").read_text()
                await asyncio.sleep(0.02)
            yield Fronted(ports=ports, journal=runner, envoy=envoy, stop_asking=stop_asking, now=milliseconds)
        finally:
            envoy.kill()
            envoy.wait()
            await stop_asking()
            for asker in askers.values():
                if asker is not None:
                    await asker.close()
            await group.close()
            durable.close()
            runner.close()


def start_envoy(folder: Path) -> subprocess.Popen[bytes]:
    """Envoy with the configuration in the folder."""
    with open(folder / "envoy.log", "wb") as log:
        return subprocess.Popen(
            [find_envoy(), "-c", folder / "envoy.json", "-l", "warning", "--disable-hot-restart", "--concurrency", "1"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(os.environ),
        )
