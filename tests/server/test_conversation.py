"""A whole migration over every transport and era, on real collections: plan, start, wait, validate, roll back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.requirements import requirement
from tests.server.world import Era, Transport, World, call, client_of, plan, refused

pytestmark = pytest.mark.anyio

WAYS: list[tuple[Transport, Era, str, str]] = [
    ("memory", "auto", "memory", "memory"),
    ("memory", "legacy", "memory", "memory"),
    ("sse", "auto", "memory", "memory"),
    ("sse", "legacy", "memory", "memory"),
    ("http", "auto", "qdrant_edge", "qdrant_edge"),
    ("http", "legacy", "memory", "memory"),
    ("stdio", "auto", "qdrant_edge", "milvus"),
    ("stdio", "legacy", "qdrant_edge", "qdrant_edge"),
]


@requirement("serve:initialize", "jobs:conversation", "rollback:confirmed")
@pytest.mark.parametrize(("transport", "era", "source", "target"), WAYS)
async def test_a_migration_is_planned_run_proved_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: Transport, era: Era, source: str, target: str
) -> None:
    monkeypatch.setenv("CANARY", "canary-value")
    world = World(tmp_path, source)
    world.write(target)
    await world.seed()
    async with client_of(world, transport, era) as client:
        assert client.protocol_version == ("2025-11-25" if era == "legacy" else "2026-07-28")
        planned = await plan(client)
        assert (planned["state"], planned["plan"]["total_records"], planned["plan"]["unaccepted_losses"]) == (
            "planned",
            60,
            [],
        )
        started = await call(client, "start_migration", plan_id=planned["plan_id"])
        assert (started["state"], started["migration_id"]) == ("started", "docs")

        waited = await call(client, "wait_migration", migration_id="docs")
        assert (waited["finished"], waited["status"], waited["progress"]) == (
            True,
            "completed",
            {"total_records": 60, "migrated_records": 60, "percentage": 100.0},
        )
        proved = await call(client, "validate_migration", migration_id="docs", full=True)
        assert (proved["state"], proved["passed"], proved["report"]["compared"]) == ("finished", True, 60)

        assert "type the name docs" in await refused(client, "rollback_migration", migration_id="docs")
        wrong = await refused(client, "rollback_migration", migration_id="docs", confirm_target="doc")
        assert "nothing was removed" in wrong
        undone = await call(client, "rollback_migration", migration_id="docs", confirm_target="docs")
        assert (undone["state"], undone["dropped_collection"]) == ("finished", True)
        listed = await call(client, "list_migrations")
        assert [(item["migration_id"], item["status"]) for item in listed["migrations"]] == [("docs", "rolled_back")]
    assert not await _exists(world, target)


async def _exists(world: World, engine: str) -> bool:
    from vectormigrate.errors import CollectionNotFound

    try:
        await World(world.folder, engine, world.name).count()
    except CollectionNotFound:
        return False
    return True
