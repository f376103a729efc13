"""What a power failure leaves of the journal: every commit that was flushed, and of the rest a prefix or nothing.

The file after a failure is simulated: what lies behind the last flushed commit is cut at every place, or overwritten.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from tests.live.faults import fault
from vectormigrate.capture.journal.connection import connect, make
from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admitted, Intent
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side

FRAME_HEADER = 24
FRAME = FRAME_HEADER + 4096
"""A page in the log."""


def write(folder: Path) -> list[int]:
    """A journal after ten intents, not closed; returns the length of the log after each."""
    path = folder / "journal.db"
    make(path, "m")
    lengths: list[int] = []
    connection = connect(path, "m", durable=True)
    try:
        intents = Intents(connection, lambda: 0)
        for number in range(10):
            (admission,) = intents.admit([Intent(side=Side.SOURCE, keys=[Key("", number)])])
            assert isinstance(admission, Admitted)
            lengths.append((folder / "journal.db-wal").stat().st_size)
        shutil.copytree(folder, folder.with_name("crashed"))
    finally:
        connection.close()
    return lengths


def survivors(crashed: Path, log: bytes, target: Path) -> set[int]:
    """The keys that are dirty when the journal is opened again with this log."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copy(crashed / "journal.db", target / "journal.db")
    (target / "journal.db-wal").write_bytes(log)
    connection = connect(target / "journal.db", "m", durable=True)
    try:
        Intents(connection, lambda: 0).begin_session(fail_open=False)
        keys = TouchedKeys(connection, Side.SOURCE, lambda: 0)
        dirty = keys.dirty(100)
        assert all(each.covered for each in dirty)
        return {int(str(each.key.id)) for each in dirty}
    finally:
        connection.close()


@fault(29)
@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "zeros", "noise"])
def test_a_damaged_end_of_the_log_costs_only_what_was_not_flushed(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "journal"
    folder.mkdir()
    lengths = write(folder)
    crashed = tmp_path / "crashed"
    log = (crashed / "journal.db-wal").read_bytes()
    chance = random.Random(damage)
    for flushed in range(3, len(lengths)):
        start, end = lengths[flushed - 1], lengths[flushed]
        places = {start, *(chance.randrange(start, end) for _ in range(8)), end - 1}
        if flushed == len(lengths) - 1:
            # Every byte of what tells SQLite whether the page behind it counts.
            assert (end - start) % FRAME == 0
            places |= {frame + byte for frame in range(start, end, FRAME) for byte in range(FRAME_HEADER)}
        for place in sorted(places):
            tail = {"cut": b"", "zeros": bytes(len(log) - place), "noise": chance.randbytes(len(log) - place)}[damage]
            found = survivors(crashed, log[:place] + tail, tmp_path / "again")
            assert found == set(range(flushed)), (flushed, place)
