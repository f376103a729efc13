"""The running result of a comparison: exact totals, per-vector and per-field figures, and the first differences.

"First" means smallest by (target namespace, typed target id), so that the list does not depend on the order in which
parallel readers come by, nor on interruptions. Memory is bounded: by `limit` differences and `MAX_PATHS` field paths.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vectormigrate.figures import small
from vectormigrate.mapping.limits import ADAPTER_NAMESPACE, ORIGIN, ORIGIN_ID
from vectormigrate.mapping.paths import format_path
from vectormigrate.model.batch import Metadata, RecordBatch, Value, VectorColumn
from vectormigrate.model.ids import RecordId, id_key, parse_id_key
from vectormigrate.model.schema import Json
from vectormigrate.model.status import Difference, DifferenceKind, VectorCheck
from vectormigrate.validation.vectors import Agreement, VectorRule

MAX_PATHS = 2_000
"""Distinct metadata paths counted; further ones share the line `OTHER_PATHS`."""
OTHER_PATHS = "(more fields)"

EDGES = (1 - 1e-9, 1 - 1e-6, 1 - 1e-5, 0.9999, 0.999, 0.99, 0.98, 0.9, 0.5, 0.0, -1.0)
"""Lower edges of the similarity histogram, best first; a bin before the first one holds the bit-exact vectors."""

SortKey = tuple[str, str, str]
Shape = tuple[Any, ...]


@dataclass(slots=True)
class VectorFigures:
    """Sums over the compared vectors of one field. `histogram[0]` is left to be computed: the bit-exact ones."""

    compared: int = 0
    inexact: int = 0
    within_bound: int = 0
    below_floor: int = 0
    worst_similarity: float = 1.0
    worst_error: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * len(EDGES))

    def add(self, found: Agreement) -> None:
        """Count the inexact vectors among records that were counted as `compared` before."""
        inexact = found.compared & ~found.exact
        if not inexact.any():
            return
        similarity = found.similarity[inexact]
        self.inexact += int(inexact.sum())
        self.within_bound += int(found.within.sum())
        self.below_floor += int(found.below_floor.sum())
        self.worst_similarity = min(self.worst_similarity, float(similarity.min()))
        self.worst_error = max(self.worst_error, float(found.error[inexact].max()))
        bins = np.searchsorted(-np.array(EDGES), -similarity, side="left").clip(max=len(EDGES) - 1)
        for number, count in zip(*np.unique(bins, return_counts=True), strict=True):
            self.histogram[int(number)] += int(count)

    def check(self, name: str, rule: VectorRule) -> VectorCheck:
        """The figures as reported."""
        exact = self.compared - self.inexact
        bound = f" (within {small(rule.bound)})" if rule.bound else ""
        return VectorCheck(
            name=name,
            compare=f"{rule.compare}{bound}",
            compared=self.compared,
            exact=exact,
            within_bound=self.within_bound,
            below_floor=self.below_floor,
            worst_similarity=self.worst_similarity if self.compared else None,
            worst_error=self.worst_error,
            histogram=tuple(zip((1.0, *EDGES), (exact, *self.histogram), strict=True)),
        )


@dataclass(slots=True)
class Tally:
    """Everything counted so far. All fields are sums except `kept`, which is sorted.

    `population`: expected records seen. A record is expected, then at most one of missing, unreadable, different or
    within_bound; the rest is identical.
    """

    limit: int
    population: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0
    within_bound: int = 0
    unreadable: int = 0
    ambiguous: int = 0
    """Copies beyond what the target's own scan returned: counted as unreadable, see resolve.py."""
    vectors: dict[str, VectorFigures] = field(default_factory=dict[str, VectorFigures])
    fields: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """Path -> [records that hold it on the source, of these not equal on the target]."""
    kept: list[tuple[SortKey, Difference]] = field(default_factory=list[tuple[SortKey, Difference]])

    @property
    def compared(self) -> int:
        """Records present on both sides."""
        return self.population - self.missing - self.unreadable

    @property
    def identical(self) -> int:
        """Records without any difference at all."""
        return self.compared - self.different - self.within_bound

    def expect(self, batch: RecordBatch) -> None:
        """These records should be on the target; until something else is found they count as identical there."""
        self.population += len(batch)
        for name, column in batch.vectors.items():
            present = _valid_count(column)
            if present:
                self.vectors.setdefault(name, VectorFigures()).compared += present
        # Records of one shape are counted together: finding the shape is much cheaper than naming its paths.
        shapes: dict[Shape, list[Any]] = {}
        for metadata in batch.metadata:
            shapes.setdefault(shape_of(metadata), [metadata, 0])[1] += 1
        for metadata, count in shapes.values():
            for name in paths(metadata):
                self._path(name)[0] += count

    def absent(self, batch: RecordBatch, *, unreadable: bool = False) -> None:
        """These expected records are not on the target (or could not be read there): nothing of them is equal."""
        if unreadable:
            self.unreadable += len(batch)
        else:
            self.missing += len(batch)
        for name, column in batch.vectors.items():
            if name in self.vectors:
                self.vectors[name].compared -= _valid_count(column)
        for metadata in batch.metadata:
            self.unequal(paths(metadata))

    def unequal(self, names: Iterable[str]) -> None:
        """One record whose fields `names` are held by the source and are not equal on the target."""
        for name in names:
            self._path(name)[1] += 1

    def _path(self, name: str) -> list[int]:
        if name not in self.fields and len(self.fields) >= MAX_PATHS:
            name = OTHER_PATHS
        return self.fields.setdefault(name, [0, 0])

    def keep(self, difference: Difference) -> None:
        """Remember the difference if it is among the first `limit`."""
        key = (difference.namespace, id_key(difference.target_id), str(difference.kind))
        if len(self.kept) >= self.limit:
            if not self.kept or key >= self.kept[-1][0]:
                return
            self.kept.pop()
        insort(self.kept, (key, difference), key=lambda item: item[0])

    def would_keep(self, namespace: str, record_id: RecordId) -> bool:
        """Whether a difference of this record has a place in the list."""
        if len(self.kept) < self.limit:
            return True
        return bisect_right(self.kept, (namespace, id_key(record_id)), key=lambda item: item[0][:2]) < len(self.kept)

    def vector_checks(self, rules: Mapping[str, VectorRule], default: VectorRule) -> tuple[VectorCheck, ...]:
        """One check per vector field that any compared record holds, by name."""
        return tuple(self.vectors[name].check(name, rules.get(name, default)) for name in sorted(self.vectors))

    def field_checks(self, renames: Mapping[str, str]) -> dict[str, tuple[int, int]]:
        """Path on the source -> (records holding it there, of these equal on the target), by path. `renames` as in
        MappingRules. Fields that only the target has (the sidecar) are named when they differ."""
        before = {new: old for old, new in renames.items()}
        return {
            _original(name, before): (held, held - unequal)
            for name, (held, unequal) in sorted(self.fields.items())
            if unequal or name not in _OURS
        }

    def to_json(self) -> dict[str, Json]:
        """A JSON object that `from_json` reads back."""
        plain = {name: getattr(self, name) for name in (*_COUNTERS, "fields")}
        vectors = {name: asdict(figures) for name, figures in self.vectors.items()}
        return {**plain, "vectors": vectors, "kept": [difference_to_json(item) for _, item in self.kept]}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Tally:
        """The tally that `to_json` wrote."""
        tally = Tally(**{name: data[name] for name in (*_COUNTERS, "fields")})
        tally.vectors = {name: VectorFigures(**figures) for name, figures in data["vectors"].items()}
        for item in data["kept"]:
            tally.keep(difference_from_json(item))
        return tally


_OURS = frozenset({ORIGIN, ORIGIN_ID, ADAPTER_NAMESPACE})


def _original(path: str, before: Mapping[str, str]) -> str:
    """The path before it, or what it lies in, was renamed."""
    steps = path.split(".")
    for length in range(len(steps), 0, -1):
        old = before.get(".".join(steps[:length]))
        if old is not None:
            return ".".join([old, *steps[length:]])
    return path


_COUNTERS = ("limit", "population", "missing", "extra", "different", "within_bound", "unreadable", "ambiguous")


def _valid_count(column: VectorColumn) -> int:
    return len(column) if column.valid is None else int(column.valid.sum())


def shape_of(metadata: Metadata) -> Shape:
    """Equal for metadata with equal `paths`: the keys, and for a nested object its keys in turn."""
    if dict not in map(type, metadata.values()):
        return tuple(metadata)
    return tuple((key, shape_of(value)) if type(value) is dict and value else key for key, value in metadata.items())


def paths(metadata: Metadata) -> tuple[str, ...]:
    """Dot paths (mapping/paths.py) of the leaves: a nested object counts by its members, an empty one and a list by
    themselves."""
    plain = "".join(metadata)
    if dict not in map(type, metadata.values()) and "." not in plain and "\\" not in plain:
        return tuple(metadata)  # the hot path
    found: list[str] = []
    _collect(metadata, "", found)
    return tuple(found)


def _collect(metadata: Metadata, prefix: str, found: list[str]) -> None:
    plain = "".join(metadata)
    if "." in plain or "\\" in plain:
        found += [name for name, _ in leaves(metadata, prefix)]
        return
    for key, value in metadata.items():
        if type(value) is dict and value:
            _collect(value, f"{prefix}{key}.", found)
        else:
            found.append(prefix + key)


def leaves(metadata: Metadata, prefix: str = "") -> Iterator[tuple[str, Value]]:
    """The leaves of `paths` with their values."""
    for key, value in metadata.items():
        name = prefix + (format_path((key,)) if "." in key or "\\" in key else key)
        if type(value) is dict and value:
            yield from leaves(value, name + ".")
        else:
            yield name, value


def difference_to_json(item: Difference) -> dict[str, Json]:
    """A difference as JSON; ids as typed text (`i:7`, `s:a`, `u:…`)."""
    data = asdict(item)
    data["target_id"] = id_key(item.target_id)
    data["source_id"] = None if item.source_id is None else id_key(item.source_id)
    data["fields"] = list(item.fields)
    return data


def difference_from_json(data: Mapping[str, Any]) -> Difference:
    """The difference that `difference_to_json` wrote."""
    fixed: dict[str, Any] = dict(data)
    fixed["kind"] = DifferenceKind(data["kind"])
    fixed["target_id"] = parse_id_key(data["target_id"])
    fixed["source_id"] = None if data["source_id"] is None else parse_id_key(data["source_id"])
    fixed["fields"] = tuple(data["fields"])
    return Difference(**fixed)
