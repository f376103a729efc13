"""A comparison of the sides of a live migration by a process that does not run it: what moves is no difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from vectormigrate.capture.journal.compared import ComparedKeys
from vectormigrate.capture.journal.records import Standing
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.confirming import SETTLE_SECONDS, Sleep
from vectormigrate.capture.proving.full_pass import LISTED, key_of
from vectormigrate.capture.proving.looking import look
from vectormigrate.capture.proving.sides import Journalled, Sides, known_namespaces
from vectormigrate.engine.events import Listener, ignore
from vectormigrate.figures import counted, plural
from vectormigrate.model.status import DiffCheck, Difference, DifferenceKind
from vectormigrate.validation.diff import LIMIT, full_diff
from vectormigrate.validation.sample import sample_diff


@dataclass(slots=True)
class _Judged:
    """Differences that are none of the application's, and how many records moved or could not be read again."""

    real: list[Difference] = field(default_factory=list[Difference])
    moving: int = 0
    equal: int = 0
    unread: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MovingComparison:
    """Reads both sides and the journal, and changes neither. A difference counts when the key is settled by the
    journal, still differs after `settle` seconds, and nothing has touched it meanwhile."""

    sides: Sides
    keys: ComparedKeys
    journalled: Journalled[Any]
    listener: Listener = ignore
    settle: float = SETTLE_SECONDS
    sleep: Sleep = anyio.sleep

    async def run(self, sample_size: int | None) -> DiffCheck:
        """Compare so many records, None: all of them in both directions. What moved is neither a difference nor
        verified, which the statement counts. Raises what the adapters raise."""
        sides = self.sides
        if sample_size is None:
            diff = await full_diff(
                source=sides.source,
                target=sides.target,
                mapper=sides.mapper,
                plan=sides.plan,
                created=sides.created,
                which_written=sides.which_written,
                rejected=sides.rejected,
                listener=self.listener,
                limit=LISTED,
                moving=True,
            )
        else:
            diff = await sample_diff(
                source=sides.source,
                target=sides.target,
                mapper=sides.mapper,
                plan=sides.plan,
                size=sample_size,
                rejected=sides.rejected,
                listener=self.listener,
                limit=LISTED,
            )
        return _result(diff, await self._judge(diff.differences))

    async def _judge(self, differences: Sequence[Difference]) -> _Judged:
        names = await known_namespaces(self.sides)
        judged, items = _Judged(), dict[Key, Difference]()
        for item in differences:
            key = await key_of(self.sides, item, names)
            if key is None:
                judged.unread += 1
            else:
                items[key] = item
        standing: list[Standing] = await self.journalled(lambda: self.keys.standing(list(items)))
        before = {each.key: each for each in standing if each.settled}
        judged.moving += len(standing) - len(before)
        if not before:
            return judged
        await self.sleep(self.settle)
        looked = await look(self.sides, before)
        after: list[Standing] = await self.journalled(lambda: self.keys.standing(list(before)))
        for each in after:
            if before[each.key] != each:
                judged.moving += 1
            elif each.key in looked.unread:
                judged.unread += 1
            elif each.key in looked.different:
                judged.real.append(items[each.key])
            else:
                judged.equal += 1
        return judged


def _result(diff: DiffCheck, judged: _Judged) -> DiffCheck:
    kinds = [item.kind for item in judged.real]
    # Those beyond the list were not looked at again.
    unlisted = diff.missing + diff.extra + diff.different - len(diff.differences)
    text = (
        f"The application wrote meanwhile, so each record was compared at its own moment: {counted(diff.identical)}"
        f" were identical, {counted(diff.within_bound)} agreed within the declared bound, {counted(judged.equal)}"
        f" agreed when looked at again, {counted(len(judged.real))} differ although nothing touches them."
    )
    if judged.moving:
        text += f" Nothing is concluded about {plural(judged.moving, 'record')} that were being written."
    unreadable = diff.unreadable + judged.unread + max(0, unlisted)
    if unreadable:
        text += f" {counted(unreadable)} could not be read, or not be looked at again, and are not verified."
    if not diff.full:
        text += " Only a sample was compared, and records that only the target has cannot be seen this way."
    return replace(
        diff,
        missing=kinds.count(DifferenceKind.MISSING),
        extra=kinds.count(DifferenceKind.EXTRA),
        different=kinds.count(DifferenceKind.DIFFERENT),
        unreadable=unreadable,
        differences=tuple(judged.real[:LIMIT]),
        statement=text,
    )
