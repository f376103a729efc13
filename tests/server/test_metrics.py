"""Metrics: true to the state file and to what happened, and the only ones that the dashboard uses."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from prometheus_client.parser import text_string_to_metric_families

from tests.server.support import BOB, accounting
from tests.server.test_live_tools import captured, start_live, to_ready, until_phase
from tests.server.toy import Seen, bearer, connected, toy_server
from tests.server.world import ADMIN_KEY, World, call, client_of, on_http, start
from vectormigrate.capture.folder import live_folder
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome
from vectormigrate.capture.keys import Key, Side
from vectormigrate.config.settings import Settings
from vectormigrate.engine.events import PageCommitted, PhaseChanged, Retrying
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.status import Phase
from vectormigrate.server.telemetry import metrics as module
from vectormigrate.server.telemetry.metrics import Metrics
from vectormigrate.service import Service

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "examples" / "grafana-dashboard.json").read_text(encoding="utf-8"))

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(text: str) -> Series:
    """Every sample by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float | None:
    return found.get((f"vectormigrate_{name}", frozenset(labels.items())))


async def scrape(url: str) -> Series:
    async with httpx2.AsyncClient(headers=bearer(ADMIN_KEY)) as http:
        answer = await http.get(f"{url}/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return series(answer.text)


async def test_a_migration_of_another_process_is_seen_and_its_validation_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", -1.0)
    async with client_of(world, "memory", "auto") as client:
        name = await start(client)
        await call(client, "wait_migration", migration_id=name)
        await call(client, "validate_migration", migration_id=name, full=True)
    async with on_http(world) as (_, url):
        found = await scrape(url)
    assert value(found, "migration_records_total", migration=name) == 60
    assert value(found, "migration_expected_records", migration=name) == 60
    assert value(found, "migration_lag_records", migration=name) == 0
    assert value(found, "migration_rejected_records", migration=name) == 0
    assert value(found, "migration_running", migration=name) == 0
    assert (value(found, "migration_batches_total", migration=name) or 0) >= 1
    assert (value(found, "migration_bytes_total", migration=name) or 0) > 60 * 8 * 4
    assert (value(found, "migration_ended_timestamp_seconds", migration=name) or 0) > 1.7e9
    assert value(found, "migration_checkpoint_age_seconds", migration=name) is None
    assert value(found, "validation_passed", migration=name) == 1
    assert value(found, "validation_records", migration=name, result="identical") == 60
    assert value(found, "validation_records", migration=name, result="missing") == 0
    assert value(found, "validation_overlap", migration=name) == 1
    assert value(found, "state_readable") == 1
    info = [labels for name, labels in found if name == "vectormigrate_migration_info"]
    assert ("status", "completed") in info[0]


async def test_a_migration_in_progress_has_a_rate_and_the_age_of_its_checkpoint(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", -1.0)
    from tests.server.world import MANY, SLOW, until_moving

    await world.seed(MANY, "docs-many")
    async with on_http(world) as (_, url), connected(url, "http", "auto", ADMIN_KEY) as client:
        name = await start(client, source_collection="docs-many", **SLOW)
        await until_moving(client, name)
        found = await scrape(url)
        assert value(found, "migration_running", migration=name) == 1
        assert 0 < (value(found, "migration_lag_records", migration=name) or 0) < MANY
        assert 0 <= (value(found, "migration_checkpoint_age_seconds", migration=name) or 0) < 60
        assert (value(found, "migration_rate_records", migration=name) or 0) > 0
        assert (value(found, "engine_commits_total", migration=name) or 0) >= 1
        assert value(found, "tool_calls_total", tool="start_migration", transport="http", outcome="ok") == 1
        assert value(found, "tool_seconds_count", tool="start_migration") == 1


async def test_a_live_migration_is_seen_with_its_lag_its_gate_and_a_journal_that_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FRESH_SECONDS", -1.0)
    async with on_http(world) as (app, url), connected(url, "http", "auto", ADMIN_KEY) as client:
        await start_live(client)
        waiting = await until_phase(client, "capturing")
        found = await scrape(url)
        assert value(found, "live_info", migration="docs", phase="capturing", authority="source") == 1
        assert value(found, "live_gateway_running", migration="docs") == 0
        unmet = [item["name"] for item in waiting["live"]["gate"] if not item["met"]]
        assert value(found, "live_gate_blocked", migration="docs") == len(unmet) > 1
        journal = live_folder(world.folder / "state.db", "docs").journal
        async with captured(world, app):
            await to_ready(client)
            found = await scrape(url)
            assert value(found, "live_gate_blocked", migration="docs") == 0
            assert value(found, "live_gateway_running", migration="docs") == 1
            zero = ("dirty_keys", "oldest_dirty_age_seconds", "in_doubt_requests", "divergences", "tainted")
            for name in (*zero, "longest_mismatch_seconds"):
                assert value(found, f"live_{name}", migration="docs") == 0, name
            await call(client, "cutover_migration", migration_id="docs", confirm_target="docs")
            found = await scrape(url)
            assert value(found, "live_epoch", migration="docs") == 1
            assert value(found, "live_info", migration="docs", phase="soak", authority="target") == 1
            assert (value(found, "live_longest_pause_seconds", migration="docs") or 0) >= 0
            with writing(journal, "docs", Side.TARGET):
                found = await scrape(url)
                assert value(found, "live_open_requests", migration="docs") == 1
            await call(client, "stop_migration", migration_id="docs")
        journal.write_bytes(b"no database")
        found = await scrape(url)
        assert value(found, "live_journal_readable", migration="docs") == 0
        assert value(found, "live_dirty_keys", migration="docs") is None
        assert value(found, "state_readable") == 1


@contextmanager
def writing(journal: Path, migration_id: str, side: Side) -> Generator[None]:
    """A write that was forwarded and has no answer."""
    connection = connect(journal, migration_id, durable=True)
    intents = Intents(connection, steady_milliseconds)
    (admission,) = intents.admit([Intent(side=side, keys=[Key("", 1)])])
    assert isinstance(admission, Admitted)
    try:
        yield
    finally:
        intents.admit([], [Outcome(seq=admission.seq, side=side, definite=True)])
        connection.close()


async def test_a_state_file_that_cannot_be_read_leaves_the_other_series(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("no database", encoding="utf-8")
    found = series((await Metrics().exposition(Service(Settings(state=tmp_path / "state.db")))).decode())
    assert value(found, "state_readable") == 0
    assert value(found, "open_streams") == 0


async def test_calls_are_counted_by_outcome_and_unknown_names_do_not_become_labels(tmp_path: Path) -> None:
    running = accounting(tmp_path, calls=5)
    running.metrics.tools.update({"echo", "boom"})
    async with Client(toy_server(running, Seen(), local=True), mode="legacy") as client:
        await client.call_tool("echo", {"text": "x"})
        await client.call_tool("boom", {"text": "x"})
        for number in range(3):
            await client.call_tool(f"made-up-{number}", {})
        with pytest.raises(Exception, match="rate limit"):
            await client.call_tool("echo", {"text": "x"})
    got = running.metrics.registry.get_sample_value
    labels = {"transport": "stdio"}
    name = "vectormigrate_tool_calls_total"
    assert got(name, {"tool": "echo", "outcome": "ok", **labels}) == 1
    assert got(name, {"tool": "boom", "outcome": "tool_error", **labels}) == 1
    assert got(name, {"tool": "other", "outcome": "tool_error", **labels}) == 3
    assert got(name, {"tool": "echo", "outcome": "rate_limited", **labels}) == 1
    assert got("vectormigrate_rate_limited_total", {"key": "local"}) == 1
    assert BOB not in str(got)


def test_events_of_the_engine_are_counted() -> None:
    metrics = Metrics()
    metrics.listen(Retrying(operation="upsert", attempt=1, delay=0.1, reason="busy"))
    metrics.listen(PhaseChanged(migration_id="m", phase=Phase.COPYING))
    page = PageCommitted(migration_id="m", namespace="", partition_id="p", written=5, rejected=0, checked=0)
    metrics.listen(page)
    got = metrics.registry.get_sample_value
    assert got("vectormigrate_engine_retries_total", {"operation": "upsert"}) == 1
    assert got("vectormigrate_engine_phases_total", {"phase": "copying"}) == 1
    assert got("vectormigrate_engine_commits_total", {"migration": "m"}) == 1


def expressions(node: Any) -> list[str]:
    """Every PromQL expression of a dashboard."""
    if isinstance(node, dict):
        own = [text for key, text in node.items() if key in ("expr", "query", "definition") and isinstance(text, str)]
        return own + [text for child in node.values() for text in expressions(child)]
    return [text for child in node for text in expressions(child)] if isinstance(node, list) else []


def known_series() -> dict[str, set[str]]:
    """Every series that the registry can give, with its labels."""
    known: dict[str, set[str]] = {}
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}
    metrics = Metrics()
    for collector in metrics.registry._collector_to_names:
        labels = set(getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            own = labels or set(getattr(family, "_labelnames", ()))
            for suffix in suffixes[family.type]:
                known[family.name + suffix] = own | ({"le"} if suffix == "_bucket" else set())
    return known


def test_the_dashboard_uses_only_series_and_labels_that_exist() -> None:
    known = known_series()
    used: set[str] = set()
    for text in expressions(DASHBOARD):
        for name, matchers in re.findall(r"\b(vectormigrate_\w+)(\{[^}]*\})?", text):
            assert name in known, (name, text)
            used.add(name)
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
                assert label in known[name], (label, text)
        names = re.findall(r"\bvectormigrate_\w+", text)
        for group in re.findall(r"\bby \(([^)]*)\)", text):
            for label in re.split(r",\s*", group):
                assert any(label in known[name] for name in names), (label, text)
    assert len(used) > 15
    assert {"dirty_keys", "gate_blocked"} <= {name.removeprefix("vectormigrate_live_") for name in used}


def test_a_panel_refers_to_labels_that_its_series_have() -> None:
    known = known_series()
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            names = re.findall(r"\bvectormigrate_\w+", target["expr"])
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert all(label in known[name] for name in names), (label, target["expr"])


def test_no_two_panels_overlap_and_every_one_says_what_it_shows() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells
        assert panel["type"] == "row" or panel["description"]
