"""Who may call what over HTTP: real clients on both streaming transports, in both eras of the protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2
import pytest

from tests.server.support import ALICE, ALICE_NEXT, BOB, READER, accounting, audit_lines
from tests.server.toy import Era, Seen, Way, bearer, connected, serving, text_of, toy_server
from vectormigrate.server.access.auth import KeyRing, token_of
from vectormigrate.server.access.keys import parse_key

pytestmark = pytest.mark.anyio

PAIRS = [(way, era) for way in ("sse", "http") for era in ("legacy", "auto")]
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(("way", "era"), PAIRS)
async def test_a_tool_knows_the_owner_of_the_key_and_the_transport(way: Way, era: Era) -> None:
    async with serving(accounting()) as url, connected(url, way, era, ALICE) as client:
        name, fingerprint, transport, scopes = (await text_of(client, "who")).split()
        assert (name, transport, scopes) == ("alice", way, "3")
        assert fingerprint.startswith("sha256:")


@pytest.mark.parametrize(("way", "era"), PAIRS)
async def test_a_key_without_the_scope_is_told_which_one_it_lacks(way: Way, era: Era) -> None:
    async with serving(accounting()) as url, connected(url, way, era, READER) as client:
        assert "lacks the scope 'migrations:write'" in await text_of(client, "write")


@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/?session_id=x", "/", "/page", "/nowhere"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong-" + "w" * 40),
        {"Authorization": f"Basic {ALICE}"},
        {"Authorization": ALICE},
        {"Authorization": "Bearer"},
        {"X-API-Key": "wrong-" + "w" * 40},
        {"Cookie": f"key={ALICE}"},
    ],
    ids=["none", "wrong", "basic", "bare", "empty", "header", "cookie"],
)
async def test_without_a_valid_key_every_route_answers_401(path: str, headers: dict[str, str], tmp_path: Path) -> None:
    async with serving(accounting(tmp_path)) as url, httpx2.AsyncClient(headers=headers) as http:
        method = "GET" if path in ("/sse", "/page", "/nowhere") else "POST"
        answer = await http.request(method, url + path, json=HELLO if method == "POST" else None)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "resource_metadata" not in answer.headers["www-authenticate"]
        assert "www" not in answer.text
    (line,) = audit_lines(tmp_path)
    assert line["outcome"] in ("http 401 missing_key", "http 401 wrong_key")
    assert ALICE not in str(line)


async def test_a_key_in_the_url_is_not_taken() -> None:
    async with serving(accounting()) as url, httpx2.AsyncClient() as http:
        assert (await http.get(f"{url}/page", params={"api_key": ALICE, "token": ALICE})).status_code == 401


@pytest.mark.parametrize("header", ["X-API-Key", "x-api-key", "Authorization", "authorization"])
async def test_the_key_may_come_in_either_header(header: str) -> None:
    value = f"bEaReR  {ALICE}" if header.lower() == "authorization" else ALICE
    async with serving(accounting()) as url, httpx2.AsyncClient(headers={header: value}) as http:
        assert (await http.get(f"{url}/page")).status_code == 200


async def test_one_agent_cannot_use_the_session_of_another() -> None:
    async with serving(accounting()) as url, httpx2.AsyncClient(headers=ACCEPT, timeout=10) as http:
        opened = await http.post(f"{url}/mcp", json=HELLO, headers=bearer(ALICE))
        session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "Mcp-Protocol-Version": "2025-11-25"}
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "who", "arguments": {}}}
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await http.post(f"{url}/mcp", json=ready, headers={**session, **bearer(ALICE)})).status_code == 202
        stolen = await http.post(f"{url}/mcp", json=call, headers={**session, **bearer(BOB)})
        assert stolen.status_code == 404
        assert (await http.delete(f"{url}/mcp", headers={**session, **bearer(BOB)})).status_code == 404
        replaced = await http.post(f"{url}/mcp", json=call, headers={**session, **bearer(ALICE_NEXT)})
        assert replaced.status_code == 200
        assert "alice" in replaced.text


@asynccontextmanager
async def open_stream(http: httpx2.AsyncClient, url: str, key: str) -> AsyncGenerator[tuple[str, AsyncIterator[str]]]:
    """An SSE session: where to post to, and the lines that come."""
    async with http.stream("GET", f"{url}/sse", headers=bearer(key)) as stream:
        lines = stream.aiter_lines()
        async for line in lines:
            if line.startswith("data: "):
                yield url + line.removeprefix("data: "), lines
                return


async def test_one_agent_cannot_post_into_the_stream_of_another() -> None:
    async with (
        serving(accounting()) as url,
        httpx2.AsyncClient(timeout=10) as http,
        open_stream(http, url, ALICE) as (messages, _),
    ):
        assert (await http.post(messages, json=HELLO, headers=bearer(BOB))).status_code == 404
        assert (await http.post(messages, json=HELLO, headers=bearer(ALICE_NEXT))).status_code == 202


async def test_a_server_without_keys_serves_anyone_on_this_machine() -> None:
    async with serving(accounting(keys=KeyRing())) as url, connected(url, "http") as client:
        assert await text_of(client, "who") == "anonymous none http 3"


async def test_in_memory_the_caller_is_who_started_the_process_and_on_http_never() -> None:
    from mcp import Client, MCPError

    async with Client(toy_server(accounting(), Seen(), local=True), mode="legacy") as client:
        assert await text_of(client, "who") == "local local stdio 3"
    with pytest.raises((MCPError, BaseExceptionGroup), match=r"API key|unhandled"):
        async with Client(toy_server(accounting(), Seen(), local=False), mode="legacy"):
            pass


async def test_the_stream_of_a_key_that_is_taken_out_ends_and_brings_no_further_answer() -> None:
    seen = Seen()
    held = KeyRing([parse_key(f"alice={ALICE}", origin="t"), parse_key(f"bob={BOB}", origin="t")])
    running = accounting(keys=held)
    async with (
        serving(running, seen) as url,
        httpx2.AsyncClient(timeout=10) as http,
        open_stream(http, url, ALICE) as (messages, lines),
    ):
        await http.post(messages, json=HELLO, headers=bearer(ALICE))
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await http.post(messages, json=ready, headers=bearer(ALICE))
        call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "wait", "arguments": {}}}
        await http.post(messages, json=call, headers=bearer(ALICE))
        with anyio.fail_after(20):
            await seen.entered.wait()
            held._keys = held._keys[1:]
            assert (await http.post(messages, json=call, headers=bearer(ALICE))).status_code == 401
            seen.release.set()
            rest = [line async for line in lines]
        assert not [line for line in rest if '"id":7' in line]


async def test_the_identity_that_the_sdk_keeps_holds_no_key() -> None:
    token = token_of(parse_key(f"alice={ALICE}", origin="t"))
    assert ALICE not in repr(token)
    assert token.client_id == "alice"
