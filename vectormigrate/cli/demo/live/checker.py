"""Compares the records of one side with what the application did: a register check for every id. Pure.

An operation takes effect at one moment between its start and its end; one of unknown outcome at any moment after its
start, or never. A record is right if some order of the operations that keeps to this ends with it. As every record
names the operations that wrote it, it suffices to ask whether that one can have been the last.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vectormigrate.cli.demo.live.history import READS, Kind, Operation, Outcome
from vectormigrate.cli.demo.live.records import Row, group_of, intact

DELETES = frozenset({Kind.DELETE, Kind.DELETE_GROUP})
EXAMPLES = 5
INITIAL = float("-inf")


@dataclass(slots=True)
class Verdict:
    """Ids by what is wrong with them.

    `lost`: an acknowledged write is not there though nothing later explains it. `resurrected`: there although it was
    deleted and not written again. `doubled`: there more than once. `altered`: no operation that was not refused wrote
    this value.
    """

    compared: int = 0
    lost: int = 0
    doubled: int = 0
    resurrected: int = 0
    altered: int = 0
    examples: list[str] = field(default_factory=list[str])

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.resurrected or self.altered)

    def add(self, wrong: str, key: object, why: str) -> None:
        """Count one id as wrong."""
        setattr(self, wrong, getattr(self, wrong) + 1)
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{wrong}: record {key}: {why}")


def check(initial: int, operations: Iterable[Operation], found: Sequence[Row]) -> Verdict:
    """Every id that there was ever, against all records of a side. Records 0…`initial`-1 were there at the start, each
    written by the operation of its own number."""
    verdict = Verdict()
    by_key = _by_key(initial, operations)
    times = Counter(item["id"] for item in found)
    rows = {item["id"]: item for item in found}
    for key in by_key.keys() | rows.keys():
        verdict.compared += 1
        if times[key] > 1:
            verdict.add("doubled", key, f"there {times[key]} times")
        wrong, why = _judge(by_key.get(key, []), rows.get(key))
        if wrong:
            verdict.add(wrong, key, why)
    return verdict


def _by_key(initial: int, operations: Iterable[Operation]) -> Mapping[int, list[Operation]]:
    """The operations that may have changed each id; a deletion by filter is one of every id of its group."""
    found: dict[int, list[Operation]] = defaultdict(list)
    for key in range(initial):
        first = Operation(number=key, kind=Kind.PUT, key=key, side="", route="", start=INITIAL, base=key, end=INITIAL)
        found[key].append(first)
    writes = [item for item in operations if item.kind not in READS]
    for item in writes:
        if item.kind is not Kind.DELETE_GROUP:
            found[item.key].append(item)
    groups: dict[int, list[int]] = defaultdict(list)
    for key in found:
        groups[group_of(key)].append(key)
    for item in writes:
        if item.kind is Kind.DELETE_GROUP:
            for key in groups[item.key]:
                found[key].append(item)
    return found


def _possible(item: Operation) -> bool:
    return item.outcome in (Outcome.OK, Outcome.UNKNOWN)


def _certain(item: Operation) -> bool:
    return item.outcome is Outcome.OK or item.start == INITIAL


def _after(last: float, operations: Iterable[Operation]) -> Operation | None:
    """An operation that certainly came after this moment, at the latest of which the last write took effect."""
    return next((item for item in operations if _certain(item) and item.start > last), None)


def _judge(operations: Sequence[Operation], found: Row | None) -> tuple[str, str]:
    """What is wrong with an id and why, two empty texts for nothing."""
    possible = [item for item in operations if _possible(item)]
    if found is None:
        return _judge_absent(possible)
    if not intact(found):
        return "altered", "its values belong to no write"
    base, note = found["op"], found["note"]
    last = next((item for item in possible if item.number == note and item.kind not in DELETES), None)
    if last is None:
        return "altered", f"no write {note} that was not refused wrote this id"
    if last.kind is Kind.PUT:
        if last.base != base:
            return "altered", f"write {note} carried the values of {last.base}, not of {base}"
        return _explained(_after(last.end, possible))
    # One field was changed, so the rest is of a whole record written before that.
    wholes = [item for item in possible if item.kind is Kind.PUT and item.base == base and item.start <= last.end]
    if not wholes:
        return "altered", f"no write before {note} carried the values of {base}"
    others = [item for item in possible if item.kind is not Kind.NOTE]
    verdicts = [_explained(_after(min(whole.end, last.end), others)) for whole in wholes]
    whole = next((one for one in verdicts if not one[0]), verdicts[0])
    return whole if whole[0] else _explained(_after(last.end, possible))


def _judge_absent(possible: Sequence[Operation]) -> tuple[str, str]:
    writes = [item for item in possible if item.kind not in DELETES]
    ends = [item.end for item in possible if item.kind in DELETES]
    last = max(ends, default=float("-inf"))
    for item in writes:
        if _certain(item) and (item.start > last or (not ends and item.start == INITIAL)):
            return "lost", f"write {item.number} of it was acknowledged and nothing deleted it later"
    return "", ""


def _explained(later: Operation | None) -> tuple[str, str]:
    if later is None:
        return "", ""
    if later.kind in DELETES:
        return "resurrected", f"{later.kind} {later.number} came later and was acknowledged"
    return "lost", f"write {later.number} came later and was acknowledged"
