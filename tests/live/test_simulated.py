"""Whatever goes wrong, source and target end equal; and each rule of the protocol is there for a reason."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.databases import Faults
from tests.live.faults import fault
from tests.live.virtual import run
from tests.live.world import World, play
from vectormigrate.capture.applying.quarantine import Quarantine
from vectormigrate.capture.journal import connection, touched

SEEDS = int(os.environ.get("VECTORMIGRATE_TEST_SEEDS", "90"))
TEETH = 100
"""Seeds within which a missing rule must show."""

Change = Callable[[World], None]


def nothing(world: World) -> None:
    """No rule is broken."""


def differs(folder: Path, seed: int, change: Change = nothing, **faults: float) -> bool:
    """Whether source and target differ at the end."""
    world = World(folder, seed, Faults(**faults))
    change(world)
    try:
        run(play(world))
        return bool(world.difference())
    finally:
        world.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the system has that: a flush then takes no time, and what it is for is tested elsewhere."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="vm", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@fault(2, 4, 21)
@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_source_and_target_end_equal_whatever_happened(folder: Path, part: int) -> None:
    assert [seed for seed in range(part, SEEDS, 3) if differs(folder, seed)] == []


@fault(10)
@pytest.mark.slow
def test_reads_that_do_not_know_yet_what_came_or_went_lose_and_revive_nothing(folder: Path) -> None:
    assert [seed for seed in range(SEEDS // 2) if differs(folder, seed, stale=0.5)] == []


@pytest.mark.slow
def test_without_waiting_for_such_reads_a_record_is_lost_or_comes_back(folder: Path) -> None:
    def believe_all(world: World) -> None:
        world.settle = 0

    assert any(differs(folder, seed, believe_all, stale=0.5) for seed in range(TEETH))


def a_request_is_forwarded_before_it_is_noted(monkeypatch: pytest.MonkeyPatch) -> Change:
    def change(world: World) -> None:
        world.forward_first = True

    return change


def a_doubt_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> Change:
    def change(world: World) -> None:
        world.doubts_end_at_once = True

    return change


def a_key_is_cleared_although_it_was_touched_since(monkeypatch: pytest.MonkeyPatch) -> Change:
    sql = connection.QUERIES["clear"].replace("AND last_seq = ?3", "AND ?3 IS NOT NULL")
    monkeypatch.setattr(connection, "QUERIES", {**connection.QUERIES, "clear": sql})
    return nothing


def a_key_is_cleared_while_a_request_is_under_way(monkeypatch: pytest.MonkeyPatch) -> Change:
    def has(self: object, place: int, record_id: object) -> bool:
        return False

    monkeypatch.setattr(touched.Covered, "has", has)
    return nothing


def an_unknown_outcome_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> Change:
    def has(self: Quarantine, record_id: object) -> bool:
        return False

    monkeypatch.setattr(Quarantine, "has", has)
    return nothing


RULES = (
    a_request_is_forwarded_before_it_is_noted,
    a_doubt_ends_at_once,
    a_key_is_cleared_although_it_was_touched_since,
    a_key_is_cleared_while_a_request_is_under_way,
    an_unknown_outcome_keeps_nobody_waiting,
)


@pytest.mark.slow
@pytest.mark.parametrize("break_rule", RULES)
def test_without_a_rule_a_record_is_lost_or_comes_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, break_rule: Callable[[pytest.MonkeyPatch], Change]
) -> None:
    change = break_rule(monkeypatch)
    assert any(differs(folder, seed, change) for seed in range(TEETH))
