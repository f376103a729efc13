"""Every answer of the command line (`--json`) and of the tools, about one small migration.

`python -m tests.support.answers FILE` writes them to a file without what differs from run to run, so that two versions
can be compared; `--keep` there writes the shapes that tests/test_answers.py compares with.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from typer.testing import CliRunner

from tests.server.world import World, call, plan
from vectormigrate import registry
from vectormigrate.cli.main import app

SHAPES = Path(__file__).with_name("answers.json")
RECORDS = 60
VOLATILE = re.compile(
    r"_at$|^(seconds|rate|eta_seconds|seconds_estimate|pid|plan_id|server|warnings|detail|evidence|fingerprint|token|estimated_seconds|next_step)$"
)
"""Times, speeds, versions, and texts that hold one of them."""


async def of_tools(folder: Path) -> dict[str, Any]:
    """By tool."""
    world = World(folder, name="answers")
    world.write()
    await world.seed(RECORDS)
    server = world.app()
    found: dict[str, Any] = {}
    async with server.run(), Client(server.mcp, mode="auto") as client:
        found["list_connections"] = await call(client, "list_connections")
        found["list_collections"] = await call(client, "list_collections", connection="here")
        found["describe_collection"] = await call(client, "describe_collection", connection="here")
        found["schema_recommendation"] = await call(
            client, "schema_recommendation", source="here", target_type="milvus"
        )
        found["plan_migration"] = await plan(client, excludes=["title"])
        name = found["plan_migration"]["plan_id"]
        found["start_migration"] = await call(client, "start_migration", plan_id=name)
        found["wait_migration"] = await call(client, "wait_migration", migration_id="docs")
        found["list_migrations"] = await call(client, "list_migrations")
        found["migration_status"] = await call(client, "migration_status", migration_id="docs")
        refuse(folder / "state.db")
        found["list_rejects"] = await call(client, "list_rejects", migration_id="docs")
        await remove("memory", world.url("there"))
        found["validate_migration"] = await call(client, "validate_migration", migration_id="docs", full=True)
        found["migration_report"] = await call(client, "migration_report", migration_id="docs", details=True)
        found["rollback_migration"] = await call(
            client, "rollback_migration", migration_id="docs", confirm_target="docs"
        )
    return found


def of_cli(folder: Path) -> dict[str, Any]:
    """By command; all in this process, where the collections are."""
    anyio.run(World(folder, name="answers-cli").seed, RECORDS)
    urls = {"source": "memory://answers-cli-here", "target": "memory://answers-cli-there"}
    ends = {side: {"type": "memory", "url": url, "collection": "docs"} for side, url in urls.items()}
    place = flags(ends["source"])
    copied = [*flags(ends["source"], "source-"), *flags(ends["target"], "target-"), "--exclude", "title"]
    recommend = ["schema", "recommend", "--target-type", "milvus", *flags(ends["source"], "source-")]
    commands = {
        "migrate --dry-run": ["migrate", "docs", *copied, "--dry-run"],
        "migrate": ["migrate", "docs", *copied, "--accept-loss", "excluded:title"],
        "status": ["status", "docs", "--rejects", "5"],
        "list": ["list"],
        "collections": ["collections", *place[:4]],
        "options": ["options", "milvus"],
        "schema describe": ["schema", "describe", *place],
        "schema recommend": recommend,
        "schema recommend --details": [*recommend, "--details"],
        "schema table": ["schema", "table", "pinecone", "milvus"],
        "validate": ["validate", "docs", "--full"],
        "doctor": ["doctor"],
        "rollback": ["rollback", "docs", "--force"],
    }
    state, config = folder / "state.db", folder / "vectormigrate.toml"
    config.touch()
    environment = {"VECTORMIGRATE_STATE": str(state), "VECTORMIGRATE_CONFIG": str(config)}
    found: dict[str, Any] = {}
    for name, arguments in commands.items():
        if name == "status":
            refuse(state)
        if name == "validate":
            anyio.run(remove, "memory", urls["target"])
        ended = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
        assert ended.stdout, (name, ended.output, ended.exception)
        found[name] = json.loads(ended.stdout)
    return found


def flags(values: dict[str, str], prefix: str = "") -> list[str]:
    """`--name value` of each."""
    return [word for name, value in values.items() for word in (f"--{prefix}{name}", value)]


def refuse(state: Path) -> None:
    """Enter a reject, as a target that refuses a record would leave one."""
    with closing(sqlite3.connect(state)) as connection, connection:
        connection.execute(
            "INSERT INTO reject (migration_id, partition_number, namespace, id, code, reason, attempts, rejected_at) "
            "SELECT migration_id, number, '', CAST('i:9' AS BLOB), 'refused', 'too large', 1, '2026' "
            "FROM partition LIMIT 1"
        )


async def remove(engine: str, url: str) -> None:
    """Take a record off the target, so that a validation has something to name."""
    spec = registry.load(engine)
    async with spec.open(spec.config(url=url, collection="docs")) as collection:
        await collection.delete([7], "")


def everything(folder: Path) -> dict[str, Any]:
    """All answers, by front end and verb."""
    (folder / "tools").mkdir()
    (folder / "cli").mkdir()
    return {"tools": anyio.run(of_tools, folder / "tools"), "cli": of_cli(folder / "cli")}


def lasting(value: Any, volatile: bool = False) -> Any:
    """The value without what differs from run to run."""
    if isinstance(value, dict):
        return {key: lasting(item, bool(VOLATILE.search(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [lasting(item, volatile) for item in value]
    return shape(value) if volatile else value


def shape(value: Any) -> Any:
    """The names in a document and the kinds of its values."""
    if isinstance(value, dict):
        return {str(key): shape(item) for key, item in value.items()}
    if isinstance(value, list):
        kinds: list[Any] = []
        for item in map(shape, value):
            if item not in kinds:
                kinds.append(item)
        return kinds
    return {bool: "truth", int: "number", float: "number", str: "text", type(None): "null"}[type(value)]


def main(target: str) -> None:
    """Write the answers."""
    with tempfile.TemporaryDirectory() as folder:
        found = everything(Path(folder))
        found = json.loads(json.dumps(found).replace(folder, "FOLDER"))
    where, made = (SHAPES, shape(found)) if target == "--keep" else (Path(target), lasting(found))
    where.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
