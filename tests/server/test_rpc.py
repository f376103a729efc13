"""`POST /`: plain JSON-RPC 2.0, as curl sends it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx2
import pytest

from tests.server.requirements import requirement
from tests.server.support import audit_lines
from tests.server.toy import bearer, connected
from tests.server.world import ADMIN_KEY, READ_KEY, World, call, on_http
from vectormigrate.server.app import App

pytestmark = pytest.mark.anyio


class Curl:
    """Posts to a server."""

    def __init__(self, app: App, http: httpx2.AsyncClient, url: str) -> None:
        self.app, self.http, self.url = app, http, url

    async def post(self, body: Any, key: str | None = ADMIN_KEY, **headers: str) -> httpx2.Response:
        content = body if isinstance(body, str) else json.dumps(body)
        return await self.http.post(f"{self.url}/", content=content, headers={**bearer(key), **headers})

    async def ask(self, method: str, params: Any = None, *, message_id: Any = 1, key: str = ADMIN_KEY) -> Any:
        """The whole answer."""
        message = {"jsonrpc": "2.0", "id": message_id, "method": method}
        answer = await self.post(message if params is None else {**message, "params": params}, key)
        assert answer.status_code == 200
        assert answer.json()["id"] == message_id
        return answer.json()

    async def result(self, method: str, **params: Any) -> Any:
        return (await self.ask(method, params))["result"]


@pytest.fixture
async def curl(world: World) -> AsyncGenerator[Curl]:
    async with on_http(world) as (app, url), httpx2.AsyncClient(timeout=60) as http:
        yield Curl(app, http, url)


@requirement("rpc:calls")
async def test_a_whole_migration_by_curl(curl: Curl) -> None:
    ends = {"source": "here", "target": "there", "target_collection": "docs", "migration_id": "docs"}
    planned = await curl.result("plan_migration", **ends)
    started = await curl.result("start_migration", plan_id=planned["plan_id"])
    assert started["state"] == "started"
    assert (await curl.result("wait_migration", migration_id="docs"))["status"] == "completed"
    assert (await curl.result("validate_migration", migration_id="docs", full=True))["passed"] is True
    status = await curl.result("migration_status", migration_id="docs")
    assert status["progress"] == {"total_records": 60, "migrated_records": 60, "percentage": 100.0}
    async with connected(curl.url, "http", "auto", ADMIN_KEY) as client:
        assert await call(client, "migration_status", migration_id="docs") == status
        assert await call(client, "list_migrations") == await curl.result("list_migrations")
    refused = await curl.ask("rollback_migration", {"migration_id": "docs"})
    assert "type the name docs" in refused["error"]["message"]
    undone = await curl.result("rollback_migration", migration_id="docs", confirm_target="docs")
    assert undone["dropped_collection"] is True


@requirement("rpc:calls")
async def test_the_three_calls_of_the_original_tool_work_as_written(curl: Curl) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    listed = await curl.post('{"jsonrpc":"2.0","method":"list_migrations","params":{"limit":5},"id":1}', **form)
    assert listed.json() == {
        "jsonrpc": "2.0",
        "id": 1,
        "result": {"migrations": [], "total": 0, "limit": 5, "offset": 0},
    }
    schema = await curl.result(
        "schema_recommendation", source_type="pinecone", target_type="qdrant", source_schema={"title": "string"}
    )
    assert set(schema) == {"source_type", "target_type", "field_mappings", "overall_confidence", "warnings"}
    status = await curl.ask("migration_status", {"migration_id": "nope"}, message_id="a")
    assert status["error"]["data"] == {"error": "MigrationNotFound"}


@requirement("rpc:errors")
@pytest.mark.parametrize(
    ("body", "code", "message_id"),
    [
        ("{not json", -32700, None),
        ('{"jsonrpc": "2.0", "id": 1, "method": "list_migrations", "params": {"limit": NaN}}', -32700, None),
        ("[" * 100_000, -32700, None),
        ([], -32600, None),
        ("7", -32600, None),
        ({"id": 4, "method": "list_migrations"}, -32600, 4),
        ({"jsonrpc": "2.0", "id": 5, "method": 7}, -32600, 5),
        ({"jsonrpc": "2.0", "id": {"a": 1}, "method": "list_migrations"}, -32600, None),
        ({"jsonrpc": "2.0", "id": 6, "method": "no_such"}, -32601, 6),
        ({"jsonrpc": "2.0", "id": 7, "method": "__class__"}, -32601, 7),
        ({"jsonrpc": "2.0", "id": 8, "method": "migration_status"}, -32602, 8),
        ({"jsonrpc": "2.0", "id": 9, "method": "migration_status", "params": ["docs"]}, -32602, 9),
        ({"jsonrpc": "2.0", "id": "x", "method": "list_migrations", "params": {"foo": 1}}, -32602, "x"),
        ({"jsonrpc": "2.0", "id": 1.5, "method": "list_migrations", "params": {"limit": "many"}}, -32602, 1.5),
        ({"jsonrpc": "2.0", "id": 10, "method": "migration_status", "params": {"migration_id": "no"}}, -32010, 10),
    ],
)
async def test_errors_have_their_code_and_the_id(curl: Curl, body: Any, code: int, message_id: Any) -> None:
    answer = await curl.post(body)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["jsonrpc"], found["id"], found["error"]["code"]) == ("2.0", message_id, code)
    assert found["error"]["message"]


@requirement("rpc:batches")
async def test_batches_are_answered_in_order_and_notifications_not_at_all(curl: Curl) -> None:
    def message(number: int | None, method: str = "list_migrations") -> dict[str, Any]:
        made: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
        return made if number is None else {**made, "id": number}

    batch = [message(1), message(None), message(2, "nope"), 3, message(4)]
    answers = (await curl.post(batch)).json()
    assert [answer["id"] for answer in answers] == [1, 2, None, 4]
    assert [answer.get("error", {}).get("code") for answer in answers] == [None, -32601, -32600, None]
    for quiet in (message(None), [message(None), message(None, "nope")]):
        answer = await curl.post(quiet)
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await curl.post([message(1)] * 51)).json()["error"]["code"] == -32600


@requirement("rpc:batches")
async def test_a_notification_is_carried_out(curl: Curl) -> None:
    ends = {"source": "here", "target": "there", "target_collection": "docs", "migration_id": "docs"}
    planned = await curl.result("plan_migration", **ends)
    params = {"plan_id": planned["plan_id"]}
    answer = await curl.post({"jsonrpc": "2.0", "method": "start_migration", "params": params})
    assert answer.status_code == 204
    assert (await curl.result("wait_migration", migration_id="docs"))["status"] == "completed"


@requirement("rpc:same-guard")
async def test_keys_and_scopes_are_those_of_the_other_transports(curl: Curl) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "list_migrations"}
    assert (await curl.post(message, None)).status_code == 401
    assert (await curl.post(message, "x" * 40)).status_code == 401
    assert (await curl.ask("list_migrations", key=READ_KEY))["result"]["total"] == 0
    denied = await curl.ask("stop_migration", {"migration_id": "docs"}, key=READ_KEY)
    assert denied["error"]["code"] == -32003
    assert "migrations:write" in denied["error"]["message"]


@requirement("rpc:same-guard")
async def test_the_limit_counts_calls_of_every_transport_together(world: World) -> None:
    async with on_http(world, calls=5) as (app, url), httpx2.AsyncClient() as http:
        curl = Curl(app, http, url)
        async with connected(url, "http", "auto", ADMIN_KEY) as client:
            await call(client, "list_migrations")
            await call(client, "list_migrations")
        batch = [{"jsonrpc": "2.0", "id": number, "method": "list_migrations"} for number in range(5)]
        answers = (await curl.post(batch)).json()
        codes = [answer.get("error", {}).get("code") for answer in answers]
        assert codes.count(None) == 3
        assert codes.count(-32000) == 2
        limited = next(answer for answer in answers if "error" in answer)
        assert limited["error"]["data"]["retryAfter"] > 0


@requirement("rpc:same-guard")
async def test_every_call_is_in_the_audit_log_with_its_outcome(world: World, curl: Curl) -> None:
    await curl.ask("list_migrations", {"limit": 3})
    await curl.ask("migration_status", {"migration_id": "nope"})
    await curl.ask("no_such", {"secret": "sk-12345678"})
    lines = audit_lines(world.folder)
    said = [(line["tool"], line["transport"], line["key"], line["outcome"]) for line in lines]
    assert said == [
        ("list_migrations", "jsonrpc", "admin", "ok"),
        ("migration_status", "jsonrpc", "admin", "tool_error"),
        ("no_such", "jsonrpc", "admin", "rpc -32601"),
    ]
    assert lines[0]["arguments"] == {"limit": 3}
    assert lines[1]["migration"] == "nope"
    assert "sk-12345678" not in json.dumps(lines)
