"""What the source really holds: a streaming summary in bounded memory, the evidence of a plan."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
import orjson

from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.convert.vectors import nonfinite_rows
from vectormigrate.mapping.paths import format_path
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch, SparseColumn, Value, VectorColumn
from vectormigrate.model.ids import IdKind, RecordId, is_plain

MAX_PATHS = 2000
MAX_DISTINCT = 10_000
MAX_NAMESPACES = 100_000
MAX_NESTING = 100


@dataclass(slots=True)
class FieldProfile:
    """One field by its path. `kinds` counts values by kind (the words of ValueKind; `list_of_strings` apart from
    `list`). `distinct` stops at MAX_DISTINCT. Sizes are UTF-8 bytes of strings; `longest_list` counts elements."""

    kinds: Counter[str] = field(default_factory=Counter[str])
    max_bytes: int = 0
    min_int: int | None = None
    max_int: int | None = None
    wide_ints: int = 0
    """Integers beyond ±2^53, which a double does not hold exactly."""
    longest_list: int = 0
    nested_lists: int = 0
    elements: Counter[str] = field(default_factory=Counter[str])
    """Kinds of the elements of lists: how many lists hold one of this kind."""
    _hashes: set[int] = field(default_factory=set[int])
    _counted: int = 0
    """Different values of a profile that came from JSON, whose hashes are gone."""

    def to_json(self) -> dict[str, Any]:
        """JSON that `from_json` reads back."""
        names = ("max_bytes", "min_int", "max_int", "wide_ints", "longest_list", "nested_lists", "distinct")
        return {
            **{name: getattr(self, name) for name in names},
            "kinds": dict(self.kinds),
            "elements": dict(self.elements),
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> FieldProfile:
        """The profile that `to_json` wrote, to be looked at; more values would count their likes again."""
        rest = {name: value for name, value in data.items() if name not in ("kinds", "elements", "distinct")}
        kinds, elements = Counter[str](data["kinds"]), Counter[str](data["elements"])
        return FieldProfile(kinds=kinds, elements=elements, _counted=data["distinct"], **rest)

    @property
    def values(self) -> int:
        """How many records hold the field, with nulls."""
        return self.kinds.total()

    @property
    def nulls(self) -> int:
        return self.kinds["null"]

    @property
    def mixed(self) -> bool:
        """Whether values of several kinds occur, apart from null."""
        return len([kind for kind, count in self.kinds.items() if count and kind != "null"]) > 1

    @property
    def distinct(self) -> int:
        """Number of different scalar values, at most MAX_DISTINCT."""
        return self._counted or len(self._hashes)

    def add(self, value: Value) -> None:
        """Count one value. Every value of a source comes by here, so the frequent types are asked for first."""
        kind = kind_of(value)
        self.kinds[kind] += 1
        if isinstance(value, str):
            size = len(value) if value.isascii() else _utf8_length(value)
            if size > self.max_bytes:
                self.max_bytes = size
        elif isinstance(value, list):
            self._add_list(value, kind)
            return
        elif isinstance(value, dict):
            return
        elif kind == "int" and isinstance(value, int):
            self._add_int(value)
        if len(self._hashes) < MAX_DISTINCT:
            self._hashes.add(hash(value))

    def _add_list(self, items: list[Any], kind: str) -> None:
        if len(items) > self.longest_list:
            self.longest_list = len(items)
        kinds = {kind_of(item) for item in items} if kind == "list" else {"string"} if items else ()
        for found in kinds:
            self.elements[found] += 1
        self.nested_lists += any(found in _CONTAINERS for found in kinds)

    def _add_int(self, value: int) -> None:
        if self.min_int is None or value < self.min_int:
            self.min_int = value
        if self.max_int is None or value > self.max_int:
            self.max_int = value
        self.wide_ints += not -(2**53) <= value <= 2**53


@dataclass(slots=True)
class VectorProfile:
    """One vector field over the records that were read with vectors. `zeros` are present vectors without any non-zero
    component; `nonfinite` ones hold NaN or infinity."""

    records: int = 0
    present: int = 0
    zeros: int = 0
    nonfinite: int = 0
    dims: set[int] = field(default_factory=set[int])


def kind_of(value: Value) -> str:
    """The ValueKind of a value, as text; `other` for what is no metadata value."""
    kind = _KINDS.get(type(value))
    if kind is not None:
        return kind
    if isinstance(value, float):
        return "float" if math.isfinite(value) else "nonfinite"
    if isinstance(value, list):
        for item in value:
            if type(item) is not str:
                return "list"
        return "list_of_strings"
    return "other"


_CONTAINERS = frozenset({"list", "list_of_strings", "object"})
_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "bool",
    int: "int",
    str: "string",
    bytes: "bytes",
    datetime: "datetime",
    dict: "object",
}


@dataclass(slots=True)
class _Node:
    """A field's place in the tree of paths: to find it by its last key is much cheaper than to write its path."""

    found: FieldProfile
    children: dict[str, _Node] = field(default_factory=dict[str, "_Node"])


def _utf8_length(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


_NUMBERS = ("records", "restored", "metadata_bytes", "negative_ids", "max_id_bytes", "strange_ids", "more_paths")


class Profile:
    """Accumulates batches as the source returns them. Sidecars are undone first, so it shows the original records."""

    def __init__(self) -> None:
        self.records = 0
        self.restored = 0
        """Records that got another id or namespace back from their sidecar."""
        self.metadata_bytes = 0
        self.namespaces: Counter[str] = Counter()
        """Records per original namespace."""
        self.id_kinds: Counter[IdKind] = Counter()
        """Ids by the narrowest kind: INT64 for integers below 2^63, UINT64 above."""
        self.negative_ids = 0
        self.max_id_bytes = 0
        self.strange_ids = 0
        self.fields: dict[str, FieldProfile] = {}
        """By path (mapping/paths.py)."""
        self.more_paths = False
        """Some paths beyond MAX_PATHS are not in `fields`."""
        self._nodes: dict[str, _Node] = {}
        self.vectors: dict[str, VectorProfile] = {}

    def to_json(self) -> dict[str, Any]:
        """What the ids and metadata showed, as JSON that `from_json` reads back; without vectors."""
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            "namespaces": dict(self.namespaces),
            "id_kinds": {kind.value: count for kind, count in self.id_kinds.items()},
            "fields": {path: found.to_json() for path, found in self.fields.items()},
        }

    @staticmethod
    def from_json(data: dict[str, Any]) -> Profile:
        """The profile that `to_json` wrote."""
        profile = Profile()
        for name in _NUMBERS:
            setattr(profile, name, data[name])
        profile.namespaces = Counter(data["namespaces"])
        profile.id_kinds = Counter({IdKind(kind): count for kind, count in data["id_kinds"].items()})
        profile.fields = {path: FieldProfile.from_json(found) for path, found in data["fields"].items()}
        return profile

    def add(self, batch: RecordBatch) -> None:
        """Count a batch, and its vectors if it was read with them."""
        original = restore(batch)
        self.records += len(batch)
        if original.batch is not batch:
            moved = original.namespaces or [None] * len(batch)
            pairs = zip(batch.ids, original.batch.ids, moved, strict=True)
            self.restored += sum(now is not before or name is not None for now, before, name in pairs)
        for name in original.namespaces or [None] * len(batch):
            if len(self.namespaces) < MAX_NAMESPACES:
                self.namespaces[batch.namespace if name is None else name] += 1
        for record_id in original.batch.ids:
            self._add_id(record_id)
        for metadata in original.batch.metadata:
            self.metadata_bytes += _size(metadata)
            self._add_fields(self._nodes, (), metadata)
        self.add_vectors(original.batch)

    def _add_id(self, record_id: RecordId) -> None:
        if isinstance(record_id, str):
            self.id_kinds[IdKind.STRING] += 1
            self.max_id_bytes = max(self.max_id_bytes, _utf8_length(record_id))
            self.strange_ids += not is_plain(record_id)
        elif isinstance(record_id, UUID):
            self.id_kinds[IdKind.UUID] += 1
        else:
            self.id_kinds[IdKind.INT64 if record_id < 2**63 else IdKind.UINT64] += 1
            self.negative_ids += record_id < 0

    def _add_fields(self, nodes: dict[str, _Node], path: tuple[str, ...], fields: Metadata) -> None:
        for key, value in fields.items():
            node = nodes.get(key)
            if node is None:
                if len(self.fields) >= MAX_PATHS:
                    self.more_paths = True
                    continue
                found = self.fields[format_path((*path, key))] = FieldProfile()
                node = nodes[key] = _Node(found)
            node.found.add(value)
            if isinstance(value, dict) and len(path) + 1 < MAX_NESTING:
                self._add_fields(node.children, (*path, key), value)

    def add_vectors(self, batch: RecordBatch) -> None:
        """Count only the vectors of a batch."""
        for name, column in batch.vectors.items():
            found = self.vectors.setdefault(name, VectorProfile())
            found.records += len(batch)
            found.present += len(batch) if column.valid is None else int(column.valid.sum())
            _add_components(found, column)


def _add_components(found: VectorProfile, column: VectorColumn) -> None:
    if isinstance(column, SparseColumn):
        found.nonfinite += int((~np.isfinite(column.values)).sum())
        return
    values: Any = column.values
    found.dims.add(int(values.shape[-1]))
    found.nonfinite += int(nonfinite_rows(values, column.dtype).sum())
    if isinstance(column, DenseColumn):
        present = values if column.valid is None else values[column.valid]
        found.zeros += int((~present.any(axis=-1)).sum())


def _size(metadata: Metadata) -> int:
    try:
        return len(orjson.dumps(metadata, default=str))
    except TypeError:  # an integer of more than 64 bits, a lone surrogate, deep nesting
        return len(repr(metadata))
