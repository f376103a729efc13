"""One source batch in, one target batch out: restore what an earlier migration encoded, then encode for the target."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Reject
from vectormigrate.mapping.convert.encode_vectors import EncodedVectors, VectorEncoder
from vectormigrate.mapping.convert.namespaces import namespace_map
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.convert.rows import RowEncoder
from vectormigrate.mapping.limits import Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.model.batch import Metadata, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import MappingRules

__all__ = ["Mapped", "Mapper"]


@dataclass(frozen=True, slots=True)
class Mapped:
    """What becomes of one source batch. `rows` and `source_ids` are per row of `batch`, in its order: the row of the
    input batch and the id as the source adapter returned it. `losses` counts the records of `batch` per effect."""

    batch: RecordBatch
    rows: NDArray[np.int64]
    source_ids: list[RecordId]
    rejects: list[Reject]
    losses: Counter[str]


@dataclass(slots=True)
class _Rows:
    """The encoded rows of one part while they are made."""

    kept: list[int] = field(default_factory=list[int])
    ids: list[RecordId] = field(default_factory=list[RecordId])
    metadata: list[Metadata] = field(default_factory=list[Metadata])
    rejects: list[tuple[int, RecordRejected]] = field(default_factory=list[tuple[int, RecordRejected]])
    losses: Counter[str] = field(default_factory=Counter[str])


class Mapper:
    """Applies the rules of one plan. Pure: equal batches give equal results, in every process and on every resume."""

    def __init__(self, rules: MappingRules) -> None:
        self.rules = rules
        limits = Limits.from_json(rules.target_limits)
        limits = limits.reserving(rules.reserved_fields)
        self._rows = RowEncoder(rules, limits)
        self._vectors = VectorEncoder(rules.vectors, limits)
        self._namespace = namespace_map(limits, rules.namespaces)
        self._original = rules.original_namespaces

    def target_namespace(self, namespace: str) -> str:
        """The target's namespace of a source namespace, for records whose sidecar names no other one."""
        return self._namespace(namespace)

    def target_key(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId]:
        """The target's namespace and id of a source record whose sidecar, if it has one, names no other ones."""
        own = self._original.get(namespace, namespace)
        return self._namespace(own), self._rows.map_id(own, record_id)

    def convert(self, batch: RecordBatch) -> list[Mapped]:
        """The batch in target form, one part per target namespace (at least one part, possibly empty)."""
        original = restore(batch)
        own = self._original.get(batch.namespace, batch.namespace)
        if original.namespaces is None:
            return [self._part(batch, original.batch, [own] * len(batch), None)]
        names = [own if name is None else name for name in original.namespaces]
        groups: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            groups.setdefault(self._namespace(name), []).append(row)
        if len(groups) == 1:
            return [self._part(batch, original.batch, names, None)]
        return [
            self._part(batch, original.batch.take(rows), [names[row] for row in rows], np.array(rows, np.int64))
            for rows in groups.values()
        ]

    def _part(
        self, source: RecordBatch, batch: RecordBatch, names: list[str], origin: NDArray[np.int64] | None
    ) -> Mapped:
        """Encode original records that all go to one target namespace. `names`: original namespace per row; `origin`:
        row in `source` per row of `batch`, None when they are the same."""
        target = self._namespace(names[0] if names else source.namespace)
        vectors = self._vectors.encode(batch)
        rows = self._encode_rows(batch, names, target, vectors)
        columns = vectors.columns
        kept = np.array(rows.kept, np.int64)
        if len(kept) < len(batch):
            columns = {name: column.take(kept) for name, column in columns.items()}
        rejects = [
            Reject(source.ids[row if origin is None else int(origin[row])], source.namespace, error.code, error.reason)
            for row, error in rows.rejects
        ]
        source_rows = kept if origin is None else origin[kept]
        source_ids = [source.ids[row] for row in source_rows.tolist()]
        return Mapped(
            RecordBatch(target, rows.ids, columns, rows.metadata), source_rows, source_ids, rejects, rows.losses
        )

    def _encode_rows(self, batch: RecordBatch, names: list[str], target: str, vectors: EncodedVectors) -> _Rows:
        out = _Rows()
        encoder = self._rows
        fits, check_id, encode = encoder.metadata.fits, encoder.check_id, encoder.encode
        plain = encoder.native and not encoder.renamer and not encoder.metadata.limited
        special = vectors.notes.keys() | vectors.effects.keys() | vectors.rejects.keys()
        for row, (record_id, metadata, name) in enumerate(zip(batch.ids, batch.metadata, names, strict=True)):
            try:
                if plain and name == target and row not in special and fits(metadata):
                    check_id(record_id)
                    out.ids.append(record_id)
                    out.metadata.append(metadata)
                    out.kept.append(row)
                    continue
                if row in vectors.rejects:
                    raise RecordRejected(*vectors.rejects[row])
                effects = set(vectors.effects.get(row, ()))
                new_id, encoded = encode(record_id, name, target, metadata, vectors.notes.get(row), effects)
                out.ids.append(new_id)
                out.metadata.append(encoded)
                out.kept.append(row)
                for effect in effects:
                    out.losses[effect] += 1
            except RecordRejected as error:
                out.rejects.append((row, error))
        return out
