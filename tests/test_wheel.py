"""The wheel, installed where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def run(*words: str | Path, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_is_complete_and_its_command_runs_outside_the_checkout(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "vectormigrate/py.typed" in names
    assert any(name.startswith("vectormigrate/state/sql/migrations/0001") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]

    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    command = tmp_path / "venv" / "bin" / "vectormigrate"
    assert "migrate" in run(command, "--help", cwd=tmp_path)
    state = tmp_path / "state.db"
    assert "qdrant_edge" in run(command, "doctor", "--state", state, cwd=tmp_path)
    assert "pip install" in run(command, "doctor", "--state", state, cwd=tmp_path)
    example = (ROOT / "examples" / "library.py").read_text(encoding="utf-8")
    (tmp_path / "library.py").write_text(example, encoding="utf-8")
    assert "every byte is the same" in run(python, tmp_path / "library.py", cwd=tmp_path)
