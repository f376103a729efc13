"""The demo, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash.support import Cli, migrate_args
from vectormigrate.config.settings import Endpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RECORDS = 1200


def demo(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "vectormigrate", "demo", "--records", str(RECORDS), "--dir", str(folder), *flags]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_demo_kills_resumes_proves_every_record_and_can_go_back(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = demo(folder, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    killed, status, validation = found["killed_at"], found["status"], found["validation"]
    assert 0 < killed["migrated_records"] < RECORDS
    assert killed["status"] == "in_progress"
    assert (status["status"], status["migrated_records"]) == ("completed", RECORDS)
    assert validation["passed"]
    assert validation["diff"]["full"]
    assert validation["diff"]["identical"] == RECORDS
    assert len(validation["search"]) == 4
    assert (folder / "report.html").exists()

    cli = Cli(folder / "state.db")
    target = Endpoint(type="qdrant_edge", url=str(folder / "target"), collection="docstrings")
    back = Endpoint(type="milvus", url=str(folder / "back.db"), collection="docstrings")
    assert cli.run(*migrate_args("back", target, back)).returncode == 0
    assert cli.run("validate", "back", "--full").returncode == 0


def test_the_demo_leaves_a_folder_alone_that_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data", encoding="utf-8")
    done = demo(tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]
