"""A database is added as examples/guide/adding-a-database.md says, and the suites of all databases apply to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vectormigrate import registry

ROOT = Path(__file__).parent.parent
INSTALLED = ROOT / "tests" / "toydb" / "installed"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def passed(*args: str, only: str) -> int:
    """How many of these tests pass where the toy database is installed; none may fail."""
    paths = os.pathsep.join(map(str, (ROOT, INSTALLED)))
    env = {**os.environ, "PYTHONPATH": paths, "VECTORMIGRATE_TEST_ONLY": only}
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *args]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    found = re.search(r"(\d+) passed", done.stdout)
    return int(found[1]) if found else 0


def test_the_conformance_suite_passes_on_a_database_that_another_package_brings() -> None:
    assert "toydb" not in registry.names()
    assert passed("tests/conformance", only="toydb") >= 60


def test_collections_go_there_and_come_home_unchanged() -> None:
    assert passed("tests/matrix/test_pairs.py", "-k", "memory-toydb or toydb-memory", only="toydb,memory") == 4


def test_adding_it_touched_a_harness_and_an_oracle_and_no_other_file() -> None:
    own = {"toydb", "installed", "__pycache__"}
    files = [path for folder in ("vectormigrate", "tests", ".docs") for path in (ROOT / folder).rglob("*.py")]
    outside = [path for path in [*files, ROOT / "pyproject.toml"] if not own & set(path.parent.parts)]
    touched = {path for path in outside if "toydb" in path.stem or "toydb" in path.read_text(encoding="utf-8")}
    touched -= {Path(__file__)}
    assert {str(path.relative_to(ROOT)) for path in touched} == {"tests/harness/toydb.py", "tests/natively/toydb.py"}
