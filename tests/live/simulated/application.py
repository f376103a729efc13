"""Clients that write through a gateway and follow the authority, and what each of them was told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.live.simulated.database import Record
from vectormigrate.adapter.operations import Change, Chosen, Effect, Keys, Scope
from vectormigrate.capture.classify import Touch
from vectormigrate.capture.keys import Key, Side


class Kind(StrEnum):
    UPSERT = "upsert"
    PART = "part"
    DELETE = "delete"
    DELETE_FILTER = "delete by filter"
    PART_FILTER = "part by filter"
    INSERT = "insert"
    """With an id that the server makes."""


FILTERS = (Kind.DELETE_FILTER, Kind.PART_FILTER)


class Told(StrEnum):
    """How an operation ended, for its client."""

    OK = "ok"
    FAILED = "failed"
    """It took no effect."""
    UNKNOWN = "unknown"


@dataclass(slots=True, kw_only=True)
class Operation:
    """`number`: also the value that it writes. `rest`: of the number of a record's write by three, which filters ask
    for."""

    number: int
    kind: Kind
    namespace: str
    ids: Sequence[int] = ()
    rest: int = 0
    names_namespace: bool = True
    began: float = 0.0
    ended: float = math.inf
    told: Told = Told.UNKNOWN
    took_effect_on: set[Side] = field(default_factory=set[Side])

    def effect(self, records: Mapping[Key, Record]) -> dict[Key, Record | None]:
        """What becomes of these records."""
        keys = [Key(self.namespace, item) for item in self.ids]
        chosen = [key for key, (n, _) in records.items() if key.namespace == self.namespace and n % 3 == self.rest]
        match self.kind:
            case Kind.UPSERT | Kind.INSERT:
                return dict.fromkeys(keys, (self.number, self.number))
            case Kind.PART:
                return {key: (records[key][0], self.number) for key in keys if key in records}
            case Kind.DELETE:
                return dict.fromkeys(keys, None)
            case Kind.DELETE_FILTER:
                return dict.fromkeys(chosen, None)
            case Kind.PART_FILTER:
                return {key: (records[key][0], self.number) for key in chosen}

    def touch(self) -> Touch:
        """As the gateway reads it off the request."""
        namespace = self.namespace if self.names_namespace else None
        changes = {Kind.UPSERT: Change.REPLACE, Kind.DELETE: Change.DELETE, Kind.DELETE_FILTER: Change.DELETE}
        change = changes.get(self.kind, Change.PART)
        if self.kind in FILTERS or self.kind is Kind.INSERT:
            chosen = Chosen.FILTER if self.kind in FILTERS else Chosen.ASSIGNED
            scope = Scope(collection="c", namespace=namespace, change=change, chosen=chosen)
            return Touch(effect=Effect.SCOPE, operation=self.kind.value, scopes=(scope,))
        keys = Keys(collection="c", namespace=namespace, change=change, ids=tuple(self.ids))
        return Touch(effect=Effect.KEYS, operation=self.kind.value, keys=(keys,))

    def answered_touch(self) -> Touch:
        """As the gateway reads it off the answer: the ids that the server made."""
        keys = Keys(collection="c", namespace=self.namespace, change=Change.REPLACE, ids=tuple(self.ids))
        return Touch(effect=Effect.KEYS, operation=self.kind.value, keys=(keys,))


INITIAL = 100
"""Numbers below it are of records that were there before."""


def judge(history: Sequence[Operation], held: Mapping[Key, Record]) -> list[str]:
    """What no order of the operations explains that keeps to when each began and ended: of what every client knows,
    whether a record can be what it is."""
    wrong: list[str] = []
    by_number = {item.number: item for item in history}
    possible = [item for item in history if item.told is not Told.FAILED]
    keys = {Key(item.namespace, record_id) for item in possible for record_id in item.ids} | held.keys()
    for key in keys:
        named = [item for item in possible if item.namespace == key.namespace and key.id in item.ids]
        wholes = [item for item in named if item.kind in (Kind.UPSERT, Kind.INSERT)]
        deletes = [item for item in named if item.kind is Kind.DELETE]
        record = held.get(key)
        if record is None:
            gone = [*deletes, *(i for i in possible if i.kind is Kind.DELETE_FILTER and i.namespace == key.namespace)]
            last = max((item.ended for item in gone), default=-math.inf)
            wrong += [f"{key}: write {i.number} is lost" for i in wholes if i.told is Told.OK and i.began > last]
            continue
        later = {0: [*wholes, *deletes], 1: [*wholes, *deletes, *(i for i in named if i.kind is Kind.PART)]}
        for place, number in enumerate(record):
            made_by = by_number.get(number)
            if number >= INITIAL and (made_by is None or made_by.told is Told.FAILED):
                wrong.append(f"{key}: nobody wrote {number}")
                continue
            ended = -math.inf if made_by is None else made_by.ended
            after = [item for item in later[place] if item.told is Told.OK and item.began > ended]
            wrong += [f"{key}: holds {number} though {item.kind} {item.number} came later" for item in after]
    return wrong
