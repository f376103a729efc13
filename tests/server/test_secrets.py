"""A canary secret is in no answer, log, metric, audit line or trace, whatever way it comes in."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, MCPError

from tests.server.toy import bearer, connected
from tests.server.world import ADMIN_KEY, CANARY, READ_KEY, WRITE_KEY, World, on_http
from vectormigrate.config.redaction import MASK, masked, scrub
from vectormigrate.server.telemetry.logs import set_up

pytestmark = pytest.mark.anyio

UNKNOWN = "hunter2-canary-that-no-configuration-holds"
SECRETS = (CANARY, UNKNOWN, READ_KEY, WRITE_KEY, ADMIN_KEY)


@dataclass
class Heard:
    """Everything that the server let out."""

    texts: list[str] = field(default_factory=list[str])

    def add(self, what: object) -> None:
        self.texts.append(what if isinstance(what, str) else repr(what))

    def leaks(self) -> list[str]:
        lines = [line for text in self.texts for line in text.splitlines()]
        return [line for line in lines if any(secret in line for secret in SECRETS)]


@pytest.fixture
def logs() -> Generator[io.StringIO]:
    """The logs of the server at the level that says most."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    set_up("debug", stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("describe_collection", {"connection": "dead", "collection": "docs"}),
    ("describe_collection", {"connection": CANARY}),
    ("describe_collection", {"connection": f"qdrant=http://user:{UNKNOWN}@127.0.0.1:9?key={UNKNOWN}"}),
    ("list_connections", {"api_key": UNKNOWN}),
    ("list_connections", {"note": {"deep": [f"Bearer {UNKNOWN}"]}}),
    ("migration_status", {"migration_id": CANARY}),
    ("migration_status", {"migration_id": {"password": UNKNOWN}}),
    ("plan_migration", {"source": "dead", "target": "there", "target_collection": "docs"}),
    ("plan_migration", {"source": f"milvus=http://x:{UNKNOWN}@h", "target": "there"}),
]


async def tour(client: Client, heard: Heard) -> None:
    for tool, arguments in CALLS:
        with suppress(MCPError):
            heard.add((await client.call_tool(tool, arguments)).model_dump_json())
    # A tool that does not exist is named in the answer, to him who named it; it must not get any further.
    await client.call_tool(CANARY, {})
    for uri in (f"migration://{CANARY}/status", f"migration://{CANARY}/plan"):
        try:
            heard.add((await client.read_resource(uri)).model_dump_json())
        except MCPError as error:
            # The error names the URI that was asked for, in `data`; its text is ours.
            heard.add(error.error.message.replace(uri, ""))
    heard.add((await client.list_tools()).model_dump_json())


@asynccontextmanager
async def http_of(url: str, key: str) -> AsyncGenerator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(headers=bearer(key), base_url=url, timeout=20) as http:
        yield http


async def plain_tour(url: str, heard: Heard) -> None:
    async with http_of(url, ADMIN_KEY) as http:
        for tool, arguments in CALLS:
            body = {"jsonrpc": "2.0", "id": 1, "method": tool, "params": arguments}
            heard.add((await http.post("/", json=body)).text.replace(f'"{CANARY}"', ""))
        heard.add((await http.post("/", content=f"{{{UNKNOWN}")).text)
        heard.add((await http.get(f"/nowhere/{CANARY}", params={"key": UNKNOWN})).text)
        heard.add((await http.post("/", content="x" * 2_000_000 + UNKNOWN)).text)
        heard.add((await http.get("/readyz")).text)
        metrics = await http.get("/metrics")
        assert "vectormigrate_tool_calls_total" in metrics.text
        heard.add(metrics.text)
    for key in (CANARY, UNKNOWN, f"{ADMIN_KEY}x"):
        async with http_of(url, key) as http:
            for path in ("/", "/mcp", "/messages/?session_id=1"):
                answer = await http.post(path, json={}, headers={"X-API-Key": key, "User-Agent": f"curl {CANARY}"})
                assert answer.status_code == 401
                heard.add(answer.text + repr(answer.headers))


async def test_the_canary_is_never_seen(world: World, logs: io.StringIO) -> None:
    heard = Heard()
    with anyio.fail_after(100):
        async with on_http(world) as (_, url):
            async with connected(url, "http", "auto", ADMIN_KEY) as client:
                await tour(client, heard)
            async with connected(url, "sse", "legacy", ADMIN_KEY) as client:
                await tour(client, heard)
            await plain_tour(url, heard)
    written = (world.folder / "audit.jsonl").read_text(encoding="utf-8")
    assert written.count("\n") > 3 * len(CALLS)
    heard.add(written)
    own = [line for line in logs.getvalue().splitlines() if json.loads(line)["logger"].startswith("vectormigrate")]
    heard.add("\n".join(own))
    for line in logs.getvalue().splitlines():
        # The client of this test logs into the same stream; what it sends is its own.
        if not json.loads(line)["logger"].startswith(("httpx", "httpcore", "mcp.client", "client")):
            heard.add(line)
    for stored in world.folder.glob("state.db*"):
        heard.add(stored.read_bytes().decode("latin-1"))
    assert heard.leaks() == []


async def test_the_canary_is_not_seen_over_stdio(world: World) -> None:
    heard = Heard()
    with anyio.fail_after(60):
        async with Client(world.stdio(), mode="legacy") as client:
            await tour(client, heard)
    heard.add((world.folder / "audit.jsonl").read_text(encoding="utf-8"))
    assert heard.leaks() == []


NAMES = ["password", "api_key", "apiKey", "API-KEY", "access_token", "Authorization", "client_secret", "dsn", "cookie"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(), inner, max_size=20),
    max_leaves=40,
)


@given(json_values, st.sampled_from(NAMES), st.dictionaries(st.text(), json_values, max_size=3))
def test_anything_under_the_name_of_a_credential_is_masked(value: Any, name: str, others: dict[str, Any]) -> None:
    given_value = {"a": [{**others, name: {"deep": [UNKNOWN, value]}}]}
    shown = masked(given_value, most=100, depth=8)
    assert UNKNOWN not in json.dumps(shown)
    assert shown["a"][0][name] == MASK


@given(json_values)
def test_what_is_written_down_is_short_plain_json(value: Any) -> None:
    text = json.dumps(masked(value))
    assert len(text) < 16**5
    json.loads(text)


@given(
    st.text(alphabet=st.characters(exclude_characters="/@ \n\t\r?#", exclude_categories=["Cs", "Z", "C"]), min_size=6)
)
def test_user_info_query_and_bearer_tokens_are_taken_out_of_texts(secret: str) -> None:
    text = f"cannot reach http://me:0{secret}0@db:19530/x?key=0{secret}0 with Bearer 0{secret}0 now"
    assert f"0{secret}0" not in scrub(text)
    assert "http://db:19530/x" in scrub(text)
