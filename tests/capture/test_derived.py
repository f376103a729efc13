"""Ids that were made on the way there, kept for the way back, while the journal is used from threads."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path
from uuid import UUID

import anyio
import anyio.to_thread
import pytest

from vectormigrate.capture.journal.connection import make
from vectormigrate.capture.keys import Key
from vectormigrate.capture.running.journal import RunnerJournal

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal(tmp_path: Path) -> Generator[RunnerJournal]:
    make(tmp_path / "journal.db", "m")
    opened = RunnerJournal(tmp_path / "journal.db", "m")
    yield opened
    opened.close()


async def test_the_first_pair_of_a_target_key_counts(journal: RunnerJournal) -> None:
    derived = journal.derived
    derived.add([(Key("t", UUID(int=1)), Key("s", "one"))])
    derived.add([(Key("t", UUID(int=1)), Key("s", "other"))], adopted=True)
    derived.add([(Key("t", 2), Key("s", "2"))], adopted=True)
    assert [derived.find("t", item) for item in (UUID(int=1), 2, "2")] == [("s", "one"), ("s", "2"), None]
    assert [derived.adopted("s", item) for item in ("one", "other", "2")] == [None, None, ("t", 2)]


async def test_pairs_are_kept_in_the_middle_of_what_a_thread_does_with_the_journal(journal: RunnerJournal) -> None:
    entered, release = threading.Event(), threading.Event()

    def look() -> None:
        with journal.fast.snapshot():
            entered.set()
            assert release.wait(30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.call, look)
        await anyio.to_thread.run_sync(entered.wait)
        try:
            journal.derived.add([(Key("", 1), Key("", "1"))])
        finally:
            release.set()
    assert journal.derived.find("", 1) == ("", "1")
