"""Kills with Milvus Lite on one side: its child must go with its parent, and let go of the file at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.support import Cli, fill, migrate_args
from tests.edge_reader import read_shard
from tests.lite_reader import read_lite
from vectormigrate.config.settings import Endpoint

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

RECORDS = 300
KILLS = ("created:1", "page_read:2", "before_write:3", "after_write:5", "before_commit:1", "after_commit:1", "copied:1")


@pytest.mark.parametrize("to_lite", [False, True], ids=["from-lite", "to-lite"])
async def test_repeated_kills_lose_and_double_nothing(tmp_path: Path, to_lite: bool) -> None:
    edge = Endpoint(type="qdrant_edge", url=str(tmp_path / "edge"), collection="records")
    lite = Endpoint(type="milvus", url=str(tmp_path / "lite.db"), collection="records")
    source, target = (edge, lite) if to_lite else (lite, edge)
    await fill(source, RECORDS, namespaces=("",))
    cli = Cli(tmp_path / "state.db")
    words = migrate_args("job", source, target, "--batch-size", "10")
    for place in KILLS:
        killed = cli.run(*words, env={"VECTORMIGRATE_FAILPOINT": place})
        assert killed.returncode == -9, (place, killed.stderr)
    done = cli.run("resume", "job")
    assert done.returncode == 0, done.stderr
    if to_lite:
        rows = {key: (row["v"], row["n"], row["text"], row["nested"]) for key, row in read_lite(lite).items()}
    else:
        points = read_shard(edge)
        rows = {key: (list(v["v"]), p["n"], p["text"], p["nested"]) for key, (v, p) in points.items()}
    assert rows == {
        str(n): ([float(n), 0.5, 0, 0, 0, 0, 0, 0], n, f"record {n}", {"even": n % 2 == 0}) for n in range(RECORDS)
    }
