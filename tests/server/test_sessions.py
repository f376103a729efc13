"""Sessions of Streamable HTTP: as many per key as are allowed, and the idle one makes way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.server.support import ALICE, ALICE_NEXT, BOB, accounting, audit_lines
from tests.server.test_identity import ACCEPT, HELLO
from tests.server.toy import Seen, bearer, connected, serving, text_of
from vectormigrate.server.access.sessions import Sessions

pytestmark = pytest.mark.anyio


async def opened(http: httpx2.AsyncClient, key: str = ALICE) -> str:
    answer = await http.post("/mcp", json=HELLO, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    await http.post("/mcp", json=ready, headers=within(answer.headers["mcp-session-id"], key))
    return answer.headers["mcp-session-id"]


def within(session: str, key: str = ALICE) -> dict[str, str]:
    return {"Mcp-Session-Id": session, "Mcp-Protocol-Version": "2025-11-25", **bearer(key)}


async def call(http: httpx2.AsyncClient, session: str, tool: str = "who", key: str = ALICE) -> Any:
    body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    return await http.post("/mcp", json=body, headers=within(session, key))


async def test_the_session_that_was_idle_longest_ends_when_one_too_many_of_its_owner_is_opened() -> None:
    running = accounting(sessions=2)
    async with serving(running) as url, httpx2.AsyncClient(base_url=url, headers=ACCEPT, timeout=30) as http:
        first, second = await opened(http), await opened(http, ALICE_NEXT)
        his = await opened(http, BOB)
        assert (await call(http, first)).status_code == 200
        third = await opened(http)
        states = [(await call(http, session)).status_code for session in (first, second, third)]
        assert states == [200, 404, 200]
        assert (await call(http, his, key=BOB)).status_code == 200
        assert (running.sessions.of("alice"), running.sessions.of("bob")) == (2, 1)


async def test_sessions_in_use_are_kept_and_one_more_is_refused_and_written_down(tmp_path: Path) -> None:
    seen = Seen()
    running = accounting(tmp_path, sessions=1)
    async with serving(running, seen) as url, httpx2.AsyncClient(base_url=url, headers=ACCEPT, timeout=30) as http:
        busy = await opened(http)
        answers: list[Any] = []

        async def wait() -> None:
            answers.append(await call(http, busy, "wait"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await seen.entered.wait()
            refused = await http.post("/mcp", json=HELLO, headers=bearer(ALICE))
            assert (refused.status_code, "sessions are in use" in refused.text) == (429, True)
            await opened(http, BOB)
            seen.release.set()
        assert "released" in answers[0].text
        await opened(http)
        assert (await call(http, busy)).status_code == 404
    assert "http 429 limit" in [line["outcome"] for line in audit_lines(tmp_path)]


async def test_who_ends_a_session_has_room_for_another_and_nobody_else_can_end_it() -> None:
    running = accounting(sessions=1)
    async with serving(running) as url, httpx2.AsyncClient(base_url=url, headers=ACCEPT, timeout=30) as http:
        first = await opened(http)
        assert (await http.delete("/mcp", headers=within(first, BOB))).status_code == 404
        assert running.sessions.of("alice") == 1
        assert (await http.delete("/mcp", headers=within(first))).status_code == 200
        assert running.sessions.of("alice") == 0
        await opened(http)


async def test_many_opened_at_once_are_no_more_than_are_allowed() -> None:
    running = accounting(sessions=3)
    async with serving(running) as url, httpx2.AsyncClient(base_url=url, headers=ACCEPT, timeout=30) as http:
        statuses: list[int] = []

        async def one() -> None:
            statuses.append((await http.post("/mcp", json=HELLO, headers=bearer(ALICE))).status_code)

        async with anyio.create_task_group() as tasks:
            for _ in range(12):
                tasks.start_soon(one)
        assert running.sessions.of("alice") <= 3
        assert set(statuses) <= {200, 429}


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_clients_of_both_eras_come_and_go_beyond_the_limit(era: Any) -> None:
    async with serving(accounting(sessions=1)) as url:
        for _ in range(4):
            async with connected(url, "http", era, ALICE) as client:
                assert "alice" in await text_of(client, "who")


async def test_a_limit_of_zero_is_none() -> None:
    async with (
        serving(accounting(sessions=0)) as url,
        httpx2.AsyncClient(base_url=url, headers=ACCEPT, timeout=30) as http,
    ):
        sessions = [await opened(http) for _ in range(5)]
        assert [(await call(http, session)).status_code for session in sessions] == [200] * 5


async def test_the_session_that_was_used_last_is_the_last_to_end() -> None:
    sessions, ended = Sessions(2), list[str]()

    async def end(name: str) -> None:
        ended.append(name)

    for name in ("a", "b"):
        sessions.opened("alice", name)
    with sessions.used("alice", "a"):
        pass
    async with sessions.room("alice", end):
        sessions.opened("alice", "c")
    assert ended == ["b"]
