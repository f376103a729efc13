"""Metadata for a target in which every field is a typed column.

A value goes into its column as it is, or in a form that comes close (noted, so that it comes back); what no form suits
is left out of the column and kept in the sidecar alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np

from vectormigrate.adapter import ValueKind
from vectormigrate.mapping.convert.values import (
    MAX_DEPTH,
    Note,
    Path,
    ValueEncoder,
    check_key,
    check_of,
    in_order,
    pack,
    write_path,
)
from vectormigrate.mapping.limits import Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.names import has_surrogates
from vectormigrate.model.batch import Metadata, Value
from vectormigrate.model.schema import FieldType

Test = Callable[[Any], bool]

_INTEGERS = frozenset({FieldType.INT8, FieldType.INT16, FieldType.INT32, FieldType.INT64})
_FLOATS = frozenset({FieldType.FLOAT32, FieldType.FLOAT64})
_TEXTS = frozenset({FieldType.STRING, FieldType.TEXT})
_EXACT_INT = 2**53

_AS_TEXT = ValueEncoder(Limits.of(metadata={"value_kinds": frozenset({ValueKind.STRING})}))


def _is_float32(value: float) -> bool:
    with np.errstate(over="ignore"):
        return float(np.float32(value)) == value


def _is_place(value: Any) -> bool:
    """`{"lat": …, "lon": …}` with coordinates that 32 bits hold."""
    return (
        type(value) is dict
        and value.keys() == {"lat", "lon"}
        and all(type(item) is float and _is_float32(item) for item in value.values())
    )


_FINER = re.compile(r"[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6,8}[1-9](Z|[+-](?!00:00)\d\d:\d\d)", re.ASCII)
"""RFC 3339 with more digits than a datetime has, in the one form in which it comes back."""


def _is_moment(value: Any) -> bool:
    """A datetime with its offset, or the text of one too fine for Python's."""
    if type(value) is str:
        return _FINER.fullmatch(value) is not None
    return type(value) is datetime and value.tzinfo is not None


def _is_uuid(value: Any) -> bool:
    try:
        return type(value) is str and str(UUID(value)) == value
    except ValueError:
        return False


def _is_text(value: Any) -> bool:
    return type(value) is str and (value.isascii() or not has_surrogates(value))


_TESTS: dict[FieldType, Test] = {
    FieldType.BOOL: lambda value: type(value) is bool,
    **{kind: lambda value: type(value) is float and math.isfinite(value) for kind in _FLOATS},
    **dict.fromkeys(_TEXTS, _is_text),
    FieldType.UUID: _is_uuid,
    FieldType.DATETIME: _is_moment,
    FieldType.BYTES: lambda value: type(value) is bytes,
    FieldType.GEO: _is_place,
    FieldType.JSON: lambda value: type(value) in (dict, list),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column's type, and the test for values that it holds as they are."""

    type: FieldType
    element: FieldType | None
    test: Test

    @property
    def takes_objects(self) -> bool:
        return self.type in (FieldType.GEO, FieldType.JSON)


def _column(kind: FieldType, element: FieldType | None, int_range: tuple[int, int]) -> Column:
    low, high = int_range

    def is_int(value: Any) -> bool:
        return type(value) is int and low <= value <= high

    if kind is not FieldType.LIST:
        return Column(type=kind, element=None, test=is_int if kind in _INTEGERS else _TESTS[kind])
    inner = _column(element or FieldType.STRING, None, int_range).test
    return Column(
        type=kind, element=element, test=lambda value: type(value) is list and all(inner(item) for item in value)
    )


class TypedEncoder:
    """Encodes metadata for one set of columns. `name_of` gives the column's name of an original path. A
    reserved column, such as the sidecar's, is not there for a record's own fields."""

    def __init__(self, limits: Limits, name_of: Callable[[Path], str]) -> None:
        self._columns = {
            name: _column(FieldType(kind), FieldType(element) if element else None, limits.metadata.int_range)
            for name, (kind, _, element) in limits.declared.items()
            if name not in limits.metadata.reserved
        }
        self._tests = {name: column.test for name, column in self._columns.items()}
        self._name_of = name_of

    def fits(self, metadata: Metadata) -> bool:
        """Whether every value is what its column holds."""
        tests = self._tests
        for key, value in metadata.items():
            test = tests.get(key)
            if test is None or not test(value):
                return False
        return True

    def encode(self, metadata: Metadata, effects: set[str]) -> tuple[Metadata, dict[str, Any]]:
        """The metadata in columns, and the note that undoes it (members as in metadata.py)."""
        result: Metadata = {}
        notes: list[Note] = []
        note: dict[str, Any] = {}
        for key, value in metadata.items():
            check_key(key)
            path = (key,)
            name = self._name_of(path)
            column = self._columns.get(name)
            if isinstance(value, dict) and not (column and column.takes_objects):
                note.setdefault("o", {})[key] = self._flatten(value, path, result, notes, effects)
                effects.add("nested-objects")
            elif self._place(name, value, path, result, notes, effects) and name != key:
                note.setdefault("k", {})[name] = key
                effects.add("field-names")
        if notes:
            note["m"] = in_order(notes)
        return result, note

    def _flatten(
        self, items: dict[str, Value], path: Path, result: Metadata, notes: list[Note], effects: set[str]
    ) -> dict[str, Any]:
        if len(path) > MAX_DEPTH:
            raise RecordRejected("depth", f"metadata is nested deeper than {MAX_DEPTH} levels")
        shape: dict[str, Any] = {}
        for key, value in items.items():
            check_key(key)
            here = (*path, key)
            name = self._name_of(here)
            column = self._columns.get(name)
            if isinstance(value, dict) and not (column and column.takes_objects):
                shape[key] = self._flatten(value, here, result, notes, effects)
                continue
            self._place(name, value, here, result, notes, effects)
            shape[key] = 0 if name == ".".join(map(str, here)) else name
        return shape

    def _place(
        self, name: str, value: Value, path: Path, result: Metadata, notes: list[Note], effects: set[str]
    ) -> bool:
        """Put a value into its column; False when it is kept in the notes alone."""
        if value is None:
            notes.append(["n", write_path(path)])
            effects.add("null-values")
            return False
        column = self._columns.get(name)
        if column is not None and column.test(value):
            result[name] = value
            return True
        if column is not None and column.type in _TEXTS:
            result[name] = _AS_TEXT.encode(value, path, notes, effects)  # pyright: ignore[reportArgumentType]
            return True
        close = None if column is None else _close(column, value)
        if column is None or close is None or not column.test(close[1]):
            notes.append(["a", write_path(path), *pack(value)])
            effects.add("field-type")
            return False
        kind, encoded, effect = close
        extra = {"v": lambda: pack(value), "s": lambda: [value]}.get(kind, list)()
        notes.append([kind, write_path(path), check_of(encoded), *extra])
        effects.add(effect)
        result[name] = encoded
        return True


def _close(column: Column, value: Value) -> tuple[str, Value, str] | None:
    """(note kind, value that the column holds, effect), None when nothing in the column comes close."""
    if column.type in _FLOATS and type(value) is int:
        return _as_float(value)
    if column.type in _INTEGERS and type(value) is float:
        return _as_whole(column, value)
    if column.type is FieldType.DATETIME and isinstance(value, str):
        moment = _moment(value)
        return None if moment is None else ("s", moment, "datetime-text")
    if column.type is FieldType.UUID and isinstance(value, str):
        return _as_uuid(value)
    if column.type is FieldType.GEO:
        return _as_place(value)
    if column.type is FieldType.LIST:
        return _as_list(column, value)
    return None


def _as_float(value: int) -> tuple[str, Value, str]:
    """A whole number as the nearest double; far too large ones become infinite, which no column holds."""
    if abs(value) <= _EXACT_INT:
        return "d", float(value), "int-type"
    return "v", float(value) if abs(value) < 2**1023 else math.inf, "rounded-values"


def _as_whole(column: Column, value: float) -> tuple[str, Value, str] | None:
    """A float without a fraction as an integer; the sign of a negative zero would be lost."""
    negative_zero = value == 0 and math.copysign(1, value) < 0
    if not value.is_integer() or negative_zero or not column.test(int(value)):
        return None
    return "w", int(value), "whole-floats"


def _as_uuid(text: str) -> tuple[str, Value, str] | None:
    """Any spelling of a UUID in the standard one."""
    try:
        return "v", str(UUID(text)), "rounded-values"
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    """The instant that a date text means; without an offset it is in UTC. None when it is no date text."""
    if len(text) < 10 or not text.isascii():
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _as_place(value: Value) -> tuple[str, Value, str] | None:
    if not isinstance(value, dict) or value.keys() != {"lat", "lon"}:
        return None
    numbers = {key: item for key, item in value.items() if type(item) in (int, float)}
    if len(numbers) < 2 or not all(abs(float(item)) <= 360 for item in numbers.values()):  # pyright: ignore[reportArgumentType]
        return None
    rounded: Value = {key: float(np.float32(item)) for key, item in numbers.items()}  # pyright: ignore[reportArgumentType]
    return "v", rounded, "rounded-values"


def _as_list(column: Column, value: Value) -> tuple[str, Value, str] | None:
    """Numbers in a list of floats as floats; a single value as a list of one, so that filters find it."""
    if not isinstance(value, list):
        return ("v", [value], "field-type") if column.test([value]) else None
    if column.element in _FLOATS and all(type(item) in (int, float) for item in value):
        floats: list[Value] = [_as_float(item)[1] if type(item) is int else item for item in value]
        return ("v", floats, "int-type") if column.test(floats) else None
    return None
