"""What every check of a live migration compares, and whose record of the authority a record of the other side is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from vectormigrate.adapter import Source, Target
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key, parse_id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.validation.common import Rejected, WhichWritten
from vectormigrate.validation.compare import Rules

T = TypeVar("T")

Journalled = Callable[[Callable[[], T]], Coroutine[Any, Any, T]]
"""Runs a call to the journal where it may take its time."""

Derived = Callable[[str, RecordId], Awaitable[Key | None]]
"""Whose record has this namespace and id on the side that follows, where neither its id nor its content tells."""


async def unknown(namespace: str, record_id: RecordId) -> Key | None:
    """Nobody noted it."""
    return None


class Keyed(Protocol):
    """The part of a Mapper that knows where a record goes without the record."""

    def target_key(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId]:
        """Namespace and id on the side that follows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """`source` has the authority, `target` follows; `mapper` and `plan` are of this direction, and `keys` is the mapper
    or something that knows more. `created`: everything on the target should be ours. `rejected`: records that are
    known not to be there."""

    source: Source
    target: Target
    mapper: Mapper
    plan: MigrationPlan
    keys: Keyed
    created: bool
    which_written: WhichWritten
    rejected: Rejected = field(default_factory=frozenset[tuple[str, str]])
    derived: Derived = unknown
    noted_first: bool = False
    """Ids of the source were made on the way there, so what was noted counts for more than what an id looks like."""

    @property
    def rules(self) -> Rules:
        """How exactly vectors must agree."""
        return Rules.of(self.mapper.rules, self.plan.spec.min_similarity)


def still_rejected(touched: TouchedKeys, rejected: Rejected) -> Rejected:
    """The rejects of the copy without those that a request has touched since: they are dirty, parked, or there."""
    by_namespace: dict[str, list[RecordId]] = {}
    for namespace, key in rejected:
        by_namespace.setdefault(namespace, []).append(parse_id_key(key))
    left: set[tuple[str, str]] = set()
    for namespace, ids in by_namespace.items():
        gone = {id_key(record_id) for record_id in touched.ever_touched(namespace, ids)}
        left |= {(namespace, key) for key in map(id_key, ids) if key not in gone}
    return frozenset(left)


async def known_namespaces(sides: Sides) -> list[str]:
    """Namespaces that the source has, or had when it was planned."""
    found = {*await sides.source.namespaces(), *sides.plan.namespaces}
    wanted = sides.plan.spec.namespaces
    return sorted(found if wanted is None else found & set(wanted))


def place_of(sides: Sides, namespace: str) -> str:
    """The namespace of the target that records of this one of the source go to."""
    return sides.mapper.target_key(namespace, 0)[0]


@dataclass(frozen=True, slots=True)
class Found:
    """A record of the target, and what it holds of its origin: an id, which may be its own, and a namespace."""

    place: str
    id: RecordId
    original: RecordId
    namespace: str | None = None


def found_in(batch: RecordBatch) -> list[Found]:
    """The records of a page of the target."""
    origin = restore(batch)
    names = origin.namespaces or [None] * len(batch)
    return [
        Found(batch.namespace, record_id, original, name)
        for record_id, original, name in zip(batch.ids, origin.batch.ids, names, strict=True)
    ]


async def owner(sides: Sides, found: Found, names: Sequence[str]) -> Key | None:
    """Whose record of the source this record of the target is or was: by its id, else by what it holds of its origin,
    else by what was noted; None for one of nobody. `names`: namespaces of the source."""
    if sides.noted_first and (key := await sides.derived(found.place, found.id)) is not None:
        return key
    candidates = [found.place, *names] if found.namespace is None else [found.namespace, found.place, *names]
    # What it holds of its origin comes first: the text of a number or a UUID goes to the same place as these.
    for record_id in (found.original, found.id):
        for name in candidates:
            place, target_id = sides.keys.target_key(name, record_id)
            if place == found.place and id_key(target_id) == id_key(found.id):
                return Key(name, record_id)
    return await sides.derived(found.place, found.id)
