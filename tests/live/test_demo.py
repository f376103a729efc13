"""The live demo, as a user runs it: real servers, an application that never stops, kills, there and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.gateway import require_envoy

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(600)]


def test_the_live_demo_loses_nothing_under_kills_there_and_back_and_leaves_no_process(tmp_path: Path) -> None:
    require_envoy()
    words = [sys.executable, "-m", "vectormigrate", "demo", "--live", "--json", "--dir", str(tmp_path / "demo")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    wrong = {name: found[name] for name in ("lost", "doubled", "resurrected", "altered")}
    assert wrong == {"lost": 0, "doubled": 0, "resurrected": 0, "altered": 0}, found
    assert (found["cut_over"], found["reversed"], found["stopped_by"]) == (True, True, "")
    assert (found["kills"], found["killed"]) == (3, ["copy", "applier", "gateway"])
    assert found["operations"] == found["reads"] + found["writes"] > 1000
    assert found["refused"] >= 2, "one write of a stale instance after each switch"
    assert found["compared"] > 2 * 4000
    measured = ("longest_write_pause_ms", "longest_read_pause_ms", "added_read_ms_p50", "added_write_ms_p50")
    assert all(isinstance(found[name], float) for name in (*measured, "max_lag_s"))
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert [process for process in psutil.process_iter() if _of(process, tmp_path)] == []


def _of(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(str(folder) in word for word in process.cmdline())
    except psutil.Error:
        return False


def test_without_a_package_one_line_names_what_to_install(tmp_path: Path) -> None:
    # An empty module of the name on the path would be found; what is not there at all is not.
    code = (
        "import sys; sys.modules['milvus'] = None\n"
        "from vectormigrate.cli.main import run\n"
        f"sys.argv = ['vectormigrate', 'demo', '--live', '--dir', {str(tmp_path / 'demo')!r}]\n"
        "run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "vectormigrate[live-demo]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
