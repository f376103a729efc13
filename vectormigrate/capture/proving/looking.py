"""Reads some keys on both sides and compares them, knowing nothing of what was written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vectormigrate.adapter import Eventual
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.sides import Sides, place_of
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.status import DifferenceKind
from vectormigrate.validation.common import PAGE_ROWS, expect, fetch_readable
from vectormigrate.validation.findings import enter_fetched
from vectormigrate.validation.tally import Tally

Place = tuple[str, str]
"""Namespace and typed id."""


@dataclass(slots=True)
class Looked:
    """What differs, and in what, and what could not be read, and why. All other keys are equal: the target holds
    exactly what the source holds, or both hold nothing."""

    different: dict[Key, str] = field(default_factory=dict[Key, str])
    unread: dict[Key, str] = field(default_factory=dict[Key, str])

    def flawed(self) -> set[Key]:
        """All that is not known to be equal."""
        return {*self.different, *self.unread}


async def look(sides: Sides, keys: Iterable[Key]) -> Looked:
    """Compare these keys, of a namespace each. Raises what the adapters raise of whole collections: then nothing is
    known of any."""
    looked, taken = Looked(), set[Place]()
    absent: list[Key] = []
    keys = list(keys)
    await _freshen(sides, keys)
    for namespace, ids in _by_namespace(keys).items():
        absent += await _present(sides, namespace, ids, looked, taken)
    await _absent(sides, absent, looked, taken)
    return looked


async def _freshen(sides: Sides, keys: Iterable[Key]) -> None:
    """Wait until both sides show what was written to them, where a service is eventually consistent."""
    names = {key.namespace or "" for key in keys}
    if isinstance(sides.source, Eventual):
        for name in names:
            await sides.source.freshen(name)
    if isinstance(sides.target, Eventual):
        for place in {place_of(sides, name) for name in names}:
            await sides.target.freshen(place)


async def _present(
    sides: Sides, namespace: str, ids: Sequence[RecordId], looked: Looked, taken: set[Place]
) -> list[Key]:
    """Compare those that the source has; returns the others."""
    batches, unreadable = await fetch_readable(sides.source, ids, namespace, page_rows=PAGE_ROWS)
    for record_id in unreadable:
        looked.unread[Key(namespace, record_id)] = "the source's record cannot be read"
    found = {id_key(record_id) for record_id in unreadable}
    tally = Tally(limit=len(ids))
    for batch in batches:
        found.update(map(id_key, batch.ids))
        expected = expect(sides.mapper, batch, frozenset())
        for _, record_id, code in expected.unmappable:
            if (namespace, id_key(record_id)) not in sides.rejected:
                looked.different[Key(namespace, record_id)] = f"cannot be mapped: {code}"
        for part in expected.parts:
            place, theirs = part.batch.namespace, part.batch.ids
            taken.update((place, id_key(record_id)) for record_id in theirs)
            actual, bad = await fetch_readable(sides.target, theirs, place, page_rows=PAGE_ROWS)
            tally.expect(part.batch)
            enter_fetched(tally, part, actual, sides.rules, namespace=namespace, unreadable=set(bad))
            unread = set(map(id_key, bad))
            for source_id, target_id in zip(part.source_ids, theirs, strict=True):
                if id_key(target_id) in unread:
                    looked.unread[Key(namespace, source_id)] = "the target's record cannot be read"
    for _, item in tally.kept:
        assert item.source_id is not None
        what = "missing" if item.kind is DifferenceKind.MISSING else f"differs in {', '.join(item.fields)}"
        looked.different[Key(namespace, item.source_id)] = what
    return [Key(namespace, record_id) for record_id in ids if id_key(record_id) not in found]


async def _absent(sides: Sides, keys: Sequence[Key], looked: Looked, taken: set[Place]) -> None:
    """The target must not have these either, unless another record of the source is there."""
    places: dict[str, dict[str, tuple[RecordId, Key]]] = {}
    for key in keys:
        place, target_id = sides.keys.target_key(key.namespace or "", key.id)
        if (place, id_key(target_id)) not in taken:
            places.setdefault(place, {})[id_key(target_id)] = (target_id, key)
    for place, theirs in places.items():
        ids = [target_id for target_id, _ in theirs.values()]
        batches, unreadable = await fetch_readable(sides.target, ids, place, page_rows=PAGE_ROWS)
        for batch in batches:
            for record_id in batch.ids:
                looked.different[theirs[id_key(record_id)][1]] = "extra: the source does not have it"
        for record_id in unreadable:
            looked.unread[theirs[id_key(record_id)][1]] = "the target's record cannot be read"


def _by_namespace(keys: Iterable[Key]) -> dict[str, list[RecordId]]:
    found: dict[str, list[RecordId]] = {}
    for key in keys:
        assert key.namespace is not None, key
        found.setdefault(key.namespace, []).append(key.id)
    return found
