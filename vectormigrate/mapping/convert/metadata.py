"""A record's metadata for one target, and back: values, flattening, legal keys.

The note that undoes it is a JSON object with up to three members, in the order in which they are applied on the way
back: `k` (renamed key -> original key), `o` (the shapes of flattened objects) and `m` (value notes, see values.py).
"""

from __future__ import annotations

import json
from typing import Any, cast

import orjson

from vectormigrate.figures import counted, plural
from vectormigrate.mapping.convert.columns import ColumnCheck
from vectormigrate.mapping.convert.typed import TypedEncoder
from vectormigrate.mapping.convert.values import (
    ABSENT,
    Encoded,
    Note,
    Path,
    ValueEncoder,
    apply_note,
    check_key,
    copy_containers,
    in_order,
)
from vectormigrate.mapping.limits import Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.names import has_surrogates, legal_name, matcher
from vectormigrate.model.batch import Metadata, Value

Shape = dict[str, Any]
"""A flattened object: key -> inner shape, or 0 for a leaf under its dot path, or the leaf's own flat key."""

MetadataNote = dict[str, Any]


class MetadataEncoder:
    """Encodes metadata for one target. Raises RecordRejected for what has no encoding. Never changes its input."""

    def __init__(self, limits: Limits) -> None:
        self._values = ValueEncoder(limits)
        self._matches = matcher(limits.metadata.names, limits.metadata.reserved)
        self._columns = ColumnCheck(limits) if limits.declared or not limits.metadata.dynamic else None
        self._typed = TypedEncoder(limits, self._column_name) if limits.typed else None
        self._column_names: dict[Path, str] = {}
        self._legal: set[str] = set()
        self.flattens = not self._values.object
        self._max_bytes = limits.metadata.max_bytes
        self.limited = limits.metadata.max_bytes is not None

    def fits(self, metadata: Metadata) -> bool:
        """Whether the metadata goes over unchanged. The hot path: one pass, no allocation for flat records."""
        if self._typed is not None:
            return self._typed.fits(metadata)
        fits, always, legal = self._values.fits, self._values.always, self._legal
        for key, value in metadata.items():
            if key not in legal and not self._learn(key):
                return False
            if type(value) not in always and not fits(value):
                return False
        return self._columns is None or self._columns.fits(metadata)

    def _learn(self, key: str) -> bool:
        if type(key) is not str or has_surrogates(key) or not self._matches(key):
            return False
        if len(self._legal) < 10_000:
            self._legal.add(key)
        return True

    def encode(self, metadata: Metadata, effects: set[str]) -> tuple[Metadata, MetadataNote]:
        """The metadata as the target can hold it, and the note that undoes it (empty: nothing to undo)."""
        if self.fits(metadata):
            return metadata, {}
        if self._typed is not None:
            return self._typed.encode(metadata, effects)
        notes: list[Note] = []
        encoded: dict[str, Encoded] = {}
        for key, value in metadata.items():
            check_key(key)
            encoded[key] = self._values.encode(value, (key,), notes, effects)
        note: MetadataNote = {}
        result = self._names(encoded, note, effects)
        if self._columns is not None:
            result = self._columns.convert(result, notes, effects, note)
        if notes:
            note["m"] = in_order(notes)
        return result, note

    def _names(self, encoded: dict[str, Encoded], note: MetadataNote, effects: set[str]) -> Metadata:
        """Flatten objects where the target has none, and make every key legal. Legal keys take their names first."""
        result: Metadata = {}
        rest: list[str] = []
        for key, value in encoded.items():
            flatten = isinstance(value, dict) and not self._values.object
            if flatten or not (key in self._legal or self._learn(key)):
                rest.append(key)
            elif value is not ABSENT:
                result[key] = cast(Value, value)
        for key in sorted(rest):  # which of two equal names comes first must not change from read to read
            value = encoded[key]
            if isinstance(value, dict) and not self._values.object:
                note.setdefault("o", {})[key] = self._flatten(value, (key,), result)
                effects.add("nested-objects")
            elif value is not ABSENT:
                name = self.field_name((key,), result)
                result[name] = cast(Value, value)
                note.setdefault("k", {})[name] = key
                effects.add("field-names")
        return result

    def _flatten(self, items: dict[str, Value], path: tuple[str, ...], result: Metadata) -> Shape:
        shape: Shape = {}
        for key, value in sorted(items.items()):
            here = (*path, key)
            if isinstance(value, dict):
                shape[key] = self._flatten(value, here, result)
                continue
            name = self.field_name(here, result)
            shape[key] = 0 if name == ".".join(here) else name
            result[name] = value
        return shape

    def field_name(self, path: tuple[str, ...], taken: Metadata) -> str:
        """The target's key for this original path: the dot path where it is legal and free."""
        plain = ".".join(path)
        if plain not in taken and (plain in self._legal or self._learn(plain)):
            return plain
        found = legal_name(plain, orjson.dumps(path).decode(), self._matches, taken)
        if found is None:
            raise RecordRejected("field_name", f"no legal name can be made from the metadata key {plain!r}")
        return found

    def _column_name(self, path: Path) -> str:
        """As `field_name`, which for typed columns never depends on the record."""
        name = self._column_names.get(path)
        if name is None:
            name = self.field_name(tuple(map(str, path)), {})
            if len(self._column_names) < 10_000:
                self._column_names[path] = name
        return name

    def check_size(self, metadata: Metadata) -> None:
        """Raises RecordRejected when the finished metadata is larger than the target takes."""
        if self._max_bytes is None:
            return
        try:
            size = len(orjson.dumps(metadata, default=str))
        except TypeError:  # an integer of more than 64 bits
            size = len(json.dumps(metadata, default=str, ensure_ascii=False).encode())
        if size > self._max_bytes:
            raise RecordRejected(
                "size", f"the metadata takes {plural(size, 'byte')}, the target holds {counted(self._max_bytes)}"
            )


def decode_metadata(metadata: Metadata, note: MetadataNote) -> Metadata:
    """The original metadata. Whatever no longer is as the encoding left it stays as it is; never raises."""
    result = {key: copy_containers(value) for key, value in metadata.items()}
    for name, key in note.get("k", {}).items():
        if name in result and key not in result:
            result[key] = result.pop(name)
    for key, shape in note.get("o", {}).items():
        if key not in result:
            result[key] = _gather(shape, (key,), result)
    for item in note.get("m", ()):
        apply_note(result, item)
    return result


def _gather(shape: Shape, path: tuple[str, ...], flat: Metadata) -> dict[str, Value]:
    items: dict[str, Value] = {}
    for key, leaf in shape.items():
        here = (*path, key)
        if isinstance(leaf, dict):
            items[key] = _gather(leaf, here, flat)
            continue
        name = leaf if isinstance(leaf, str) else ".".join(here)
        if name in flat:
            items[key] = flat.pop(name)
    return items
