"""Envoy outlives the process that started it, is found again by the next one, and comes back when it dies itself."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import anyio.lowlevel
import orjson
import pytest

from tests.support.gateway import free_port, require_envoy, routes, server, until
from vectormigrate.adapters.qdrant.operations import OPERATIONS
from vectormigrate.capture.gateway.envoy_binary import envoy_version, find_envoy
from vectormigrate.capture.gateway.envoy_process import Envoy, admin_page, envoy_running
from vectormigrate.capture.gateway.ports import Port, Upstream
from vectormigrate.capture.keys import Side
from vectormigrate.errors import ConfigError

pytestmark = pytest.mark.anyio


def port(upstream: int, number: int) -> Port:
    return Port(
        name="source-rest",
        side=Side.SOURCE,
        host="127.0.0.1",
        number=number,
        upstream=Upstream(host="127.0.0.1", port=upstream),
        routes=routes(OPERATIONS),
    )


def envoy(folder: str, ports: list[Port]) -> Envoy:
    require_envoy()
    return Envoy(find_envoy(), Path(folder), Path(folder), ports)


def pid(folder: str) -> int:
    return int(orjson.loads((Path(folder) / "envoy.pid").read_bytes())["pid"])


async def reads(number: int) -> bool:
    """Whether a read passes."""
    try:
        stream = await anyio.connect_tcp("127.0.0.1", number)
    except OSError:
        return False
    async with stream:
        await stream.send(b"GET /collections HTTP/1.1\r\nHost: db\r\n\r\n")
        return b" 200 " in await stream.receive()


async def test_the_next_process_takes_over_an_envoy_that_was_left_alone_and_knows_its_nonce() -> None:
    async with server() as db:
        with TemporaryDirectory(prefix="vm") as folder:
            ports = [port(db.port, free_port())]
            first = envoy(folder, ports)
            assert not first.start()
            await first.wait_ready()
            # `first` is forgotten without a word, as after SIGKILL.
            async with envoy_running(envoy(folder, ports)) as taken_over:
                assert taken_over
                assert await reads(ports[0].number)
                assert envoy(folder, ports).gateway.nonce == first.gateway.nonce
            assert not first.alive()


async def test_an_envoy_with_another_configuration_is_replaced() -> None:
    async with server() as db:
        with TemporaryDirectory(prefix="vm") as folder:
            first = envoy(folder, [port(db.port, free_port())])
            first.start()
            await first.wait_ready()
            async with envoy_running(envoy(folder, [port(db.port, free_port())])) as taken_over:
                assert not taken_over
                assert not first.alive()


async def test_an_envoy_that_dies_is_started_again() -> None:
    async with server() as db:
        with TemporaryDirectory(prefix="vm") as folder:
            ports = [port(db.port, free_port())]
            async with envoy_running(envoy(folder, ports)):
                old = pid(folder)
                os.kill(old, signal.SIGKILL)
                await until(lambda: pid(folder) != old)
                await anyio.lowlevel.checkpoint()
                while not await reads(ports[0].number):  # noqa: ASYNC110  until it listens
                    await anyio.sleep(0.05)


async def test_a_port_that_is_taken_ends_with_the_reason() -> None:
    async with server() as db:
        with TemporaryDirectory(prefix="vm") as folder:
            with pytest.raises(ConfigError, match=r"Envoy does not start.*(in use|bind)"):
                async with envoy_running(envoy(folder, [port(db.port, db.port)])):
                    pass
            assert await admin_page(Path(folder) / "admin.sock", "/ready") is None


def test_nobody_else_can_read_the_nonce() -> None:
    with TemporaryDirectory(prefix="vm") as folder:
        made = envoy(folder, [port(1, free_port())])
        made.start()
        made.stop()
        assert (Path(folder) / "envoy.json").stat().st_mode & 0o777 == 0o600


def test_another_program_than_envoy_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not Envoy"):
        envoy_version(Path(sys.executable))
    with pytest.raises(ConfigError, match="cannot be run as Envoy"):
        find_envoy(tmp_path / "envoy")
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\necho 'envoy  version: abc/1.20.0/Clean/RELEASE/BoringSSL'\n")
    old.chmod(0o700)
    with pytest.raises(ConfigError, match=r"is Envoy 1\.20; the gateway needs 1\.36 or newer"):
        find_envoy(old)
