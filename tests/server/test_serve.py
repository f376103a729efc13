"""The process: how it starts, what it refuses, how it ends."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client

from tests.server.requirements import requirement
from tests.server.toy import bearer, connected
from tests.server.world import (
    ADMIN_KEY,
    KEYS,
    MANY,
    READ_KEY,
    SLOW,
    World,
    call,
    on_http,
    plan,
    start,
    until_moving,
)

pytestmark = pytest.mark.anyio

LIMIT = 60.0


def edge(folder: Path) -> World:
    world = World(folder, "qdrant_edge")
    world.write()
    return world


@contextmanager
def process(world: World, *flags: str, **environment: str) -> Generator[subprocess.Popen[str]]:
    """`vectormigrate serve`, ended by the test or here."""
    with subprocess.Popen(
        world.command(*flags),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**world.environment, **environment},
        cwd=world.folder,
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                running.kill()


def lines_until(running: subprocess.Popen[str], message: str) -> list[dict[str, Any]]:
    """The log up to this message."""
    assert running.stderr is not None
    seen: list[dict[str, Any]] = []
    for line in running.stderr:
        seen.append(json.loads(line))
        if seen[-1]["message"] == message:
            return seen
    raise AssertionError(seen)


def failed(world: World, *flags: str, **environment: str) -> tuple[int, str]:
    """How a server that cannot start ends."""
    done = subprocess.run(
        world.command(*flags),
        env={**world.environment, **environment},
        cwd=world.folder,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


@requirement("serve:light-start")
def test_nothing_heavy_is_loaded_before_the_first_call(world: World) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "import vectormigrate.server.stdio\nfrom vectormigrate.server.app import build\n"
        "from vectormigrate.config.settings import load_settings\n"
        f"build(load_settings(config=Path({str(world.config)!r})))\n"
        "heavy = ('numpy', 'aiosqlite', 'vectormigrate.service', 'pymilvus', 'qdrant_edge', 'grpc', 'typer')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True)
    assert done.stdout.strip() == "[]"


@requirement("serve:no-keys-no-network")
@pytest.mark.parametrize("address", [":0", "0.0.0.0:0", "192.0.2.7:8080"])
def test_without_keys_others_are_not_served(world: World, address: str) -> None:
    code, text = failed(world, "--addr", address)
    assert code == 2
    assert "without keys" in text


@requirement("serve:flags")
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--addr", "127.0.0.1:0", "--allow-inline-connections"], "for stdio only"),
        (["--api-key", "x" * 40], "is for HTTP"),
        (["--addr", "nonsense"], "HOST:PORT"),
        (["--own-migrations-only"], "is for HTTP"),
        (["--addr", "127.0.0.1:0", "--own-migrations-only"], "tells callers apart by their keys"),
        (["--read-only", "--resume-on-start"], "rules out"),
        (["--addr", "127.0.0.1:0", "--trusted-proxy", "nginx"], "IP address or a network"),
        (["--addr", "127.0.0.1:0", "--tls-cert", "a.pem"], "belong together"),
        (["--addr", "127.0.0.1:0", "--api-key", "short"], "at least 32"),
        (["--addr", "0.0.0.0:0", "--api-key", "short", "--insecure-short-key"], "loopback"),
    ],
)
def test_flags_that_do_not_fit_are_refused(world: World, flags: list[str], words: str) -> None:
    code, text = failed(world, *flags)
    assert code == 2
    assert words in text
    assert "x" * 40 not in text


@requirement("serve:flags")
def test_unknown_settings_of_the_server_are_refused_with_their_line(world: World) -> None:
    world.config.write_text(world.config.read_text() + '\n[server]\nfoo = "x"\n')
    code, text = failed(world)
    assert (code, "unknown key 'foo' in server" in text) == (2, True)


def test_without_its_package_serve_says_what_to_install(world: World) -> None:
    (world.folder / "sitecustomize.py").write_text(
        "import importlib.util as util\nfound = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'mcp' else found(name, package)\n"
    )
    code, text = failed(world, PYTHONPATH=str(world.folder))
    assert code == 2
    assert "pip install 'vectormigrate[mcp]'" in text


async def test_an_address_in_use_is_an_error_of_one_line(world: World) -> None:
    async with on_http(world) as (_, url):
        code, text = failed(world, "--addr", url.removeprefix("http://"))
    assert code == 1
    assert "cannot listen" in text
    assert "Traceback" not in text


@requirement("serve:end")
@pytest.mark.parametrize("how", ["eof", "SIGTERM", "SIGINT"])
async def test_stdio_ends_in_order_with_a_checkpoint(tmp_path: Path, how: str) -> None:
    world = edge(tmp_path)
    await world.seed(MANY)
    with process(world, "--calls-per-minute", "0") as running:
        assert running.stdin is not None
        assert running.stdout is not None
        talk = Talk(running)
        talk.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"})
        talk.tell("notifications/initialized")
        ends = {"source": "here", "target": "there", "target_collection": "docs", "migration_id": "docs"}
        planned = talk.call("plan_migration", **ends, **SLOW)
        talk.call("start_migration", plan_id=planned["plan_id"])
        while not talk.call("migration_status", migration_id="docs")["progress"]["migrated_records"]:
            pass
        if how == "eof":
            running.stdin.close()
        else:
            running.send_signal(getattr(signal, how))
        assert running.wait(LIMIT) == 0
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        left = await call(client, "migration_status", migration_id="docs")
        assert (left["status"], left["runner_alive"]) == ("stopped", False)
        assert left["progress"]["migrated_records"] == await world.count()


class Talk:
    """Messages to a server on its streams, in the handshake era."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self.running = running
        self.number = 0

    def tell(self, method: str, **params: Any) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        self._send({"id": self.number, "method": method, "params": params})
        assert self.running.stdout is not None
        for line in self.running.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.number:
                return answer["result"]
        raise AssertionError("the server ended")

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = self.ask("tools/call", name=tool, arguments=arguments)
        assert not result.get("isError"), result
        return result["structuredContent"]

    def _send(self, message: dict[str, Any]) -> None:
        assert self.running.stdin is not None
        self.running.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.running.stdin.flush()


@requirement("serve:end")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_http_ends_in_order_with_open_streams_and_a_checkpoint(tmp_path: Path, number: signal.Signals) -> None:
    world = edge(tmp_path)
    await world.seed(MANY)
    with process(world, "--addr", "127.0.0.1:0", "--calls-per-minute", "0") as running:
        url = lines_until(running, "listening")[-1]["url"]
        async with connected(url, "sse", "legacy") as client, connected(url, "http", "auto") as other:
            await start(client, **SLOW)
            await until_moving(client, "docs")
            async with other.listen(resource_subscriptions=["migration://index"]):
                running.send_signal(number)
                code = await _ended(running)
        assert running.stderr is not None
        assert [line for line in map(json.loads, running.stderr) if line["level"] == "error"] == []
    assert code == 0
    app = world.app()
    async with app.run(), Client(app.mcp) as client:
        left = await call(client, "migration_status", migration_id="docs")
        assert (left["status"], left["runner_alive"]) == ("stopped", False)


async def _ended(running: subprocess.Popen[str]) -> int:
    return await anyio.to_thread.run_sync(lambda: running.wait(LIMIT))


@requirement("serve:read-only")
async def test_a_read_only_server_has_no_tool_that_changes_anything(world: World) -> None:
    app = world.app(read_only=True)
    async with app.run(), Client(app.mcp) as client:
        tools = (await client.list_tools()).tools
        assert len(tools) == 11
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        planned = await plan(client)
        assert "start_migration" not in planned["next_step"]
        assert (await client.call_tool("start_migration", {"plan_id": planned["plan_id"]})).is_error


@requirement("serve:hosts")
@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/", "/", "/healthz", "/readyz", "/metrics"])
async def test_foreign_hosts_and_origins_are_refused_on_every_route(world: World, path: str) -> None:
    async with on_http(world) as (_, url), httpx2.AsyncClient() as http:
        for method in ("GET", "POST"):
            key = bearer(ADMIN_KEY)
            refused = await http.request(method, url + path, headers={**key, "Host": "evil.example"})
            assert refused.status_code == 421
            refused = await http.request(method, url + path, headers={**key, "Origin": "http://evil.example"})
            assert refused.status_code == 403


@requirement("serve:health")
async def test_health_needs_no_key_and_metrics_need_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vectormigrate.server.runtime.context.READY_SECONDS", -1.0)
    async with on_http(world) as (_, url), httpx2.AsyncClient() as http:
        assert (await http.get(f"{url}/healthz")).json() == {"alive": True}
        ready = await http.get(f"{url}/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True})
        assert (await http.get(f"{url}/metrics")).status_code == 401
        metrics = await http.get(f"{url}/metrics", headers=bearer(READ_KEY))
        assert metrics.status_code == 200
        assert "vectormigrate_tool_calls" in metrics.text
        monkeypatch.delenv("CANARY")
        ready = await http.get(f"{url}/readyz")
        assert (ready.status_code, ready.json()) == (503, {"ready": False})


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    pem, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(pem), "-keyout", str(key)]
    subprocess.run(words, check=True, capture_output=True, timeout=LIMIT)
    return pem, key


async def test_tls_is_served_with_a_certificate(world: World) -> None:
    pem, key = certificate(world.folder)
    flags = ["--addr", "127.0.0.1:0", "--tls-cert", str(pem), "--tls-key", str(key)]
    with process(world, *flags, VECTORMIGRATE_API_KEYS=KEYS[0]) as running:
        url = lines_until(running, "listening")[-1]["url"]
        assert url.startswith("https://")
        async with httpx2.AsyncClient(verify=ssl.create_default_context(cafile=str(pem))) as http:
            answer = await http.post(
                f"{url}/", headers=bearer(READ_KEY), json={"jsonrpc": "2.0", "id": 1, "method": "list_migrations"}
            )
            assert answer.json()["result"]["total"] == 0
        running.send_signal(signal.SIGTERM)
        assert running.wait(LIMIT) == 0
