"""The README's commands and examples do what it promises; tests/test_guide.py does the same for the guide."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio
import pytest

from vectormigrate import Endpoint, registry
from vectormigrate.cli.demo.build import build
from vectormigrate.cli.demo.corpus import documents

SERVERS = ("milvus", "pinecone", "qdrant", "weaviate")
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.anyio
@pytest.mark.timeout(600)  # five commands, each a process that starts two engines
async def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    source = Endpoint(type="milvus", url=str(tmp_path / "source.db"), collection="docs")
    await build(source, documents(150), lambda _: None)
    script = "\n".join(block for block in blocks("bash") if "\nvectormigrate migrate" in block)
    assert script.count("vectormigrate ") == 5
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "VECTORMIGRATE_STATE": str(tmp_path / "state.db"),
    }
    done = await anyio.run_process(
        ["bash", "-euxo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert b"PROVED 150 of 150" in done.stdout
    assert (tmp_path / "docs.html").stat().st_size > 1000


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 152
    section = README.split("## While the application writes", 1)[1].split("\n## ", 1)[0]
    assert len(section.strip().splitlines()) <= 25


def test_the_commands_to_try_and_to_test_are_one_line_each() -> None:
    for heading in ("## Try it", "## Test it"):
        section = README.split(heading, 1)[1].split("\n## ", 1)[0]
        (block,) = re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        assert len(block.strip().splitlines()) == 1


def test_installing_prints_what_happens_and_all_is_enough_to_serve() -> None:
    assert not re.search(r"pip install.*(--quiet| -q)", README)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (everything,) = extras["all"]
    assert {"mcp", *(spec.extra for spec in map(registry.load, registry.names()) if spec.extra in SERVERS)} == set(
        re.findall(r"[a-z-]+", everything.partition("[")[2])
    )


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_every_example_runs_and_checks_itself(example: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "VECTORMIGRATE_STATE": str(tmp_path / "state.db")}
    done = subprocess.run(
        [sys.executable, str(example)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
