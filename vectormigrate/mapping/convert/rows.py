"""One record at a time: its id, metadata and sidecar in target form, and whether its losses are accepted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vectormigrate.errors import option
from vectormigrate.mapping.convert.ids import id_check, id_map
from vectormigrate.mapping.convert.metadata import MetadataEncoder
from vectormigrate.mapping.convert.origin import Sidecar, write_sidecar
from vectormigrate.mapping.convert.origin import id_check as origin_check
from vectormigrate.mapping.limits import ORIGIN, ORIGIN_ID, OWN_FIELDS, Limits
from vectormigrate.mapping.losses import ALL, RecordRejected, explain, is_soft
from vectormigrate.mapping.paths import Renamer
from vectormigrate.model.batch import Metadata
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.plan import MappingRules


class RowEncoder:
    """Encodes ids and metadata of original records, and writes their sidecars."""

    def __init__(self, rules: MappingRules, limits: Limits) -> None:
        self.metadata = MetadataEncoder(limits)
        self._beside_sidecar = MetadataEncoder(limits.reserving(OWN_FIELDS))
        self.map_id = id_map(rules.id_strategy, rules.id_salt)
        self.check_id = id_check(limits)
        self.native = rules.id_strategy == "native"
        self.renamer = Renamer(rules.renames, rules.excludes)
        self._keeps_text = rules.id_strategy == "text"
        self._sidecar = rules.sidecar
        self._id_checks = rules.id_checks
        self._int_ids = limits.int_origin_ids
        self._accepted = frozenset(rules.accepted_losses)
        self._accepts_all = ALL in self._accepted

    def encode(
        self,
        record_id: RecordId,
        namespace: str,
        target_namespace: str,
        metadata: Metadata,
        vector_notes: Mapping[str, Any] | None,
        effects: set[str],
    ) -> tuple[RecordId, Metadata]:
        """The target's id and metadata of one original record. `effects` holds the vectors' effects and gets the
        others. Raises RecordRejected when the record cannot go or needs a loss that nobody accepted."""
        if self.renamer:
            metadata = self.renamer.apply(metadata, effects)
        encoded, note = self.metadata.encode(metadata, effects)
        sidecar: Sidecar = {}
        target_id = self._target_id(record_id, namespace, sidecar, effects)
        if namespace != target_namespace:
            sidecar["ns"] = namespace
            effects.add("namespace-name")
        if vector_notes:
            sidecar["x"] = vector_notes
        if effects and not self._accepts_all:
            self._refuse_losses(effects)
        if (sidecar or note) and self._sidecar:
            if ORIGIN in encoded or ORIGIN_ID in encoded:
                encoded, note = self._beside_sidecar.encode(metadata, effects)
            if self._id_checks and sidecar.keys() & {"id", "ns"}:
                sidecar["at"] = origin_check(target_id)
            sidecar |= note
            encoded = self._with_sidecar(encoded, sidecar, record_id)
        self.metadata.check_size(encoded)
        return target_id, encoded

    def _target_id(self, record_id: RecordId, namespace: str, sidecar: Sidecar, effects: set[str]) -> RecordId:
        """The record's id on the target; one that differs is noted in the sidecar."""
        target_id = record_id if self.native else self.map_id(namespace, record_id)
        self.check_id(target_id)
        if target_id != record_id or type(target_id) is not type(record_id):
            sidecar["id"] = id_key(record_id)
            effects.add("id-type" if self._keeps_text else "id-original")
        return target_id

    def _refuse_losses(self, effects: set[str]) -> None:
        for name in sorted(effects - self._accepted):
            if not (self._sidecar and is_soft(name)):
                raise RecordRejected(name, f"{explain(name)}; accept with {option('request.accepted_losses', (name,))}")

    def _with_sidecar(self, encoded: Metadata, sidecar: Sidecar, record_id: RecordId) -> Metadata:
        result = dict(encoded)
        if "id" in sidecar and not self._keeps_text:
            result[ORIGIN_ID] = self._filterable(record_id)
        result[ORIGIN] = write_sidecar(sidecar)
        return result

    def _filterable(self, record_id: RecordId) -> int | str:
        """The original id as a value that the target can hold and filter on."""
        return record_id if self._int_ids and isinstance(record_id, int) else str(record_id)
