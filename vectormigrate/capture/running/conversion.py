"""The mappings of both directions, with a memory of the ids that were made on the way.

Where the ids of one side are made from those of the other, a record that the application wrote itself does not hold
the other side's id, and one that is gone holds nothing at all: only the memory leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID, uuid5

from vectormigrate.adapter import Capabilities, Reject
from vectormigrate.capture.journal.derived import Derived
from vectormigrate.capture.keys import Key
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.mapping.limits import Limits
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId, id_key, kind_fits
from vectormigrate.model.plan import MappingRules, MigrationPlan

NATIVE = "native"
_NOWHERE = UUID("6f1d3c0e-7f0b-4d0e-9f55-0d1a4c1b5a11")

Place = tuple[str, RecordId]
Known = Callable[[str, RecordId], Place | None]


def derives(rules: MappingRules) -> bool:
    """Whether ids of the target are made from those of the source."""
    return rules.id_strategy != NATIVE


def _met(namespace: str) -> str:
    return (
        f"the namespace {namespace!r} was not there when this was planned, and its ids may be those of other records "
        "on the target, which does not keep the ids of namespaces apart"
    )


def _at_known_places(namespace: str, part: Mapped, known: Known) -> Mapped:
    """The part with the ids that are known for its records; those in another namespace stay as they are."""
    ids: list[RecordId] = []
    for here, made in zip(part.source_ids, part.batch.ids, strict=True):
        place = known(namespace, here)
        ids.append(place[1] if place is not None and place[0] == part.batch.namespace else made)
    return replace(part, batch=replace(part.batch, ids=ids))


def apart(plan: MigrationPlan, source: Capabilities, target: Capabilities) -> frozenset[str] | None:
    """The namespaces of the source whose ids are known not to meet on the target, None: all. One that is made later may
    hold an id that another namespace has, and the plan keeps such ids apart only if it knows of several namespaces."""
    if not (source.namespaces.supported and source.ids.per_namespace) or "uuid5" in plan.rules.id_strategy:
        return None
    divided = Limits.from_json(plan.rules.target_limits).namespaces.supported
    return None if target.ids.per_namespace and divided else frozenset(plan.namespaces or {""})


class Forward(Mapper):
    """From the source to the target. `keeps`: what is converted is about to be written, so what its ids become is kept
    before. `namespaces`: those whose records can be written, None: all."""

    def __init__(
        self,
        rules: MappingRules,
        derived: Derived,
        *,
        keeps: bool = False,
        namespaces: frozenset[str] | None = None,
    ) -> None:
        super().__init__(rules)
        self._derived = derived
        self._keeps = keeps
        self._namespaces = namespaces
        self.derives = derives(rules)

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        """As every mapper, but that a record which the application made on the target keeps its id there, and that a
        record which might meet another there is refused."""
        if self._refuses(batch.namespace):
            refused = [
                Reject(record_id, batch.namespace, "namespace", _met(batch.namespace)) for record_id in batch.ids
            ]
            return [replace(part, rejects=refused) for part in super().convert(batch.take([]))]
        parts = super().convert(batch)
        if not self.derives:
            return parts
        parts = [_at_known_places(batch.namespace, part, self._derived.adopted) for part in parts]
        if self._keeps:
            for part in parts:
                self.remember(batch.namespace, part.source_ids, part.batch.namespace, part.batch.ids)
        return parts

    def _refuses(self, namespace: str) -> bool:
        return self._namespaces is not None and namespace not in self._namespaces

    def remember(
        self, namespace: str, ids: Sequence[RecordId], target_namespace: str, target_ids: Sequence[RecordId]
    ) -> None:
        """Keep what these ids become."""
        self._derived.add(
            (Key(target_namespace, there), Key(namespace, here)) for here, there in zip(ids, target_ids, strict=True)
        )

    def target_key(self, namespace: str, record_id: RecordId) -> Place:
        """Where a record goes. One that is refused has a place of its own, in which nothing is: its delete, too, must
        not meet another record."""
        if self._refuses(namespace):
            return super().target_key(namespace, record_id)[0], uuid5(_NOWHERE, f"{namespace}\0{id_key(record_id)}")
        known = self._derived.adopted(namespace, record_id) if self.derives else None
        return known or super().target_key(namespace, record_id)


class Back(Mapper):
    """From the target to the source: ids that were made on the way there return to what they were made from, and the
    text of a number or a UUID to these where the source has such. Where it takes only text, a number or UUID that the
    application made becomes its text, which no other record has. `keeps`: the ids of records which the application
    made on the target are kept, too."""

    def __init__(self, rules: MappingRules, derived: Derived, forward: MappingRules, *, keeps: bool = False) -> None:
        super().__init__(rules)
        self._kinds = Limits.from_json(rules.target_limits).ids.kinds
        self._derived = derived
        self._forward = Mapper(forward)
        self._derives = derives(forward)
        self._keeps = keeps

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        """As every mapper, which restores what the sidecars hold, with the ids that are known."""
        parts = super().convert(batch)
        if not self._derives:
            return parts
        parts = [_at_known_places(batch.namespace, part, self._derived.find) for part in parts]
        parts = self._with_known(batch, parts)
        for part in parts if self._keeps else ():
            pairs = zip(part.source_ids, part.batch.ids, strict=True)
            # What is known already stays as it is.
            self._derived.add(
                ((Key(batch.namespace, here), Key(part.batch.namespace, there)) for here, there in pairs), adopted=True
            )
        return parts

    def _with_known(self, batch: RecordBatch, parts: list[Mapped]) -> list[Mapped]:
        """Also the records that were refused because the source takes no such id, but whose id there is known."""
        rows = {id_key(item): row for row, item in enumerate(batch.ids)}
        known: dict[int, RecordId] = {}
        for part in parts:
            for reject in part.rejects:
                place = self._known(batch.namespace, reject.id)
                if place is not None:
                    known[rows[id_key(reject.id)]] = place[1]
        if not known:
            return parts
        again = super().convert(replace(batch.take(list(known)), ids=list(known.values())))
        found = {id_key(item): batch.ids[row] for row, item in known.items()}
        done = {id_key(batch.ids[row]) for row in known}
        kept = [replace(part, rejects=[each for each in part.rejects if id_key(each.id) not in done]) for part in parts]
        return [*kept, *(_of_records(part, found) for part in again)]

    def _known(self, namespace: str, record_id: RecordId) -> Place | None:
        """Where a record goes by what was kept, or because its id is the text of one that goes to it."""
        noted = self._derived.find(namespace, record_id)
        if noted is not None:
            return noted
        for read in (int, UUID):
            with suppress(ValueError):
                item = read(str(record_id))
                if self._forward.target_key(namespace, item) == (namespace, record_id):
                    return namespace, item
        # The application made it: its text is its id there, unless a record of the source had that before.
        text = str(record_id)
        free = self._derived.find(*self._forward.target_key(namespace, text)) is None
        return (namespace, text) if free and not isinstance(record_id, str) else None

    def target_key(self, namespace: str, record_id: RecordId) -> Place:
        """Where a record goes, which for a derived id is where it came from."""
        own = super().target_key(namespace, record_id)
        if not self._derives:
            return own
        noted = self._derived.find(namespace, record_id)
        if noted is not None:
            return noted
        # As `convert`: what the source takes as it is stays so.
        return own if self._fits(own[1]) else self._known(namespace, record_id) or own

    def _fits(self, record_id: RecordId) -> bool:
        return any(kind_fits(kind, record_id) for kind in self._kinds)


def _of_records(part: Mapped, ids: Mapping[str, RecordId]) -> Mapped:
    """A part whose records were converted under other ids, with those that they have."""
    rejects = [replace(each, id=ids[id_key(each.id)]) for each in part.rejects]
    return replace(part, source_ids=[ids[id_key(item)] for item in part.source_ids], rejects=rejects)
