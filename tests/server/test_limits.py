"""The rate limit: exact, shared by all transports of one owner, and always answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError

from tests.server.support import ALICE, ALICE_NEXT, BOB, accounting, audit_lines
from tests.server.toy import Era, Seen, Way, bearer, connected, serving, text_of, toy_server
from vectormigrate.server.audit.accounting import RATE_LIMITED

pytestmark = pytest.mark.anyio

PAIRS: list[tuple[Way, Era]] = [("sse", "legacy"), ("sse", "auto"), ("http", "legacy"), ("http", "auto")]


async def call(client: Client) -> int:
    """0, or the code of the error."""
    try:
        await client.call_tool("echo", {"text": "x"})
    except MCPError as error:
        return error.error.code if 1 <= error.error.data["retryAfter"] <= 60 else -1
    return 0


async def list_often(client: Client, times: int) -> None:
    for _ in range(times):
        await client.list_tools()


@pytest.mark.parametrize(("way", "era"), PAIRS)
async def test_the_call_beyond_the_limit_is_answered_at_once(way: Way, era: Era) -> None:
    with anyio.fail_after(30):
        async with serving(accounting(calls=3)) as url, connected(url, way, era, ALICE) as client:
            assert [await call(client) for _ in range(5)] == [0, 0, 0, RATE_LIMITED, RATE_LIMITED]


async def test_stdio_is_limited_too() -> None:
    async with Client(toy_server(accounting(calls=3), Seen(), local=True), mode="legacy") as client:
        assert [await call(client) for _ in range(4)] == [0, 0, 0, RATE_LIMITED]


async def rpc(http: httpx2.AsyncClient, url: str, key: str) -> Any:
    body = {"jsonrpc": "2.0", "id": 1, "method": "who", "params": {}}
    return await http.post(f"{url}/", json=body, headers=bearer(key))


async def test_all_transports_and_all_keys_of_an_owner_share_one_limit_and_others_have_their_own(
    tmp_path: Path,
) -> None:
    async with serving(accounting(tmp_path, calls=4)) as url, httpx2.AsyncClient() as http:
        async with connected(url, "sse", "legacy", ALICE) as client:
            assert await call(client) == 0
        async with connected(url, "http", "auto", ALICE_NEXT) as client:
            assert await call(client) == 0
        assert (await http.get(f"{url}/page", headers=bearer(ALICE))).status_code == 200
        assert (await rpc(http, url, ALICE)).status_code == 200
        async with connected(url, "http", "legacy", ALICE) as client:
            assert await call(client) == RATE_LIMITED
        refused = await http.get(f"{url}/page", headers=bearer(ALICE))
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        async with connected(url, "sse", "auto", BOB) as client:
            assert await call(client) == 0
    outcomes = [line["outcome"] for line in audit_lines(tmp_path) if line["method"] in ("tools/call", "GET /page")]
    assert outcomes == ["ok", "ok", "ok", "rate_limited", "http 429 limit", "ok"]


async def test_of_many_calls_at_once_exactly_as_many_pass_as_are_allowed() -> None:
    codes: list[int] = []
    async with serving(accounting(calls=20)) as url, connected(url, "http", "auto", ALICE) as client:

        async def one() -> None:
            codes.append(await call(client))

        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(one)
    assert sorted(codes) == [RATE_LIMITED] * 30 + [0] * 20


async def test_handshakes_do_not_use_up_the_calls_but_have_a_limit() -> None:
    async with serving(accounting(calls=2)) as url:
        for _ in range(3):
            async with connected(url, "http", "legacy", ALICE) as client:
                await client.list_tools()
        async with connected(url, "http", "legacy", ALICE) as client:
            assert await call(client) == 0
            with pytest.raises(MCPError, match="messages per minute"):
                await list_often(client, 30)
            assert await call(client) == 0


async def test_a_limit_of_zero_is_none() -> None:
    async with serving(accounting(calls=0, streams=0)) as url, connected(url, "http", "auto", ALICE) as client:
        assert {await call(client) for _ in range(150)} == {0}


async def test_many_clients_at_once_each_get_their_own_answer_and_nothing_is_lost(tmp_path: Path) -> None:
    clients, calls = 16, 8
    got: list[tuple[int, int, str]] = []
    running = accounting(tmp_path, calls=0, streams=0)
    async with serving(running) as url:

        async def one(number: int) -> None:
            way, era = PAIRS[number % len(PAIRS)]
            async with connected(url, way, era, (ALICE, BOB)[number % 2]) as client:
                for turn in range(calls):
                    text = await text_of(client, "echo", {"text": f"{number}-{turn}"})
                    got.append((number, turn, text))

        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                for number in range(clients):
                    tasks.start_soon(one, number)
    assert sorted(got) == [(n, turn, f"{n}-{turn}") for n in range(clients) for turn in range(calls)]
    told = [line for line in audit_lines(tmp_path) if line["method"] == "tools/call"]
    assert len(told) == clients * calls
    assert {line["outcome"] for line in told} == {"ok"}
