"""What the traffic did, as JSON lines: one line before each operation and one after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import IO, Any

import orjson


class Kind(StrEnum):
    """An operation of the application."""

    PUT = "put"
    """A whole record. `base` is the operation whose vector and fields it carries: itself, or for read, change and write
    back, the one that it read."""
    NOTE = "note"
    """One field of a record that exists."""
    DELETE = "delete"
    DELETE_GROUP = "delete_group"
    """Every record of a group, by a filter."""
    GET = "get"
    SEARCH = "search"


READS = frozenset({Kind.GET, Kind.SEARCH})


class Outcome(StrEnum):
    """How an operation ended."""

    OK = "ok"
    REFUSED = "refused"
    """Refused for good by the fence of the side that has no authority: nothing was done."""
    ABSENT = "absent"
    """There is no such record to change: nothing was done."""
    UNKNOWN = "unknown"
    """It may have been done, or not, or be done later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`start` and `end` in seconds of the monotonic clock; an unknown outcome has no end. `side`: where it was sent.
    `route`: direct or gateway. `key`: id or group."""

    number: int
    kind: Kind
    key: int
    side: str
    route: str
    start: float
    base: int = -1
    end: float = float("inf")
    outcome: Outcome = Outcome.UNKNOWN
    error: str = ""

    @property
    def milliseconds(self) -> float:
        """How long it took."""
        return (self.end - self.start) * 1000


def begun(operation: Operation) -> bytes:
    """The line that is written before the operation is sent."""
    line: dict[str, Any] = {
        "number": operation.number,
        "kind": operation.kind,
        "key": operation.key,
        "side": operation.side,
        "route": operation.route,
        "start": operation.start,
        "base": operation.base,
    }
    return orjson.dumps(line) + b"\n"


def ended(number: int, outcome: Outcome, end: float, error: str = "") -> bytes:
    """The line that is written when its outcome is known to the application. `end`: when it was."""
    return orjson.dumps({"ended": number, "outcome": outcome, "end": end, "error": error}) + b"\n"


def read_history(file: IO[bytes]) -> list[Operation]:
    """Every operation that was begun, in order. Those without an end line have an unknown outcome; a torn last line is
    what the writer did not live to write."""
    found: dict[int, Operation] = {}
    for text in file:
        if not text.endswith(b"\n"):
            break
        line: dict[str, Any] = orjson.loads(text)
        if "ended" not in line:
            line["kind"] = Kind(line["kind"])
            found[line["number"]] = Operation(**line)
            continue
        known, outcome = found[line["ended"]], Outcome(line["outcome"])
        if outcome is Outcome.UNKNOWN:
            found[known.number] = replace(known, error=line["error"])
        else:
            found[known.number] = replace(known, outcome=outcome, end=line["end"], error=line["error"])
    return list(found.values())


def longest_gap(operations: Iterable[Operation], begin: float, end: float) -> float:
    """The longest time in milliseconds between two successes in this span; its begin and end count as one each."""
    times = sorted(item.end for item in operations if item.outcome is Outcome.OK and begin < item.end < end)
    points = [begin, *times, end]
    return max(after - before for before, after in pairwise(points)) * 1000


def counted_by(operations: Iterable[Operation]) -> Mapping[Outcome, int]:
    """How many ended how."""
    counts = dict.fromkeys(Outcome, 0)
    for operation in operations:
        counts[operation.outcome] += 1
    return counts
