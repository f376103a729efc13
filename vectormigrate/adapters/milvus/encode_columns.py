"""Typed scalar fields: which values fit exactly, and how they are sent. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from vectormigrate.adapters.milvus.capabilities import META_MAX
from vectormigrate.adapters.milvus.layout import Column
from vectormigrate.adapters.milvus.proto import sp
from vectormigrate.adapters.milvus.values import json_bytes, text_size
from vectormigrate.model.batch import Metadata

T = sp.DataType
Wrong = tuple[str, str]

SLOTS: Mapping[int, str] = {
    T.Bool: "bool_data",
    **dict.fromkeys((T.Int8, T.Int16, T.Int32), "int_data"),
    T.Int64: "long_data",
    T.Float: "float_data",
    T.Double: "double_data",
    **dict.fromkeys((T.VarChar, T.String, T.Text, T.Timestamptz), "string_data"),
    T.Geometry: "geometry_wkt_data",
    T.JSON: "json_data",
}
"""Where the values of a type go in a ScalarField."""

_BITS: Mapping[int, int] = {T.Int8: 8, T.Int16: 16, T.Int32: 32, T.Int64: 64}
_TEXTS = frozenset({T.VarChar, T.String, T.Text, T.Timestamptz, T.Geometry})


def column_check(column: Column, *, lite: bool, objects_only: bool = False) -> Callable[[Metadata], Wrong | None]:
    """A function that returns why a record's value does not fit this field, None when it does. `objects_only`: a JSON
    field takes objects only, as in Milvus before 2.4."""
    fits = _array_check(column, lite=lite) if column.type == T.Array else _value_check(column.type, column, lite=lite)
    if column.type == T.JSON and objects_only:
        fits = _object_wrong
    name = column.name

    def check(metadata: Metadata) -> Wrong | None:
        value = metadata.get(name)
        if value is None:
            if name in metadata and column.type == T.JSON and not lite:
                return None
            missing_ok = column.nullable or (column.has_default and name not in metadata)
            return None if missing_ok else ("field_missing", f"the field {name!r} needs a value")
        reason = fits(value)
        return None if reason is None else (reason, f"the field {name!r} ({T.Name(column.type)}) cannot hold its value")  # pyright: ignore[reportArgumentType]

    return check


def _value_check(kind: int, column: Column, *, lite: bool) -> Callable[[Any], str | None]:
    """The code of what is wrong with one value."""
    if kind == T.JSON:
        return _lite_json_wrong if lite else _json_wrong
    if kind in _TEXTS:
        return lambda value: _text_wrong(value, column.max_length, lite=lite)
    if kind in _BITS:
        top = 2 ** (_BITS[kind] - 1)
        return lambda value: "field_type" if type(value) is not int else None if -top <= value < top else "field_range"
    if kind == T.Bool:
        return lambda value: None if type(value) is bool else "field_type"
    if kind == T.Float:
        return _float32_wrong
    return lambda value: "field_type" if type(value) is not float else None if np.isfinite(value) else "nonfinite"


def _float32_wrong(value: Any) -> str | None:
    if type(value) is not float:
        return "field_type"
    if not np.isfinite(value):
        return "nonfinite"
    with np.errstate(over="ignore"):
        return None if float(np.float32(value)) == value else "precision"


def _text_wrong(value: Any, longest: int | None, *, lite: bool) -> str | None:
    if type(value) is not str:
        return "field_type"
    size = text_size(value, lite=lite)
    if size is None:
        return "field_text"
    return "field_size" if longest is not None and size > longest else None


def _json_wrong(value: Any) -> str | None:
    data, wrong = json_bytes(value)
    if wrong is not None:
        return wrong[0]
    return "field_size" if len(data) > META_MAX else None


def _object_wrong(value: Any) -> str | None:
    return _json_wrong(value) if type(value) is dict else "json_object"


def _lite_json_wrong(value: Any) -> str | None:
    """Lite refuses numbers in a JSON field and returns texts without quotes."""
    return _json_wrong(value) if type(value) in (dict, list) else "lite_json"


def _array_check(column: Column, *, lite: bool) -> Callable[[Any], str | None]:
    element = _value_check(column.element, column, lite=lite)

    def check(value: Any) -> str | None:
        if type(value) is not list:
            return "field_type"
        if column.max_capacity is not None and len(value) > column.max_capacity:
            return "field_size"
        return next((wrong for wrong in map(element, value) if wrong is not None), None)

    return check


def column_data(column: Column, rows: Sequence[Metadata]) -> sp.FieldData:
    """The values of one field for all records. Nulls of a nullable field, and values that a default fills, are left
    out and marked in `valid_data`."""
    found = sp.FieldData(type=column.type, field_name=column.name)  # pyright: ignore[reportArgumentType]
    values: list[Any] = [row.get(column.name) for row in rows]
    if column.nullable or column.has_default:
        present = [value is not None for value in values]
        found.valid_data.extend(present)
        values = [value for value in values if value is not None]
    if column.type == T.Array:
        found.scalars.array_data.element_type = column.element  # pyright: ignore[reportAttributeAccessIssue]
        slot = SLOTS[column.element]
        for value in values:
            getattr(found.scalars.array_data.data.add(), slot).data.extend(value)
        return found
    if column.type == T.JSON:
        values = [orjson.dumps(value) for value in values]
    part = getattr(found.scalars, SLOTS[column.type])
    part.SetInParent()
    part.data.extend(values)
    return found
