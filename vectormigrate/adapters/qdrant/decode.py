"""gRPC answers -> batches. Pure.

The floats of a packed field are the tail of its serialised form, so `SerializeToString` and one `frombuffer` replace
768 Python floats. Servers up to 1.16 fill the old fields of `VectorOutput` (`data`, `indices`, `vectors_count`), newer
ones its `dense`, `sparse` and `multi_dense`.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from vectormigrate.adapters.qdrant.encode import dense_prefix
from vectormigrate.adapters.qdrant.ids import from_message
from vectormigrate.figures import counted
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    BoolMask,
    DenseColumn,
    Metadata,
    MultiColumn,
    SparseColumn,
    VectorColumn,
)
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import VectorField, VectorKind

LARGE = 2.0**63
"""The server sends integers from here on as doubles, so such a double may have been an integer."""


class Ambiguous(Exception):
    """A value that over gRPC looks like another one."""


def payload(fields: Any) -> Metadata:
    """A payload map. Raises Ambiguous for a double that may be a large integer."""
    found: Metadata = {}
    for key in fields:  # faster than items(), which is written in Python
        value = fields[key]
        kind = value.WhichOneof("kind")
        if kind == "string_value":
            found[key] = value.string_value
        elif kind == "integer_value":
            found[key] = value.integer_value
        else:
            found[key] = _value(value, kind)
    return found


def _value(value: Any, kind: str | None) -> Any:
    if kind == "string_value":
        return value.string_value
    if kind == "integer_value":
        return value.integer_value
    if kind == "double_value":
        number = value.double_value
        if LARGE <= number <= 2 * LARGE:
            raise Ambiguous(number)
        return number
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return payload(value.struct_value.fields)
    if kind == "list_value":
        return [_value(item, item.WhichOneof("kind")) for item in value.list_value.values]
    return None


def ids_of(points: Any) -> list[RecordId]:
    return [from_message(point.id) for point in points]


def columns(points: Sequence[Any], fields: Sequence[VectorField]) -> dict[str, VectorColumn]:
    """A column per field, with a mask where a record lacks the vector."""
    if not fields:
        return {}
    rows = [_vectors(point) for point in points]
    return {item.name: _column(item, [row.get(item.name) for row in rows]) for item in fields}


def _vectors(point: Any) -> Any:
    """The vectors of a point by name."""
    vectors = point.vectors
    kind = vectors.WhichOneof("vectors_options")
    if kind == "vector":
        return {"": vectors.vector}
    return vectors.vectors.vectors if kind == "vectors" else {}


def _column(item: VectorField, vectors: list[Any]) -> VectorColumn:
    found = np.fromiter((vector is not None for vector in vectors), np.bool_, len(vectors))
    valid = None if found.all() else found
    if item.kind is VectorKind.DENSE:
        return _dense(item, vectors, valid)
    return _sparse(vectors, valid) if item.kind is VectorKind.SPARSE else _multi(item, vectors, valid)


def _dense(item: VectorField, vectors: list[Any], valid: BoolMask | None) -> DenseColumn:
    dim = item.dim or 0
    size = 4 * dim
    empty = bytes(size)
    whole = len(dense_prefix(dim)) + size
    parts: list[bytes] = []
    for vector in vectors:
        if vector is None:
            parts.append(empty)
            continue
        dense = vector.dense if vector.HasField("dense") else vector
        packed = dense.SerializeToString()
        if len(packed) != whole:
            raise ValueError(
                f"vector {item.name!r} came with {counted(len(dense.data))} components, not {counted(dim)}"
            )
        parts.append(packed[-size:])
    values = np.frombuffer(bytearray(b"".join(parts)), "<f4").reshape(len(vectors), dim)
    return DenseColumn(values.astype(NUMPY_DTYPE[item.dtype], copy=False), item.dtype, valid)


def _sparse(vectors: list[Any], valid: BoolMask | None) -> SparseColumn:
    indices, values, offsets = array("I"), array("f"), [0]
    for vector in vectors:
        if vector is not None:
            sparse = vector.sparse if vector.HasField("sparse") else None
            numbers = vector.data if sparse is None else sparse.values
            places = vector.indices.data if sparse is None else sparse.indices
            if len(numbers) != len(places):
                raise ValueError("a sparse vector came with different numbers of indices and values")
            indices.extend(places)
            values.extend(numbers)
        offsets.append(len(indices))
    spans = np.array(offsets, np.int64)
    return sorted_rows(SparseColumn(spans, np.array(indices, np.uint32), np.array(values, np.float32), valid))


def sorted_rows(column: SparseColumn) -> SparseColumn:
    """With rising indices in every row; the server keeps them so, and a copy is made only if it did not."""
    rows = np.repeat(np.arange(len(column)), np.diff(column.offsets))
    place = np.lexsort((column.indices, rows))
    if (place == np.arange(len(place))).all():
        return column
    return SparseColumn(column.offsets, column.indices[place], column.values[place], column.valid)


def _multi(item: VectorField, vectors: list[Any], valid: BoolMask | None) -> MultiColumn:
    dim = item.dim or 1
    parts: list[bytes] = []
    offsets = [0]
    for vector in vectors:
        count = 0
        if vector is not None:
            rows = vector.multi_dense.vectors if vector.HasField("multi_dense") else [vector]
            for row in rows:
                length = len(row.data)
                if not length or length % dim:
                    raise ValueError(
                        f"multivector {item.name!r} came with a row of {counted(length)} components, not {counted(dim)}"
                    )
                parts.append(_floats(row, length))
                count += length // dim
        offsets.append(offsets[-1] + count)
    values = np.frombuffer(bytearray(b"".join(parts)), "<f4").reshape(-1, dim)
    spans = np.array(offsets, np.int64)
    return MultiColumn(spans, values.astype(NUMPY_DTYPE[item.dtype], copy=False), item.dtype, valid)


def _floats(message: Any, length: int) -> bytes:
    """The packed floats: all of a DenseVector's tail; in an old VectorOutput other fields follow them."""
    if message.DESCRIPTOR.name == "DenseVector":
        return message.SerializeToString()[-4 * length :]
    return array("f", message.data).tobytes()
