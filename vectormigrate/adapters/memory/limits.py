"""Enforces a Capabilities object on schemas and records, as strictly as the database that it describes would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import isfinite

import numpy as np

from vectormigrate.adapter import Capabilities, MetadataCapabilities, Reject, ValueKind, VectorCapabilities
from vectormigrate.adapter.column_checks import Problem
from vectormigrate.adapter.record_checks import check_columns
from vectormigrate.adapters.memory.store import width
from vectormigrate.errors import InvalidRequest
from vectormigrate.figures import counted, plural
from vectormigrate.model.batch import (
    BoolMask,
    DenseColumn,
    Metadata,
    RecordBatch,
    SparseColumn,
    Value,
    VectorColumn,
)
from vectormigrate.model.half_units import stored_as_given
from vectormigrate.model.ids import RecordId, is_plain, kind_fits
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
)


def check_schema(schema: CollectionSchema, name: str, limits: Capabilities) -> None:
    """Raises InvalidRequest for a shape that the limits do not allow."""
    if not re.fullmatch(limits.collection.names, name):
        raise InvalidRequest(f"collection name {name!r} is not allowed", adapter="memory", operation="create")
    problems = list(_schema_problems(schema, limits))
    if problems:
        raise InvalidRequest("; ".join(problems), adapter="memory", operation="create")


def _schema_problems(schema: CollectionSchema, limits: Capabilities) -> Iterator[str]:
    if not schema.id_kinds or not schema.id_kinds <= limits.ids.kinds:
        yield f"id kinds {sorted(schema.id_kinds)} are not all of {sorted(limits.ids.kinds)}"
    if limits.vectors.max_fields is not None and len(schema.vectors) > limits.vectors.max_fields:
        yield f"{len(schema.vectors)} vector fields, at most {limits.vectors.max_fields} are allowed"
    if limits.metadata.dynamic is False and schema.dynamic:
        yield "every metadata field must be declared"
    if schema.divided and not limits.namespaces.declared:
        yield "a collection is not made with or without namespaces here"
    yield from _vector_set_problems(schema, limits)
    for item in schema.vectors:
        yield from _field_problems(item, limits.vectors)
    names = [column.name if column.declared else column.name.split(".")[0] for column in schema.fields]
    for name in names:
        problem = _name_problem(name, schema, limits)
        if problem:
            yield problem
    if limits.metadata.fold_case and len({name.casefold() for name in {*names}}) < len({*names}):
        yield "two field names differ only in case"


def _field_problems(item: VectorField, limits: VectorCapabilities) -> Iterator[str]:
    """What is wrong with one vector field."""
    allowed_name = limits.unnamed if item.name == "" else re.fullmatch(limits.names, item.name)
    if not allowed_name:
        yield f"vector name {item.name!r} is not allowed"
    if item.kind not in limits.kinds or item.metric not in limits.metrics:
        yield f"vector {item.name!r}: {item.kind} with metric {item.metric} is not supported"
    if item.kind is VectorKind.SPARSE:
        return
    if item.dtype not in limits.dtypes:
        yield f"vector {item.name!r}: storage type {item.dtype} is not supported"
    if item.dim is None or not 0 < item.dim <= limits.max_dim:
        yield f"vector {item.name!r}: dimension {item.dim} is not in 1…{limits.max_dim}"


def _vector_set_problems(schema: CollectionSchema, limits: Capabilities) -> Iterator[str]:
    """What is wrong with the vector fields taken together."""
    names = [item.name.casefold() if limits.metadata.fold_case else item.name for item in schema.vectors]
    if len(set(names)) < len(names):
        yield "two vector fields have the same name"
    for kind, most in limits.vectors.max_of_kind.items():
        if sum(item.kind is kind for item in schema.vectors) > most:
            yield f"at most {most} {kind} vector fields are allowed"
    for item in schema.vectors:
        if limits.vectors.fixed_names.get(item.kind, item.name) != item.name:
            yield f"the {item.kind} vector field must be called {limits.vectors.fixed_names[item.kind]!r}"
    others = [item for item in schema.vectors if item.kind is not VectorKind.SPARSE]
    if limits.vectors.unnamed_alone and "" in [item.name for item in others] and len(others) > 1:
        yield "a vector field without a name must be the only one"
    if len(others) < len(schema.vectors):
        yield from _metric_problems(others, limits.vectors.metrics_with_sparse)


def _metric_problems(others: Sequence[VectorField], allowed: frozenset[Metric] | None) -> Iterator[str]:
    """What is wrong with the fields next to a sparse one."""
    for item in others:
        if allowed is not None and item.metric not in allowed:
            yield f"vector {item.name!r}: beside a sparse field the metric must be {sorted(allowed)}"


def check_batch(batch: RecordBatch, schema: CollectionSchema, limits: Capabilities) -> None:
    """Raises InvalidRequest for what is wrong with the whole request, whatever the records are."""
    wrong = ""
    if len(batch) > limits.writes.rows:
        wrong = f"{counted(len(batch))} records in one write, at most {counted(limits.writes.rows)} are allowed"
    elif batch.vector_nbytes > limits.writes.bytes:
        wrong = (
            f"{plural(batch.vector_nbytes, 'byte')} in one write, at most {counted(limits.writes.bytes)} are allowed"
        )
    if wrong:
        raise InvalidRequest(wrong, adapter="memory", operation="upsert")
    check_columns(batch, schema.vector, "memory")


def rejects(
    batch: RecordBatch, schema: CollectionSchema, limits: Capabilities, room_for_namespace: bool
) -> dict[int, Reject]:
    """The records that may not be stored, by row, each with its first problem."""
    found: dict[int, Reject] = {}

    def refuse(row: int, code: str, reason: str) -> None:
        found.setdefault(row, Reject(batch.ids[row], batch.namespace, code, reason))

    namespace_problem = _namespace_problem(batch.namespace, schema, limits, room_for_namespace)
    for row, (record_id, metadata) in enumerate(zip(batch.ids, batch.metadata, strict=True)):
        problem = namespace_problem or id_problem(record_id, schema, limits)
        problem = problem or metadata_problem(metadata, schema, limits)
        if problem:
            refuse(row, *problem)
    for item in schema.vectors:
        column = batch.vectors.get(item.name)
        for rows, code, reason in _vector_problems(column, item, len(batch), limits):
            for row in np.flatnonzero(rows).tolist():
                refuse(row, code, reason)
    return found


def _namespace_problem(namespace: str, schema: CollectionSchema, limits: Capabilities, room: bool) -> Problem | None:
    if limits.namespaces.declared and bool(namespace) is not schema.divided:
        return "namespace", f"namespace {namespace!r}: the collection is made {'with' if schema.divided else 'without'}"
    if namespace and not (limits.namespaces.supported and re.fullmatch(limits.namespaces.names, namespace)):
        return "namespace", f"namespace {namespace!r} is not allowed"
    return None if room else ("namespace", f"at most {counted(limits.namespaces.max_count)} namespaces are allowed")


def id_problem(record_id: RecordId, schema: CollectionSchema, limits: Capabilities) -> Problem | None:
    """Why the collection cannot hold the id, if so."""
    if isinstance(record_id, bool) or not any(kind_fits(kind, record_id) for kind in schema.id_kinds):
        return "id", f"id {record_id!r} is none of {sorted(schema.id_kinds)}"
    if isinstance(record_id, str):
        if not is_utf8(record_id):
            return "id", "the id is not valid Unicode text"
        if limits.ids.max_bytes is not None and len(record_id.encode()) > limits.ids.max_bytes:
            return "id_size", f"the id is longer than {plural(limits.ids.max_bytes, 'byte')}"
        if limits.ids.ascii and not is_plain(record_id):
            return "id", f"id {record_id!r} is not of ASCII characters without NUL, at least one"
    return None


def is_utf8(text: str) -> bool:
    """False for text with lone surrogates, which no database can store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def metadata_problem(metadata: Metadata, schema: CollectionSchema, limits: Capabilities) -> Problem | None:
    """Why the collection cannot hold the metadata, if so."""
    for key, value in metadata.items():
        reason = _name_problem(key, schema, limits)
        if reason:
            return "field_name", reason
        column = schema.column(key)
        if column is None and not schema.dynamic:
            return "field", f"the field {key!r} is not declared"
        if column is not None and not limits.metadata.dynamic:
            problem = column_problem(value, column)
        else:
            problem = _value_problem(value, limits)
        if problem:
            return problem[0], f"field {key!r}: {problem[1]}"
    if limits.metadata.max_bytes is not None:
        size = len(json.dumps(metadata, default=str, ensure_ascii=False, separators=(",", ":")).encode())
        if size > limits.metadata.max_bytes:
            return (
                "size",
                f"metadata of {plural(size, 'byte')}, at most {counted(limits.metadata.max_bytes)} are allowed",
            )
    return None


def _name_problem(name: str, schema: CollectionSchema, limits: Capabilities) -> str | None:
    if not is_utf8(name) or not re.fullmatch(limits.metadata.names, name):
        return f"field name {name!r} is not allowed"
    if name in limits.metadata.reserved:
        return f"field name {name!r} is reserved"
    if limits.metadata.shared_names and schema.vector(name) is not None:
        return f"field name {name!r} is the name of a vector field"
    return None


_PYTHON: Mapping[FieldType, type] = {
    FieldType.BOOL: bool,
    FieldType.INT64: int,
    FieldType.FLOAT64: float,
    FieldType.STRING: str,
    FieldType.TEXT: str,
    FieldType.UUID: str,
    FieldType.BYTES: bytes,
    FieldType.DATETIME: datetime,
    FieldType.GEO: dict,
    FieldType.JSON: dict,
    FieldType.LIST: list,
}


def column_problem(value: Value, column: MetadataField) -> Problem | None:
    """Why a typed column cannot hold the value, if so. Typed stores keep integers as doubles and no NaN."""
    if column.type is FieldType.LIST and isinstance(value, list):
        element = MetadataField(name=column.name, type=column.element or FieldType.STRING)
        return next(filter(None, (column_problem(item, element) for item in value)), None)
    if column.type is FieldType.DATETIME and isinstance(value, str):
        fine = re.fullmatch(r".{19}\.\d{7,9}(Z|[+-]\d\d:\d\d)", value)
        return None if fine else ("value", f"{value!r} is no date finer than a datetime")
    if type(value) is not _PYTHON[column.type]:
        return "value", f"a value of {type(value).__name__} in a column of {column.type}"
    if isinstance(value, int) and abs(value) > 2**53:
        return "value", f"integer {value} is not exact as a double"
    if isinstance(value, float) and not isfinite(value):
        return "value", "not a finite number"
    if isinstance(value, str) and not is_utf8(value):
        return "value", "not valid Unicode text"
    return None


def _value_problem(value: Value, limits: Capabilities) -> Problem | None:
    kind = kind_of(value)
    string_list = kind is ValueKind.LIST_OF_STRINGS and ValueKind.LIST in limits.metadata.value_kinds
    if kind not in limits.metadata.value_kinds and not string_list:
        return "value", f"a value of kind {kind} is not supported"
    if isinstance(value, dict | list):
        return _inner_problem(value, limits)
    return _scalar_problem(kind, value, limits.metadata)


def _inner_problem(value: dict[str, Value] | list[Value], limits: Capabilities) -> Problem | None:
    """The first problem of a value in an object or a list."""
    if isinstance(value, dict) and not all(is_utf8(key) for key in value):
        return "value", "a nested key is not valid Unicode text"
    inner = value.values() if isinstance(value, dict) else value
    return next(filter(None, (_value_problem(item, limits) for item in inner)), None)


def _scalar_problem(kind: ValueKind, value: Value, limits: MetadataCapabilities) -> Problem | None:
    whole = kind is ValueKind.FLOAT and isinstance(value, float) and value.is_integer()
    if whole and ValueKind.WHOLE not in limits.value_kinds:
        return "value", f"the float {value} would come back as an integer"
    if kind is ValueKind.INT and isinstance(value, int):
        low, high = limits.int_range
        return None if low <= value <= high else ("value", f"integer {value} is not in {low}…{high}")
    if isinstance(value, str) and not is_utf8(value):
        return "value", "not valid Unicode text"
    if isinstance(value, datetime) and value.tzinfo is None:
        return "value", "a datetime without a timezone"
    return None


def kind_of(value: Value) -> ValueKind:
    """The kind of the value itself, whatever it contains. An empty list counts as a list of strings."""
    kinds: tuple[tuple[type | tuple[type, ...], ValueKind], ...] = (
        (type(None), ValueKind.NULL),
        (bool, ValueKind.BOOL),
        (int, ValueKind.INT),
        (str, ValueKind.STRING),
        (bytes, ValueKind.BYTES),
        (datetime, ValueKind.DATETIME),
        (dict, ValueKind.OBJECT),
    )
    if isinstance(value, float):
        return ValueKind.FLOAT if isfinite(value) else ValueKind.NONFINITE
    if isinstance(value, list):
        return ValueKind.LIST_OF_STRINGS if all(isinstance(item, str) for item in value) else ValueKind.LIST
    for types, kind in kinds:
        if isinstance(value, types):
            return kind
    raise TypeError(f"not a metadata value: {type(value).__name__}")


def _vector_problems(
    column: VectorColumn | None, item: VectorField, count: int, limits: Capabilities
) -> Iterator[tuple[BoolMask, str, str]]:
    everything = np.ones(count, np.bool_)
    required = item.kind in limits.vectors.required
    if column is None:
        if required:
            yield everything, "missing_vector", f"vector {item.name!r} is required"
        return
    present = everything if column.valid is None else column.valid
    if required:
        held = present & (np.diff(column.offsets) > 0) if isinstance(column, SparseColumn) else present
        yield ~held, "missing_vector", f"vector {item.name!r} is required"
    if item.kind is not VectorKind.SPARSE and column.values.shape[1] != width(item):
        yield present, "dimension", f"vector {item.name!r} has not {counted(item.dim)} components"
        return
    if isinstance(column, DenseColumn) and not limits.vectors.zeros:
        yield present & ~np.logical_or.reduce(column.values != 0, axis=1), "zero", f"vector {item.name!r} is all zeros"
    if isinstance(column, SparseColumn) and not limits.vectors.empty_sparse:
        yield present & (np.diff(column.offsets) == 0), "empty_vector", f"vector {item.name!r} has no component"
    if isinstance(column, SparseColumn) and limits.vectors.max_sparse is not None:
        too_long = np.diff(column.offsets) > limits.vectors.max_sparse
        yield (
            present & too_long,
            "size",
            f"vector {item.name!r} has more than {counted(limits.vectors.max_sparse)} components",
        )
    if item.dtype in (DType.FLOAT32, DType.FLOAT16) or item.kind is VectorKind.SPARSE:
        yield present & ~_finite_rows(column), "nan", f"vector {item.name!r} holds NaN or an infinity"


def _finite_rows(column: VectorColumn) -> BoolMask:
    finite = np.isfinite(column.values)
    if isinstance(column, DenseColumn):
        return np.logical_and.reduce(finite, axis=1)
    bad = np.concatenate([[0], np.cumsum(~(finite if finite.ndim == 1 else finite.all(axis=1)))])
    return np.equal(np.diff(bad[column.offsets]), 0)


def normalised(column: VectorColumn, item: VectorField) -> VectorColumn:
    """The column as a database that normalises cosine vectors stores it: unit rows; zeros and unit rows untouched."""
    floats = item.dtype in (DType.FLOAT32, DType.FLOAT16)
    if item.metric is not Metric.COSINE or isinstance(column, SparseColumn) or not floats:
        return column
    squares = (column.values.astype(np.float32) ** 2).sum(axis=1, dtype=np.float32)
    keep = (squares < np.finfo(np.float32).eps) | (np.abs(squares - 1) <= 1e-6)
    if item.dtype is DType.FLOAT16:
        keep |= stored_as_given(column.values)[1]
    lengths = np.where(keep, np.float32(1), np.sqrt(squares))
    return replace(column, values=(column.values / lengths[:, None]).astype(column.values.dtype))
