"""Concurrent requests share a flush, and an error of the disk is final."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.live.faults import fault
from vectormigrate.capture.journal.connection import Connection, connect, make
from vectormigrate.capture.journal.group_commit import GroupCommit
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admitted, Intent, Outcome
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side
from vectormigrate.errors import JournalError

pytestmark = pytest.mark.anyio


def intent(number: int) -> Intent:
    return Intent(side=Side.SOURCE, keys=[Key("", number)])


@asynccontextmanager
async def journal(folder: Path) -> AsyncGenerator[tuple[GroupCommit, Connection, list[JournalError]]]:
    make(folder / "journal.db", "m")
    connection = connect(folder / "journal.db", "m", durable=True)
    failures: list[JournalError] = []
    group = GroupCommit(Intents(connection, lambda: 0), failures.append)
    try:
        yield group, connection, failures
    finally:
        await group.close()
        connection.close()


def keys(folder: Path) -> TouchedKeys:
    return TouchedKeys(connect(folder / "journal.db", "m", durable=False), Side.SOURCE, lambda: 0)


async def test_requests_at_once_share_transactions_and_all_have_their_own_number(tmp_path: Path) -> None:
    async with journal(tmp_path) as (group, _, _):
        admissions = await asyncio.gather(*(group.admit(intent(number)) for number in range(500)))
        assert len({each.seq for each in admissions if isinstance(each, Admitted)}) == 500
        assert group.transactions <= 10
        assert len(group.took) == group.transactions
        assert all(seconds > 0 for seconds in group.took)


async def test_an_admitted_intent_is_in_the_file_when_the_answer_comes(tmp_path: Path) -> None:
    async with journal(tmp_path) as (group, _, _):
        await group.admit(intent(7))
        assert [dirty.key.id for dirty in keys(tmp_path).dirty(10)] == [7]


async def test_outcomes_are_written_without_a_further_request_and_at_the_end(tmp_path: Path) -> None:
    async with journal(tmp_path) as (group, _, _):
        admitted = await group.admit(intent(1))
        assert isinstance(admitted, Admitted)
        group.settle(Outcome(seq=admitted.seq, side=Side.SOURCE, definite=True))
        while keys(tmp_path).figures().under_way:  # noqa: ASYNC110  the file of another thread
            await asyncio.sleep(0)
        again = await group.admit(intent(2))
        assert isinstance(again, Admitted)
        group.settle(Outcome(seq=again.seq, side=Side.SOURCE, definite=True))
    assert keys(tmp_path).figures().under_way == 0


async def test_a_request_that_is_given_up_while_it_waits_is_not_under_way_for_ever(tmp_path: Path) -> None:
    async with journal(tmp_path) as (group, _, _):
        task = asyncio.create_task(group.admit(intent(1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    figures = keys(tmp_path).figures()
    assert figures.under_way == 0
    assert figures.dirty == 1


@fault(27)
async def test_the_first_error_is_final_for_all_who_wait_and_all_who_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with journal(tmp_path) as (group, connection, failures):
        await group.admit(intent(1))
        await asyncio.to_thread(_fill_up, connection)
        answers = await asyncio.gather(*(group.admit(intent(number)) for number in range(3000)), return_exceptions=True)
        assert any(isinstance(answer, JournalError) for answer in answers)
        with pytest.raises(JournalError, match="full"):
            await group.admit(intent(1))
        assert len(failures) == 1
        noted = {dirty.key.id for dirty in keys(tmp_path).dirty(5000)}
        admitted = {number for number, answer in enumerate(answers) if isinstance(answer, Admitted)}
        assert noted == admitted | {1}


def _fill_up(connection: Connection) -> None:
    """Let the file grow no further, as on a full disk."""
    pages = connection.pragma("page_count")
    assert isinstance(connection._db, sqlite3.Connection)
    connection._db.execute(f"PRAGMA max_page_count = {pages + 5}")
