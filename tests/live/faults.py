"""The forty faults that a live migration must survive: number -> what goes wrong, and what must come of it.

Tests carry `@fault(number, …)`. test_faults.py fails on a fault without a test and on an unknown number.

For all of them: the target ends with what the source holds; no write that was acknowledged is lost, no record that was
deleted is there, and the target never holds what nobody wrote.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong, and the outcome that its tests assert."""

    what: str
    outcome: str


F = Fault

FAULTS: dict[int, Fault] = {
    1: F("A process is killed at each named place, during an upsert, a delete, a partial change, a filter.", "Equal."),
    2: F("Processes are killed at random, sixty times, under load.", "Equal, without anybody's help."),
    3: F("The source applies a write and its answer is lost.", "The client does not know; the target has it."),
    4: F("The source applies a write long after the gateway gave it up.", "It is captured all the same."),
    5: F("The source refuses a write.", "The target is unchanged and the key is cleared."),
    6: F("Two clients write one key five hundred times.", "The target holds what the source ends with."),
    7: F("A record is written between reading and writing its page of the copy.", "The newer value stays."),
    8: F("A record is deleted between reading and writing its page of the copy.", "It stays deleted."),
    9: F("A record is deleted, written and deleted again while the copy passes.", "It is absent."),
    10: F("Reads of the source are old for five seconds.", "No key is cleared by them, and the lag shows it."),
    11: F("Reads of the source are new, then old, then new.", "They are made again until true; equal."),
    12: F("The source has nothing of anything for half a minute.", "The fuse blows; the target is not emptied."),
    13: F("The source acknowledges writes before they take effect.", "Their keys are read when they have; equal."),
    14: F("A partial change meets a write of the whole record.", "The target holds what the source ends with."),
    15: F("A delete by filter meets inserts that match it.", "Equal."),
    16: F("A change by filter makes its records match the filter no more.", "Equal."),
    17: F("A filter hits more records than may be listed before it is forwarded.", "No switch until it is reconciled."),
    18: F("The answer with the ids that the server made is lost.", "No switch until they are found by their ids."),
    19: F("An operation that no table knows.", "It counts as a change of unknown scope."),
    20: F("Some records of a batch fail, in an answer of success.", "Equal."),
    21: F("A write to the target times out and lands later.", "Its key waits, is written again, and the newest wins."),
    22: F("The target is overloaded, fails, resets, drips, cuts answers off.", "We back off; no client waits longer."),
    23: F("The target is away for an hour.", "As many dirty keys as were touched; ready is lost, and regained."),
    24: F("The target refuses one record.", "It is parked and in the way of a switch; the others go on."),
    25: F("A cursor expires, pages come twice, a page leaves a record out.", "Read again; the comparison finds it."),
    26: F("The scan leaves records out and does not say so.", "A divergence; no switch."),
    27: F("The journal's disk is full or fails.", "Writers are refused; nothing is forwarded without a note."),
    28: F("The same where the gateway may forward, and a crash.", "The taint stays; no switch until all is compared."),
    29: F("The journal's end is torn or cut off anywhere.", "What was flushed is there, and nothing is invented."),
    30: F("A write goes past the gateway.", "Found by comparing everything, and at its rate by the sample."),
    31: F("The source deletes records by itself.", "Refused before anything is written."),
    32: F("A switch takes longer than writes may be held.", "It is given up; the application waited for that long."),
    33: F("The runner dies in each phase of a switch.", "One authority; no write is taken by both sides."),
    34: F("An instance that is behind writes to the source after the switch.", "It is refused, and knows it."),
    35: F("Back after a thousand writes to the target, with deletes.", "The source holds what the target did."),
    36: F("A write to the target that the source cannot hold.", "The way back is blocked from then on."),
    37: F("A second process; an old copy of the journal.", "Refused; a taint."),
    38: F("The comparison cannot read a record.", "It is not verified, and nothing has passed."),
    39: F("Odd ids and values, and ids that meet.", "Exact, or refused by name."),
    40: F("The clock is set forward or back by an hour.", "No quarantine ends early."),
}


def fault(*numbers: int) -> Callable[[Any], Any]:
    """The faults whose outcome a test asserts."""
    return pytest.mark.fault(*numbers)
