"""Whatever reaches the port leaves a line, within a limit, and never a key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.server.support import ALICE, BOB, accounting, audit_lines
from tests.server.toy import Seen, bearer, connected, serving, text_of
from vectormigrate.server.access.limiter import GARBAGE_PER_MINUTE
from vectormigrate.server.audit.verify import verify

pytestmark = pytest.mark.anyio


def methods(folder: Path) -> list[tuple[str, str]]:
    return [(line["method"], line["outcome"]) for line in audit_lines(folder, all_of_them=True)]


@pytest.mark.parametrize("way", ["sse", "http"])
async def test_streams_and_notifications_are_written_down(tmp_path: Path, way: Any) -> None:
    async with serving(accounting(tmp_path)) as url, connected(url, way, "legacy", ALICE) as client:
        await text_of(client, "who")
    found = methods(tmp_path)
    assert ("notifications/initialized", "ok") in found
    assert (f"GET /{'sse' if way == 'sse' else 'mcp'}", "opened") in found
    assert found.index(("tools/call", "began")) < found.index(("tools/call", "ok"))


async def test_a_call_is_written_down_before_it_is_carried_out(tmp_path: Path) -> None:
    seen = Seen()
    async with (
        serving(accounting(tmp_path), seen) as url,
        connected(url, "http", "auto", ALICE) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.call_tool, "wait", {})
        await seen.entered.wait()
        line = audit_lines(tmp_path, all_of_them=True)[-1]
        assert (line["tool"], line["outcome"], line["key"]) == ("wait", "began", "alice")
        seen.release.set()


@pytest.mark.parametrize("path", ["/mcp", "/messages/"])
async def test_garbage_is_limited_and_written_down(tmp_path: Path, path: str) -> None:
    async with serving(accounting(tmp_path, calls=0)) as url, httpx2.AsyncClient(headers=bearer(ALICE)) as http:
        codes = [(await http.post(url + path, content=b"{garbage")).status_code for _ in range(110)]
        assert set(codes[100:]) == {429}
        assert all(400 <= code < 429 for code in codes[:100])
    assert 100 <= len(methods(tmp_path)) <= 201
    assert methods(tmp_path)[0] == (f"POST {path}", f"http {codes[0]}")


@pytest.mark.parametrize(("way", "era"), [("sse", "legacy"), ("http", "legacy"), ("http", "auto")])
async def test_a_client_that_is_understood_sends_no_garbage(tmp_path: Path, way: Any, era: Any) -> None:
    async with serving(accounting(tmp_path, calls=0)) as url, connected(url, way, era, ALICE) as client:
        for _ in range(GARBAGE_PER_MINUTE + 10):
            await text_of(client, "who")
        await client.list_tools()
        assert "Unknown tool" in await text_of(client, "nothing")
    assert [line for line in methods(tmp_path) if "POST" in line[0] or "http 4" in line[1]] == []


ANSWER = {"jsonrpc": "2.0", "id": 9, "result": {}}
CALLED_OFF = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 77}}
UNKNOWN = {"jsonrpc": "2.0", "method": "notifications/nothing"}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}


@pytest.mark.parametrize("message", [ANSWER, {**ANSWER, "method": None}, CALLED_OFF, UNKNOWN])
async def test_what_is_accepted_without_an_answer_is_limited_and_written_down(
    tmp_path: Path, message: dict[str, Any]
) -> None:
    headers = {**bearer(ALICE), "Accept": "application/json, text/event-stream"}
    async with serving(accounting(tmp_path, calls=2)) as url, httpx2.AsyncClient(headers=headers) as http:
        begun = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
        http.headers["mcp-session-id"] = (await http.post(f"{url}/mcp", json=begun)).headers["mcp-session-id"]
        before = len(methods(tmp_path))
        codes = [(await http.post(f"{url}/mcp", json=message)).status_code for _ in range(30)]
        assert codes[:10] == [202] * 10
        if message.get("method"):
            # Accepted, and then refused without a word, as notifications are.
            assert "rate_limited" in {outcome for _, outcome in methods(tmp_path)[before:]}
        else:
            assert set(codes[20:]) == {429}
            assert methods(tmp_path)[before] == ("POST /mcp", "answer")


@pytest.mark.parametrize(("method", "path"), [("GET", "/sse"), ("GET", "/mcp"), ("DELETE", "/mcp")])
async def test_streams_and_sessions_are_not_begun_and_ended_without_a_limit(
    tmp_path: Path, method: str, path: str
) -> None:
    async with serving(accounting(tmp_path, calls=2)) as url, httpx2.AsyncClient(headers=bearer(ALICE)) as http:
        codes: list[int] = []
        for _ in range(30):
            async with http.stream(method, url + path) as answer:
                codes.append(answer.status_code)
    assert set(codes[20:]) == {429}
    assert 429 not in codes[:20]


async def test_pages_and_paths_that_are_not_there_are_written_down(tmp_path: Path) -> None:
    async with serving(accounting(tmp_path)) as url, httpx2.AsyncClient(headers=bearer(ALICE)) as http:
        await http.get(f"{url}/page")
        await http.get(f"{url}/nowhere")
        await http.get(f"{url}/healthz")
    assert methods(tmp_path) == [("GET /page", "http 200"), ("GET /nowhere", "http 404")]


async def test_a_valid_key_is_nowhere_in_the_log(tmp_path: Path) -> None:
    async with serving(accounting(tmp_path)) as url, httpx2.AsyncClient() as http:
        headers = {**bearer(ALICE), "User-Agent": f"curl/8 key={BOB}"}
        await http.get(f"{url}/keys/{BOB}", headers=headers)
        await http.get(f"{url}/keys/{BOB}", headers={"User-Agent": BOB})
        for method in (BOB, f"call {BOB}"):
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"migration_id": BOB, "text": f"my {BOB}!"}}
            await http.post(f"{url}/", content=json.dumps(body), headers=headers)
        async with connected(url, "http", "auto", ALICE) as client:
            await client.call_tool("echo", {"text": f"x={BOB}", "migration_id": BOB})
            await client.call_tool(BOB, {BOB: BOB})
    text = (tmp_path / "audit.jsonl").read_text()
    assert BOB not in text, text
    assert text.count("***") >= 6
    assert verify(tmp_path / "audit.jsonl").intact
