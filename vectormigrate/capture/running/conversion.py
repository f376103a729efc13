"""The conversions of both directions, with a memory of the ids that were made on the way there."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.capture.journal.derived import Derived
from vectormigrate.capture.keys import Key
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId

NATIVE = "native"


class Forward:
    """From the source to the target."""

    def __init__(self, mapper: Mapper, derived: Derived) -> None:
        self._mapper = mapper
        self._derived = derived
        self.derives = mapper.rules.id_strategy != NATIVE

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        """As the mapper; what ids become is kept before they are written."""
        parts = self._mapper.convert(batch)
        for part in parts:
            self.remember(batch.namespace, part.source_ids, part.batch.namespace, part.batch.ids)
        return parts

    def remember(
        self, namespace: str, ids: Sequence[RecordId], target_namespace: str, target_ids: Sequence[RecordId]
    ) -> None:
        """Keep what these ids become, if they change."""
        if self.derives:
            self._derived.add(
                (Key(target_namespace, there), Key(namespace, here))
                for here, there in zip(ids, target_ids, strict=True)
            )

    def target_key(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId]:
        """Where a record goes."""
        return self._mapper.target_key(namespace, record_id)


class Back:
    """From the target to the source: ids that were derived return to what they were made from."""

    def __init__(self, mapper: Mapper, derived: Derived) -> None:
        self._mapper = mapper
        self._derived = derived

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        """As the mapper, which restores what the sidecars hold."""
        return self._mapper.convert(batch)

    def target_key(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId]:
        """Where a record goes, which for a derived id is where it came from."""
        return self._derived.find(namespace, record_id) or self._mapper.target_key(namespace, record_id)
