"""Record batches -> the JSON of an upsert, with a reject for each record that the service would refuse. Pure.

Components are written as the shortest decimal that is that float32: half as long as the double's. Read as a double and
then rounded, every float32 but one comes out right (all were tried).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vectormigrate.adapter import Capabilities, MetadataCapabilities, Reject
from vectormigrate.adapters.pinecone.capabilities import INT_MAX, MAX_ID, MAX_RECORDS, MAX_REQUEST
from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.errors import InvalidRequest
from vectormigrate.figures import counted, plural
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch, SparseColumn, Value
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import VectorField

AMBIGUOUS = np.uint32(0x15AE43FD).view(np.float32)
"""The one float32 whose shortest decimal, 7.038531e-26, read as a double lies halfway to its neighbour and rounds the
wrong way; its neighbour is what `np.float32(7.038531e-26)` gives."""

OUTSIDE = {"_vm_origin": "vm_origin", "_vm_id": "vm_id"}
"""Sidecar fields are called so in documents, whose field names may not start with an underscore."""

_JSON = orjson.OPT_SERIALIZE_NUMPY

Problem = tuple[str, str]
"""A reject's code and reason."""


@dataclass(slots=True)
class Encoded:
    """`records` are JSON objects in the order of the batch, the last one of each id."""

    records: list[bytes] = field(default_factory=list[bytes])
    rejects: list[Reject] = field(default_factory=list[Reject])


def encode(batch: RecordBatch, layout: Layout, caps: Capabilities) -> Encoded:
    """The records that can be sent. Raises InvalidRequest for a vector field that the index does not have."""
    columns = {item.name: _column(batch, item) for item in layout.vectors}
    unknown = batch.vectors.keys() - columns.keys()
    if unknown:
        message = f"the index {layout.name!r} has no vector field {min(unknown)!r}"
        raise InvalidRequest(message, adapter=NAME, operation="upsert")
    problems = _problems(batch, layout, caps, columns)
    last = {record_id: row for row, record_id in enumerate(batch.ids)}
    out = Encoded()
    for row, record_id in enumerate(batch.ids):
        problem = problems.get(row) or _id_problem(record_id)
        data: bytes | None = None
        if problem is None:
            data, problem = _metadata(batch.metadata[row], layout, caps)
        if problem is not None:
            out.rejects.append(Reject(record_id, batch.namespace, *problem))
        elif last[record_id] == row:
            out.records.append(_record(str(record_id), data or b"", row, layout, columns))
    return out


def _column(batch: RecordBatch, item: VectorField) -> DenseColumn | SparseColumn | None:
    column = batch.vectors.get(item.name)
    wanted = SparseColumn if item.dim is None else DenseColumn
    if column is not None and not isinstance(column, wanted):
        message = f"the vector field {item.name!r} is {item.kind}"
        raise InvalidRequest(message, adapter=NAME, operation="upsert")
    return column


def _problems(batch: RecordBatch, layout: Layout, caps: Capabilities, columns: dict[str, Any]) -> dict[int, Problem]:
    """The first problem of each row that has one with its namespace or its vectors."""
    found: dict[int, Problem] = {}
    if re.fullmatch(caps.namespaces.names, batch.namespace) is None:
        problem = ("namespace", f"{batch.namespace!r} is no legal namespace (1 to 512 ASCII characters, not reserved)")
        return dict.fromkeys(range(len(batch)), problem)
    for item in layout.vectors:
        column = columns[item.name]
        checks = (
            _sparse_problems(column, item, len(batch), caps)
            if item.dim is None
            else _dense_problems(column, item, len(batch), caps)
        )
        for rows, code, reason in checks:
            for row in rows.tolist():
                found.setdefault(row, (code, reason))
    return found


Checks = Iterator[tuple[NDArray[np.int64], str, str]]


def _dense_problems(column: DenseColumn | None, item: VectorField, count: int, caps: Capabilities) -> Checks:
    every = np.arange(count)
    present = np.zeros(count, np.bool_) if column is None else _present(column)
    if item.kind in caps.vectors.required:
        yield every[~present], "missing_vector", f"every record needs the vector {item.name!r}"
    if column is None or not count:
        return
    if column.values.shape[1] != item.dim or column.values.dtype != np.float32:
        reason = (
            f"the vector {item.name!r} has {counted(column.values.shape[1])} components, "
            f"the index takes {counted(item.dim)} float32"
        )
        yield every[present], "dimension", reason
        return
    finite = np.isfinite(column.values).all(axis=1)
    yield every[present & ~finite], "nan", f"the vector {item.name!r} holds NaN or infinity"
    yield every[present & ~column.values.any(axis=1)], "zero_vector", f"the vector {item.name!r} is all zeros"


def _sparse_problems(column: SparseColumn | None, item: VectorField, count: int, caps: Capabilities) -> Checks:
    every = np.arange(count)
    present = np.zeros(count, np.bool_) if column is None else _present(column)
    if item.kind in caps.vectors.required:
        yield every[~present], "missing_vector", f"every record needs the vector {item.name!r}"
    if column is None or not count:
        return
    lengths = np.diff(column.offsets)
    yield every[present & (lengths == 0)], "empty_vector", f"the sparse vector {item.name!r} has no entries"
    most = caps.vectors.max_sparse or 0
    yield every[lengths > most], "vector_size", f"the sparse vector {item.name!r} has more than {counted(most)} entries"
    owners = np.repeat(every, lengths)
    yield np.unique(owners[~np.isfinite(column.values)]), "nan", f"the vector {item.name!r} holds NaN or infinity"
    again = (np.diff(owners) == 0) & (column.indices[1:] <= column.indices[:-1])
    yield np.unique(owners[1:][again]), "sparse_index", f"the indices of {item.name!r} do not ascend"


def _present(column: DenseColumn | SparseColumn) -> NDArray[np.bool_]:
    return np.ones(len(column), np.bool_) if column.valid is None else column.valid


def _id_problem(record_id: RecordId) -> Problem | None:
    if not isinstance(record_id, str):
        return "id", f"{record_id!r} is not a string"
    return None if legal_id(record_id) else ("id", "an id has 1 to 512 ASCII characters, none of them NUL")


def legal_id(record_id: RecordId) -> bool:
    """Whether an index can hold the id."""
    return (
        isinstance(record_id, str) and 1 <= len(record_id) <= MAX_ID and record_id.isascii() and "\0" not in record_id
    )


def _metadata(metadata: Metadata, layout: Layout, caps: Capabilities) -> tuple[bytes, Problem | None]:
    """The metadata as JSON, or why it cannot be stored exactly."""
    for key, value in metadata.items():
        problem = _field_problem(key, value, layout, caps.metadata)
        if problem is not None:
            return b"", problem
    renamed = {OUTSIDE.get(key, key): value for key, value in metadata.items()} if layout.documents else metadata
    try:
        data = orjson.dumps(renamed)
    except orjson.JSONEncodeError:
        return b"", ("value", "a text is not valid Unicode")
    weighed = {key: value for key, value in renamed.items() if not _is_text(layout, key)} if layout.documents else None
    size = len(data if weighed is None else orjson.dumps(weighed))
    most = caps.metadata.max_bytes or size
    if size > most:
        return b"", ("size", f"metadata of {plural(size, 'byte')}, at most {counted(most)} are allowed")
    return data, None


def _field_problem(key: str, value: Value, layout: Layout, limits: MetadataCapabilities) -> Problem | None:
    text = _is_text(layout, key)
    reserved = key in limits.reserved or (limits.shared_names and key in layout.fields and not text)
    if reserved or re.fullmatch(limits.names, key) is None:
        return "field_name", f"the field name {key!r} is not allowed"
    reason = _value_problem(value)
    if reason is not None:
        return "value", f"field {key!r}: {reason}"
    return ("value", f"field {key!r} is declared as text") if text and not isinstance(value, str) else None


def _is_text(layout: Layout, key: str) -> bool:
    """A declared text field of a document index, which does not count as metadata."""
    return layout.documents and layout.fields.get(key, {}).get("type") == "string"


def _value_problem(value: Value) -> str | None:
    if isinstance(value, str | bool):
        return None
    if isinstance(value, int):
        return None if -INT_MAX <= value <= INT_MAX else f"{value} is not exact as a double"
    if isinstance(value, float):
        if not isfinite(value):
            return "not a finite number"
        return f"{value!r} would come back as an integer" if value.is_integer() else None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return None
    return f"a value of {type(value).__name__} (only text, numbers, booleans and lists of texts are stored)"


def _record(record_id: str, metadata: bytes, row: int, layout: Layout, columns: dict[str, Any]) -> bytes:
    vectors: dict[str, Any] = {}
    if layout.dense is not None:
        dense = columns[layout.dense.name]
        if dense is not None and (dense.valid is None or dense.valid[row]):
            vectors[layout.dense.name if layout.documents else "values"] = components(dense.values[row])
    if layout.sparse is not None:
        sparse = columns[layout.sparse.name]
        if sparse is not None and (sparse.valid is None or sparse.valid[row]):
            span = slice(int(sparse.offsets[row]), int(sparse.offsets[row + 1]))
            vectors[layout.sparse.name if layout.documents else "sparseValues"] = sparse_json(
                sparse.indices[span], sparse.values[span]
            )
    if not layout.documents:
        return orjson.dumps({"id": record_id, **vectors, "metadata": orjson.Fragment(metadata)}, option=_JSON)
    head = orjson.dumps({"_id": record_id, **vectors}, option=_JSON)
    return head if metadata == b"{}" else head[:-1] + b"," + metadata[1:]


def components(values: NDArray[np.float32]) -> NDArray[Any]:
    """The values in a form that JSON keeps exactly and briefly."""
    wide = np.any(np.abs(values) == AMBIGUOUS)
    return values.astype(np.float64) if wide else np.ascontiguousarray(values, np.float32)


def sparse_json(indices: NDArray[np.uint32], values: NDArray[np.float32]) -> dict[str, Any]:
    """A sparse vector as every API takes it."""
    return {"indices": np.ascontiguousarray(indices, np.uint32), "values": components(values)}


def requests(records: Iterable[bytes], head: bytes, tail: bytes) -> Iterator[tuple[bytes, int]]:
    """Bodies of upserts, each with its number of records: within 1,000 records and 2 MB."""
    room = MAX_REQUEST - len(head) - len(tail)
    part: list[bytes] = []
    size = 0
    for record in records:
        if part and (len(part) == MAX_RECORDS or size + len(record) > room):
            yield head + b",".join(part) + tail, len(part)
            part, size = [], 0
        part.append(record)
        size += len(record) + 1
    if part:
        yield head + b",".join(part) + tail, len(part)
