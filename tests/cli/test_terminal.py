"""What people see: steps while they go on and after, blocks instead of torn tables, the verdict before the figures."""

from __future__ import annotations

import re

import pytest

from tests.cli.collections import ends, seed
from tests.cli.process import Shell

RECORDS = 1200
FIGURES = ("2^-112", "worst cosine", "recall@10", "Counts")


@pytest.fixture
def source(shell: Shell) -> Shell:
    seed(shell.folder / "source", "docs", RECORDS)
    return shell


def plain(seen: str) -> str:
    """Without control sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


def lines(seen: str) -> list[str]:
    """What stays on the screen: the last that was written to each line, trailing spaces left out."""
    return [line.rsplit("\r", 1)[-1].rstrip() for line in plain(seen).split("\n")]


def test_every_step_is_announced_and_leaves_a_line_with_its_time(source: Shell) -> None:
    seen = source.on_terminal(100, "migrate", "docs", *ends())
    assert seen.index("connecting to source, qdrant_edge at 'source'") < seen.index("✓")
    steps = [re.sub(r"  [\d.]+ m?s$", "", line) for line in lines(seen) if line.startswith("✓")]
    assert steps == [
        "✓ connected to source, qdrant_edge at 'source'",
        "✓ connected to target, qdrant_edge at 'target'",
        "✓ planned  1,200 records",
        "✓ created the target",
        "✓ copied  1,200 records",
        "✓ indexed",
        "✓ counted",
    ]


def test_a_step_that_failed_is_marked_so(shell: Shell) -> None:
    place = ("--source-type", "qdrant", "--source-url", "http://127.0.0.1:1", "--source-collection", "docs")
    seen = shell.on_terminal(60, "migrate", "docs", *place, "--source-option", "grpc_port=2", *ends()[6:])
    assert "✗ connecting to source, qdrant at 'http://127.0.0.1:1'" in plain(seen)
    assert "✓" not in seen


def test_on_a_narrow_terminal_a_row_becomes_a_block_and_nothing_is_torn_or_cut_off(source: Shell) -> None:
    plan = lines(source.on_terminal(60, "migrate", "docs", *ends(), "--dry-run"))
    assert source.run("migrate", "docs", *ends()).code == 0
    listed = lines(source.on_terminal(60, "list"))
    held = lines(source.on_terminal(60, "collections", "--type", "qdrant_edge", "--url", "source"))
    checked = lines(
        source.on_terminal(60, "doctor", "--type", "qdrant_edge", "--url", "source", "--collection", "docs")
    )
    assert max(map(len, [*plan, *listed, *held, *checked])) <= 60
    assert not any("…" in line for line in [*plan, *listed, *held, *checked])
    assert [line.split() for line in plan if line.strip().startswith("unconverted")] == [
        ["unconverted", "100", "%"]
    ] * 2
    assert "deep.n" in plan
    assert listed[:4] == ["docs", "  status   completed", "  done     100 %", "  records  1,200"]
    assert held[1:4] == ["docs", "  records  1,200", "  vectors  text dense 8"]
    assert "ok    adapter qdrant_edge" in checked
    wide = lines(source.on_terminal(80, "list"))
    assert wide[0].split() == ["id", "status", "done", "records", "source", "target", "started"]


def test_the_verdict_comes_first_and_the_figures_when_they_are_asked_for(source: Shell) -> None:
    assert source.run("migrate", "docs", *ends()).code == 0
    short = source.run("validate", "docs", "--full", "--queries", "3").out
    assert short.startswith("Validation of docs: PROVED 1,200 of 1,200, every record in both directions\n")
    assert "searches  100 % of the answers are the same on both sides" in short
    assert not any(figure in short for figure in FIGURES)
    full = source.run("validate", "docs", "--full", "--queries", "3", "--details").out
    assert full.startswith(short.splitlines()[0])
    assert all(figure in full for figure in FIGURES)
    sample = source.run("validate", "docs", "--sample-size", "10", "--queries", "0").out
    assert sample.startswith("Validation of docs: passed, 10 of 1,200 compared\n")
    assert "confidence" not in sample


def test_what_is_wrong_or_left_out_is_shown_without_being_asked_for(source: Shell) -> None:
    assert source.run("migrate", "docs", *ends(), "--exclude", "deep", "--accept-loss", "excluded:deep").code == 0
    kept = source.run("validate", "docs", "--full", "--queries", "0").out
    assert "PROVED" in kept
    assert "lost as planned  excluded:deep" in kept
    (source.folder / "source").rename(source.folder / "old")
    seed(source.folder / "source", "docs", RECORDS + 3)
    wrong = source.run("validate", "docs", "--full", "--queries", "0").out
    for words in ("failed", "3 missing", "this shows", "Counts", "1,203", "First differences"):
        assert words in wrong


def test_without_colour_there_is_none(source: Shell) -> None:
    command = ("migrate", "docs", *ends(), "--dry-run")
    assert re.search(r"\x1b\[[0-9;]*3[0-9]", source.on_terminal(80, *command))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", source.on_terminal(80, *command, colour=False))
