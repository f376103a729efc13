"""Whether two records get the same key on the target: found by 64-bit hashes, then compared exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.model.ids import RecordId, id_key
from vectormigrate.model.plan import MappingRules

SUSPECTS = 1000
"""Hashes whose records are looked at one by one."""


class TargetKeys:
    """The keys of mapped records, eight bytes each. `per_namespace`: ids count per namespace on the target."""

    def __init__(self, *, per_namespace: bool) -> None:
        self._per_namespace = per_namespace
        self._hashes: list[NDArray[np.int64]] = []

    def key(self, namespace: str, record_id: RecordId) -> tuple[str, str]:
        """The key under which the target keeps a record."""
        return (namespace if self._per_namespace else "", id_key(record_id))

    def add(self, part: Mapped) -> None:
        """Count the records of a mapped batch."""
        place, ids = part.batch.namespace, part.batch.ids
        self._hashes.append(np.fromiter((hash(self.key(place, item)) for item in ids), np.int64, len(ids)))

    def doubles(self) -> frozenset[int]:
        """Hashes that came more than once. Unequal keys of one hash are among them, which is very rare."""
        every = np.sort(np.concatenate([np.zeros(0, np.int64), *self._hashes]))
        return frozenset(np.unique(every[1:][every[1:] == every[:-1]]).tolist())


class Doubles:
    """The source records behind some of these hashes, by the key that they get."""

    def __init__(self, keys: TargetKeys, hashes: frozenset[int]) -> None:
        self._keys = keys
        self._hashes = frozenset(sorted(hashes)[:SUSPECTS])
        self._found: dict[tuple[str, str], list[tuple[str, RecordId]]] = {}

    def add(self, part: Mapped, namespace: str) -> None:
        """Look at the records of a mapped batch, which come from this source namespace."""
        for target_id, source_id in zip(part.batch.ids, part.source_ids, strict=True):
            key = self._keys.key(part.batch.namespace, target_id)
            if hash(key) in self._hashes:
                self._found.setdefault(key, []).append((namespace, source_id))

    def groups(self) -> list[list[tuple[str, RecordId]]]:
        """(namespace, id) of the records that share a key."""
        return [group for group in self._found.values() if len(group) > 1]


def same_keys(one: MappingRules, other: MappingRules) -> bool:
    """Whether both rules give every record the same key."""
    return _identity(one) == _identity(other)


def _identity(rules: MappingRules) -> tuple[object, ...]:
    limits = rules.target_limits
    return (
        *(rules.id_strategy, rules.id_salt, dict(rules.namespaces)),
        *(limits.get("namespaces"), limits.get("namespace_names")),
    )
