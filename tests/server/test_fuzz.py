"""Whatever is sent, the server answers properly and lives on."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.server.toy import bearer
from tests.server.world import ADMIN_KEY, CANARY, World, on_http
from vectormigrate.server.access import limiter
from vectormigrate.server.audit.verify import verify

FUZZ = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
TOOLS = ["list_migrations", "migration_status", "list_rejects", "list_connections", "wait_migration", "plan_migration"]
ARGUMENTS = ["migration_id", "limit", "offset", "status", "source", "target", "plan_id", "dry_run", "connection", "x"]

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=40)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5)
)
arguments = st.dictionaries(st.sampled_from(ARGUMENTS) | st.text(max_size=10), values, max_size=6)


class Server:
    """A served world, called from ordinary functions."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self.http = httpx2.Client(base_url=url, headers=bearer(ADMIN_KEY), timeout=30)

    def post(self, path: str, content: bytes, **headers: str) -> httpx2.Response:
        return self.http.post(path, content=content, headers={"Content-Type": "application/json", **headers})

    def alive(self) -> None:
        assert self.http.get("/healthz").status_code == 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    with pytest.MonkeyPatch.context() as patch, start_blocking_portal() as portal, ExitStack() as held:
        patch.setenv("CANARY", CANARY)
        # Whoever sends so much garbage is shut out for a minute, which other tests are about.
        patch.setattr(limiter, "GARBAGE_PER_MINUTE", 1_000_000)
        world = World(tmp_path_factory.mktemp("fuzz"))
        world.write()
        portal.call(world.seed)
        _, url = held.enter_context(portal.wrap_async_context_manager(on_http(world)))
        made = Server(url, world.folder)
        yield made
        made.alive()
        made.http.close()
    assert verify(world.folder / "audit.jsonl").intact


def proper(answer: httpx2.Response) -> Any:
    """The JSON-RPC answer, which must be one."""
    assert answer.status_code < 500, answer.text
    if answer.status_code in (202, 204):
        assert not answer.content
        return None
    document = answer.json()
    for item in document if isinstance(document, list) else [document]:
        assert item["jsonrpc"] == "2.0"
        assert ("result" in item) != ("error" in item)
        if "error" in item:
            assert isinstance(item["error"]["code"], int)
            assert "Traceback" not in item["error"]["message"]
    return document


@FUZZ
@given(name=st.sampled_from(TOOLS) | st.text(max_size=20), given_arguments=arguments)
def test_any_arguments_to_any_tool_are_answered(server: Server, name: str, given_arguments: dict[str, Any]) -> None:
    given_arguments.pop("plan_id", None)
    if name == "wait_migration":
        given_arguments["timeout_seconds"] = 0
    body = {"jsonrpc": "2.0", "id": 1, "method": name, "params": given_arguments}
    document = proper(server.post("/", json.dumps(body).encode()))
    assert document["id"] == 1


@FUZZ
@given(body=values)
def test_any_json_is_answered(server: Server, body: Any) -> None:
    proper(server.post("/", json.dumps(body).encode()))


@FUZZ
@given(body=st.binary(max_size=300))
def test_any_bytes_are_answered(server: Server, body: bytes) -> None:
    proper(server.post("/", body))
    for path in ("/mcp", "/messages/?session_id=0"):
        assert 400 <= server.post(path, body, Accept="application/json, text/event-stream").status_code < 500


@FUZZ
@given(method=st.text(max_size=30), params=values, version=st.sampled_from(["2025-11-25", "2026-07-28", "x", ""]))
def test_any_message_to_mcp_is_answered(server: Server, method: str, params: Any, version: str) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()
    headers = {"Accept": "application/json, text/event-stream"}
    if version:
        headers["Mcp-Protocol-Version"] = version
    answer = server.post("/mcp", body, **headers)
    assert answer.status_code < 500
    assert "Traceback" not in answer.text


@FUZZ
@given(
    path=st.text(alphabet=st.characters(exclude_characters="?#/", exclude_categories=["C"]), max_size=60),
    key=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=90),
)
def test_no_path_and_no_key_opens_anything(server: Server, path: str, key: str) -> None:
    url = httpx2.URL(str(server.http.base_url)).copy_with(path="/" + path)
    answer = httpx2.get(url, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == (200 if url.path == "/healthz" else 401) or url.path == "/readyz"
