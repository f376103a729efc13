"""Typed columns of a target whose schema declares them: does a value fit, and what is done when it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from vectormigrate.mapping.convert.values import Note, check_of
from vectormigrate.mapping.limits import OWN_FIELDS, Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.model.batch import Metadata, Value
from vectormigrate.model.schema import FieldType

_FLOAT32_MAX = float(np.finfo(np.float32).max)


def _integer(bits: int) -> Callable[[Any], bool]:
    top = 2 ** (bits - 1)
    return lambda value: type(value) is int and -top <= value < top


def _is_float32(value: float) -> bool:
    return not math.isfinite(value) or (abs(value) <= _FLOAT32_MAX and float(np.float32(value)) == value)


def _float32(value: Any) -> bool:
    return type(value) is float and _is_float32(value)


def _uuid(value: Any) -> bool:
    try:
        return type(value) is str and str(UUID(value)) == value
    except ValueError:
        return False


_FITS: dict[FieldType, Callable[[Any], bool]] = {
    FieldType.BOOL: lambda value: type(value) is bool,
    FieldType.INT8: _integer(8),
    FieldType.INT16: _integer(16),
    FieldType.INT32: _integer(32),
    FieldType.INT64: _integer(64),
    FieldType.FLOAT32: _float32,
    FieldType.FLOAT64: lambda value: type(value) is float,
    FieldType.STRING: lambda value: type(value) is str,
    FieldType.TEXT: lambda value: type(value) is str,
    FieldType.DATETIME: lambda value: type(value) in (datetime, str),
    FieldType.UUID: _uuid,
    FieldType.GEO: lambda value: type(value) in (dict, str),
    FieldType.BYTES: lambda value: type(value) in (bytes, str),
    FieldType.JSON: lambda _value: True,
    FieldType.LIST: lambda value: type(value) is list,
}
"""Datetimes, places and bytes may arrive in the text form of a target that has no such values."""


class ColumnCheck:
    """Checks and converts the top-level fields of one declared schema."""

    def __init__(self, limits: Limits) -> None:
        self._dynamic = limits.metadata.dynamic
        self._fits: dict[str, tuple[Callable[[Any], bool], str, bool]] = {}
        for name, (kind, nullable, element) in limits.declared.items():
            test = _FITS[FieldType(kind)]
            if FieldType(kind) is FieldType.LIST and element:
                test = _list_of(_FITS[FieldType(element)])
            self._fits[name] = (test, kind, nullable)

    def fits(self, metadata: Metadata) -> bool:
        """Whether every column holds a value of its type and nothing undeclared is there."""
        for name, (test, _, nullable) in self._fits.items():
            value = metadata.get(name)
            if not (nullable if value is None else test(value)):
                return False
        return self._dynamic or all(key in self._fits for key in metadata)

    def convert(self, metadata: Metadata, notes: list[Note], effects: set[str], note: dict[str, Any]) -> Metadata:
        """The metadata with whole numbers as the column's kind of number. Raises RecordRejected for what cannot fit."""
        result = dict(metadata)
        renamed = {*note.get("k", ())}
        for name, (test, kind, nullable) in self._fits.items():
            value = metadata.get(name)
            if value is None:
                if not nullable:
                    raise RecordRejected("field_missing", f"the target requires a value in the field {name!r}")
                continue
            if test(value):
                continue
            if name in renamed or "." in name:
                raise _type_error(name, kind, value)
            result[name] = _number(name, kind, value, notes, effects)
        for key in () if self._dynamic else metadata:
            if key not in self._fits and key not in OWN_FIELDS:
                raise RecordRejected("field_undeclared", f"the target has no field {key!r} and takes no others")
        return result


def _list_of(test: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and all(test(item) for item in value)


def _type_error(name: str, kind: str, value: Value) -> RecordRejected:
    return RecordRejected("field_type", f"the field {name!r} holds {kind} on the target, not {type(value).__name__}")


def _number(name: str, kind: str, value: Value, notes: list[Note], effects: set[str]) -> Value:
    """A float column takes a whole number (noted) and, with a named loss, a number that it rounds."""
    if kind not in (FieldType.FLOAT32, FieldType.FLOAT64):
        raise _type_error(name, kind, value)
    if type(value) is int and abs(value) <= 2**53:
        number = float(value)
        notes.append(["d", name, check_of(number)])
        effects.add("int-type")
    elif type(value) is float:
        number = value
    else:
        raise _type_error(name, kind, value)
    if kind == FieldType.FLOAT32 and not _is_float32(number):
        if abs(number) > _FLOAT32_MAX:
            raise RecordRejected("field_type", f"the field {name!r} holds float32 on the target, {number} is too large")
        effects.add("float-precision")
        # Rounded here, so that what is sent is what can be read back.
        return float(np.float32(number))
    return number
