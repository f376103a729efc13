"""Query results -> record batches. Pure.

Vectors are never walked: the packed bytes of a message are taken by serialising it again (2 million 384-component
vectors per second; reading the repeated field one number at a time gives 40 000).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from vectormigrate.adapters.milvus.capabilities import META
from vectormigrate.adapters.milvus.errors import NAME
from vectormigrate.adapters.milvus.layout import Column, Layout, VectorColumn
from vectormigrate.adapters.milvus.proto import sp
from vectormigrate.errors import InvalidRequest
from vectormigrate.figures import counted, plural
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    BoolMask,
    DenseColumn,
    Metadata,
    RecordBatch,
    SparseColumn,
    Value,
)
from vectormigrate.model.batch import (
    VectorColumn as Vectors,
)
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import DType

T = sp.DataType

_PAIR = np.dtype([("index", "<u4"), ("value", "<f4")])
_LONG_NUMBER = re.compile(rb"\d{19}")

_BYTES_FIELD: Mapping[int, str] = {
    T.Float16Vector: "float16_vector",
    T.BFloat16Vector: "bfloat16_vector",
    T.Int8Vector: "int8_vector",
    T.BinaryVector: "binary_vector",
}


def packed_payload(message: Any) -> memoryview:
    """The bytes of a message whose only field is the packed repeated field 1, as in FloatArray; empty for none."""
    data: bytes = message.SerializeToString()
    if not data:
        return memoryview(data)
    if data[0] != 0x0A:
        raise _broken("a float array is not packed")
    start = 1
    while data[start] & 0x80:
        start += 1
    return memoryview(data)[start + 1 :]


def batch_of(fields: Iterable[sp.FieldData], layout: Layout, namespace: str, *, vectors: bool) -> RecordBatch:
    """The batch that the columns of one answer make up. Raises InvalidRequest when they do not fit together."""
    found = {META if field.is_dynamic else field.field_name: field for field in fields}
    ids = _ids(found.get(layout.pk.name), layout)
    count = len(ids)
    metadata = _metadata(found, layout, count)
    columns: dict[str, Vectors] = {}
    if vectors:
        for item in layout.vectors:
            columns[item.name] = _vectors(_needed(found, item.name), item, count)
    return RecordBatch(namespace, ids, columns, metadata)


def empty_batch(layout: Layout, namespace: str, *, vectors: bool) -> RecordBatch:
    """No record, with every column."""
    columns: dict[str, Vectors] = {}
    for item in layout.vectors if vectors else ():
        columns[item.name] = _sparse([], None) if item.dim is None else DenseColumn(_dense(b"", item), item.dtype)
    return RecordBatch(namespace, [], columns, [])


def slice_batch(batch: RecordBatch, start: int, end: int) -> RecordBatch:
    """Rows `start:end`; dense vectors stay where they are."""
    columns: dict[str, Vectors] = {}
    for name, column in batch.vectors.items():
        if isinstance(column, DenseColumn):
            valid = None if column.valid is None else column.valid[start:end]
            columns[name] = DenseColumn(column.values[start:end], column.dtype, valid)
        else:
            columns[name] = column.take(np.arange(start, end))
    return RecordBatch(batch.namespace, batch.ids[start:end], columns, batch.metadata[start:end])


def _needed(found: dict[str, sp.FieldData], name: str) -> sp.FieldData:
    field = found.get(name)
    if field is None:
        raise _broken(f"the answer lacks the field {name!r}")
    return field


def _ids(field: sp.FieldData | None, layout: Layout) -> list[RecordId]:
    if field is None:
        return []
    return list(field.scalars.string_data.data if layout.text_ids else field.scalars.long_data.data)


def _metadata(found: dict[str, sp.FieldData], layout: Layout, count: int) -> list[Metadata]:
    rows: list[Metadata] = [{} for _ in range(count)]
    if layout.dynamic and count:
        rows = [row or {} for row in _json(_needed(found, META))]
        _fits(META, rows, count)
    if not count:
        return rows
    for column in layout.scalars:
        values = scalar_values(_needed(found, column.name), column, count)
        _fits(column.name, values, count)
        name = column.name
        for row, value in zip(rows, values, strict=True):
            if name in row:
                # A dynamic key from before the field was added to the schema: both values are kept.
                shadowed = row.setdefault(META, {})
                assert isinstance(shadowed, dict)
                shadowed[name] = row[name]
            row[name] = value
    return rows


def _json(field: sp.FieldData) -> list[Any]:
    """Parsed values. orjson turns integers beyond 64 bits into floats and refuses NaN, so then the slow parser runs."""
    data = field.scalars.json_data
    if _LONG_NUMBER.search(data.SerializeToString()) is None:
        try:
            return [orjson.loads(text) if text else None for text in data.data]
        except orjson.JSONDecodeError:
            pass
    return [_slow_json(field, text) if text else None for text in data.data]


def _slow_json(field: sp.FieldData, text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        if field.is_dynamic:
            raise _broken(f"the dynamic field holds {text[:80]!r}, which is no JSON") from None
        # Lite returns a text that another client stored in a JSON field without its quotes.
        return text.decode()


def scalar_values(field: sp.FieldData, column: Column, count: int) -> list[Any]:
    """The values of a scalar field, None where it is null."""
    values = _array_rows(field) if column.type == T.Array else _plain(field, column)
    valid = list(field.valid_data)
    if not valid or all(valid):
        return values
    if len(values) == count:
        return [value if ok else None for value, ok in zip(values, valid, strict=True)]
    rest = iter(values)
    return [next(rest) if ok else None for ok in valid]


def _plain(field: sp.FieldData, column: Column) -> list[Any]:
    if column.type == T.JSON:
        return _json(field)
    return _scalar_list(field.scalars)


def _scalar_list(scalars: sp.ScalarField) -> list[Value]:
    which = scalars.WhichOneof("data")
    return [] if which is None else list(getattr(scalars, which).data)


def _array_rows(field: sp.FieldData) -> list[Value]:
    return [_scalar_list(row) for row in field.scalars.array_data.data]


def _vectors(field: sp.FieldData, item: VectorColumn, count: int) -> Vectors:
    valid: BoolMask | None = None
    if field.valid_data and not all(field.valid_data):
        valid = np.array(field.valid_data, np.bool_)
        _fits(item.name, valid, count)
    if item.dim is None:
        rows = _aligned(list(field.vectors.sparse_float_vector.contents), valid, count)
        _fits(item.name, rows, count)
        return _sparse(rows, valid)
    if item.dtype is DType.FLOAT32:
        data = packed_payload(field.vectors.float_vector)
    else:
        data = getattr(field.vectors, _BYTES_FIELD[item.type])
    values = _dense(data, item)
    if valid is not None and len(values) != count:
        full = np.zeros((count, values.shape[1]), values.dtype)
        full[valid] = values
        values = full
    _fits(item.name, values, count)
    return DenseColumn(values, item.dtype, valid)


def _aligned(rows: list[bytes], valid: BoolMask | None, count: int) -> list[bytes]:
    if valid is None or len(rows) == count:
        return rows
    rest = iter(rows)
    return [next(rest) if ok else b"" for ok in valid]


def _dense(data: bytes | memoryview, item: VectorColumn) -> NDArray[Any]:
    """`[n, dim]` (`[n, dim // 8]` for bits), writable and aligned."""
    kind = NUMPY_DTYPE[item.dtype]
    width = item.row_bytes // kind.itemsize
    if len(data) % item.row_bytes:
        raise _broken(f"{plural(len(data), 'byte')} are no whole vectors of field {item.name!r}")
    return np.frombuffer(data, kind).reshape(-1, width).copy()


def _sparse(rows: Sequence[bytes], valid: BoolMask | None) -> SparseColumn:
    lengths = np.array([len(row) // _PAIR.itemsize for row in rows], np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    pairs = np.frombuffer(b"".join(rows), _PAIR)
    indices, values = pairs["index"].astype(np.uint32), pairs["value"].astype(np.float32)
    owner = np.repeat(np.arange(len(rows)), lengths)
    if np.any((np.diff(owner) == 0) & (indices[1:] <= indices[:-1])):
        order = np.lexsort((indices, owner))
        indices, values = indices[order], values[order]
    return SparseColumn(offsets, indices, values, valid)


def _fits(name: str, values: Any, count: int) -> None:
    if len(values) != count:
        raise _broken(f"{counted(len(values))} values of {name!r} for {counted(count)} ids")


def _broken(text: str) -> InvalidRequest:
    return InvalidRequest(f"the server's answer makes no sense: {text}", adapter=NAME, operation="read")
