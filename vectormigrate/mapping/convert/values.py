"""One metadata value at a time: encode for a target's value kinds, note how, and undo it.

A note is `[kind, path, check, …]`; `path` leads to the value in the original record (a key, or a list of keys and list
positions). `check` is a CRC-32 of the encoded value: on the way back a note counts only while the value is still what
the encoding made of it, so a value that somebody edited in the meantime stays as it is.

==== ================================================ ====
n    null, left out                                   [n, path]
l    bool as text                                     [l, path, check]
i    int as decimal text                              [i, path, check]
d    int as float of the same value                   [d, path, check]
f    float as text (NaN, Infinity, -Infinity too)     [f, path, check]
b    bytes as base64                                  [b, path, check]
t    datetime as RFC 3339 text                        [t, path, check]
j    list as JSON text                                [j, path, check, notes relative to the list]
w    whole float as int of the same value             [w, path, check]
s    RFC 3339 text as datetime                        [s, path, check, text]
v    another value that comes close                   [v, path, check, JSON text of [original], notes in it]
a    left out, because its column holds another type  [a, path, JSON text of [original], notes in it]
==== ================================================ ====
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from vectormigrate.adapter import ValueKind
from vectormigrate.mapping.limits import Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.names import has_surrogates
from vectormigrate.model.batch import Value

MAX_DEPTH = 100
"""Deepest nesting of a record that is carried; orjson stops at 254, Python's own recursion at about 1000."""

Path = tuple[str | int, ...]
Note = list[Any]


class _Absent:
    """The encoded value of a null that is left out."""


ABSENT: Final = _Absent()

Encoded = Value | _Absent

JSON_LIMITS = Limits.of(
    metadata={
        "value_kinds": frozenset(ValueKind) - {ValueKind.NONFINITE, ValueKind.BYTES, ValueKind.DATETIME},
        "int_range": (-(10**4000), 10**4000),
    },
)
"""What JSON text holds exactly. Python refuses to read decimal integers of more than 4300 digits."""


def check_of(value: Value) -> int:
    """CRC-32 of an encoded value. Numbers of equal value agree, because a JSON store may return 5 for 5.0."""
    if isinstance(value, str):
        return zlib.crc32(value.encode(errors="surrogatepass"))
    return zlib.crc32(repr(_comparable(value)).encode())


def _comparable(value: Value) -> object:
    """The value without what a store may change in it: the kind of a number, the order of keys, an offset's name."""
    if type(value) is int and abs(value) <= 2**1023:
        return float(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, dict):
        return sorted((key, _comparable(item)) for key, item in value.items())
    return value


_TEXT: Mapping[str, Any] = {
    "ensure_ascii": False,
    "separators": (",", ":"),
    "allow_nan": False,
    "sort_keys": True,  # a database may return the keys of an object in another order each time
}


def in_order(notes: list[Note]) -> list[Note]:
    """The notes by path, so that they do not depend on the order in which a database returns keys. Notes of one list
    stay in the order of its elements, in which they must be undone."""
    return sorted(notes, key=lambda note: [(isinstance(step, int), step) for step in _read_path(note[1])])


def write_path(path: Path) -> str | list[str | int]:
    """The path as written in a note."""
    return path[0] if len(path) == 1 and isinstance(path[0], str) else list(path)


class ValueEncoder:
    """Encodes values for one target. Raises RecordRejected for what has no encoding."""

    def __init__(self, limits: Limits) -> None:
        kinds = limits.metadata.value_kinds
        self.null = ValueKind.NULL in kinds
        self.bool = ValueKind.BOOL in kinds
        self.int = ValueKind.INT in kinds
        self.float = ValueKind.FLOAT in kinds
        self.whole = ValueKind.WHOLE in kinds
        self.nonfinite = ValueKind.NONFINITE in kinds
        self.bytes = ValueKind.BYTES in kinds
        self.datetime = ValueKind.DATETIME in kinds
        self.object = ValueKind.OBJECT in kinds
        self.list = ValueKind.LIST in kinds
        self.strings = self.list or ValueKind.LIST_OF_STRINGS in kinds
        self.low, self.high = limits.metadata.int_range
        self.always = frozenset(kind for kind, held in self._held_types() if held)
        """Python types of which every value fits."""

    def _held_types(self) -> list[tuple[type, bool]]:
        return [
            (type(None), self.null),
            (bool, self.bool),
            (float, self.float and self.nonfinite and self.whole),
            (bytes, self.bytes),
            (datetime, self.datetime),
        ]

    def fits(self, value: Any, depth: int = 0) -> bool:
        """Whether the value goes over unchanged. Containers only up to MAX_DEPTH."""
        kind = type(value)
        if kind is str:
            return value.isascii() or not has_surrogates(value)
        if kind in self.always:
            return True
        if kind is int:
            return self.int and self.low <= value <= self.high
        if kind is float:
            return self.float and math.isfinite(value) and (self.whole or not value.is_integer())
        if kind is dict:
            return self.object and self._fits_object(value, depth + 1)
        return kind is list and self._fits_list(value, depth + 1)

    def _fits_list(self, items: list[Any], depth: int) -> bool:
        if depth > MAX_DEPTH:
            return False
        fits, any_kind = self.fits, self.list
        for item in items:
            if not (any_kind or type(item) is str) or not fits(item, depth):
                return False
        return self.strings

    def _fits_object(self, items: dict[Any, Any], depth: int) -> bool:
        if depth > MAX_DEPTH:
            return False
        fits = self.fits
        for key, item in items.items():
            if type(key) is not str or not (key.isascii() or not has_surrogates(key)) or not fits(item, depth):
                return False
        return True

    def encode(self, value: Value, path: Path, notes: list[Note], effects: set[str]) -> Encoded:
        """The value as the target can hold it. Objects stay objects (`convert/metadata.py` flattens them);
        nulls in them become ABSENT. A list with something in it that cannot be noted in place becomes JSON text."""
        if value is None:
            if self.null:
                return None
            notes.append(["n", write_path(path)])
            effects.add("null-values")
            return ABSENT
        if isinstance(value, dict):
            return self._encode_object(value, path, notes, effects)
        if isinstance(value, list):
            return self._encode_list(value, path, notes, effects)
        if self.fits(value):
            return value
        kind, encoded, effect = self._encode_scalar(value)
        notes.append([kind, write_path(path), check_of(encoded)])
        effects.add(effect)
        return encoded

    def _encode_scalar(self, value: Value) -> tuple[str, Value, str]:
        """(note kind, encoded, effect) of a scalar that does not fit."""
        if type(value) is bool:
            return "l", "true" if value else "false", "bool-type"
        if type(value) is int:
            return self._encode_int(value)
        if type(value) is float:
            if math.isfinite(value):
                return self._encode_float(value)
            return "f", "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity", "nonfinite-values"
        if type(value) is bytes:
            return "b", base64.b64encode(value).decode(), "bytes-type"
        if type(value) is datetime:
            return "t", value.isoformat(), "datetime-type"
        if isinstance(value, str):
            raise RecordRejected("unicode", "a string holds a lone surrogate, which is not legal text")
        raise RecordRejected("value_type", f"a value is of the type {type(value).__name__}, which is no metadata type")

    def _encode_float(self, value: float) -> tuple[str, Value, str]:
        negative_zero = value == 0 and math.copysign(1, value) < 0
        if self.float and self.int and value.is_integer() and self.low <= value <= self.high and not negative_zero:
            return "w", int(value), "whole-floats"
        return "f", repr(value), "float-type"

    def _encode_int(self, value: int) -> tuple[str, Value, str]:
        if not self.int and self.float and self.low <= value <= self.high and abs(value) <= 2**1023:
            as_float = float(value)
            if as_float == value:
                return "d", as_float, "int-type"
        try:
            return "i", str(value), "int-precision" if self.int or self.float else "int-type"
        except ValueError:
            raise RecordRejected("value_type", "an integer has more than 4300 digits") from None

    def _encode_object(
        self, items: dict[str, Value], path: Path, notes: list[Note], effects: set[str]
    ) -> dict[str, Value]:
        if len(path) > MAX_DEPTH:
            raise RecordRejected("depth", f"metadata is nested deeper than {MAX_DEPTH} levels")
        result: dict[str, Value] = {}
        for key, item in items.items():
            check_key(key)
            encoded = self.encode(item, (*path, key), notes, effects)
            if not isinstance(encoded, _Absent):
                result[key] = encoded
        return result

    def _encode_list(self, items: list[Value], path: Path, notes: list[Note], effects: set[str]) -> Value:
        if len(path) > MAX_DEPTH:
            raise RecordRejected("depth", f"metadata is nested deeper than {MAX_DEPTH} levels")
        if self._fits_list(items, len(path)):
            return items
        if self.list and self._notable_in_place(items, len(path)):
            encoded = [self.encode(item, (*path, row), notes, effects) for row, item in enumerate(items)]
            return [item for item in encoded if not isinstance(item, _Absent)]
        inner: list[Note] = []
        plain = [_JSON.encode(item, (row,), inner, set()) for row, item in enumerate(items)]
        text = json.dumps(plain, **_TEXT)
        if len(path) + _depth(items) > MAX_DEPTH:
            raise RecordRejected("depth", f"metadata is nested deeper than {MAX_DEPTH} levels")
        notes.append(["j", write_path(path), check_of(text), *([in_order(inner)] if inner else [])])
        effects.add("list-values")
        return text

    def _notable_in_place(self, items: Sequence[Value], depth: int) -> bool:
        """Whether each element can be encoded where it is: no null that would have to be left out, no object that
        would have to be flattened."""
        if depth > MAX_DEPTH:
            raise RecordRejected("depth", f"metadata is nested deeper than {MAX_DEPTH} levels")
        for item in items:
            if (item is None and not self.null) or (isinstance(item, dict) and not self.object):
                return False
            if isinstance(item, list) and not self._notable_in_place(item, depth + 1):
                return False
        return True


def _depth(value: Value) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def check_key(key: object) -> None:
    """Raises RecordRejected for a key that is no text."""
    if not isinstance(key, str):
        raise RecordRejected("value_type", "a metadata key is no string")
    if has_surrogates(key):
        raise RecordRejected("unicode", "a metadata key holds a lone surrogate, which is not legal text")


_JSON = ValueEncoder(JSON_LIMITS)


def pack(value: Value) -> list[Any]:
    """The value as the last members of a note: JSON text of a list of it, and the notes that this text needs."""
    inner: list[Note] = []
    plain = _JSON.encode(value, (0,), inner, set())
    text = json.dumps([plain], **_TEXT)
    return [text, in_order(inner)] if inner else [text]


def _unpack(text: object, inner: Sequence[Note]) -> list[Value]:
    """The list that was written as JSON text, with its notes applied. Raises ValueError and its like."""
    holder: dict[str, Value] = {"": json.loads(str(text))}
    for note in inner:
        apply_note(holder, [note[0], ["", *_read_path(note[1])], *note[2:]])
    return cast("list[Value]", holder[""])


def _decode_scalar(kind: str, value: Value) -> Value:
    text = str(value)
    match kind:
        case "l":
            return text == "true"
        case "i":
            return int(text)
        case "d":
            return int(cast(float, value))
        case "f":
            return float(text)
        case "w":
            return float(cast(int, value))
        case "b":
            return base64.b64decode(text, validate=True)
        case "t":
            return datetime.fromisoformat(text)
        case _:
            raise ValueError(f"unknown note {kind!r}")


def _decode(note: Note, value: Value) -> Value:
    """The original of `value`, or `value` itself when the note does not fit it (any more)."""
    try:
        if check_of(value) != note[2]:
            return value
        if note[0] == "v":
            return _unpack(note[3], note[4] if len(note) > 4 else ())[0]
        if note[0] == "s":
            return str(note[3])
        if isinstance(value, dict | list):
            return value
        if note[0] == "j":
            return _unpack(value, note[3] if len(note) > 3 else ())
        return _decode_scalar(note[0], value)
    except (ValueError, TypeError, OverflowError, RecursionError, LookupError):
        return value


def _read_path(path: Any) -> list[str | int]:
    return path if isinstance(path, list) else [path]


def apply_note(metadata: dict[str, Value], note: Note) -> None:
    """Undo one note in place. `metadata` must be a private copy. A note that does not fit is left alone."""
    path = _read_path(note[1])
    holder: Any = metadata
    for step in path[:-1]:
        holder = _step(holder, step)
    last = path[-1]
    if note[0] in ("n", "a"):
        try:
            missing = None if note[0] == "n" else _unpack(note[2], note[3] if len(note) > 3 else ())[0]
        except (ValueError, TypeError, RecursionError, LookupError):
            return
        if isinstance(holder, dict) and isinstance(last, str) and last not in holder:
            holder[last] = missing
        elif isinstance(holder, list) and isinstance(last, int) and last == len(holder):
            holder.append(missing)
        return
    current = _step(holder, last)
    if current is not ABSENT:
        holder[last] = _decode(note, current)


def _step(holder: Any, step: str | int) -> Any:
    if isinstance(holder, dict) and isinstance(step, str):
        return holder.get(step, ABSENT)
    if isinstance(holder, list) and isinstance(step, int) and 0 <= step < len(holder):
        return holder[step]
    return ABSENT


def copy_containers(value: Value) -> Value:
    """The value with new dicts and lists, so that changes do not reach the original."""
    if isinstance(value, dict):
        return {key: copy_containers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_containers(item) for item in value]
    return value
