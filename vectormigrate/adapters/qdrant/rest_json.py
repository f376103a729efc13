"""Points and vectors <-> the JSON of the REST interface. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vectormigrate.adapters.qdrant.decode import sorted_rows
from vectormigrate.adapters.qdrant.ids import wire_id
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    BoolMask,
    DenseColumn,
    Metadata,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    VectorColumn,
)
from vectormigrate.model.schema import VectorField, VectorKind

EXACT_DIGITS = (1e-12, 1e21)
"""Between these the shortest digits of a 4-byte float mean the same to every parser. Beyond, the server's fast one may
be off by one unit of an 8-byte float, so all its digits are sent, which leave room for that."""


def columns(vectors: Sequence[Any], fields: Sequence[VectorField]) -> dict[str, VectorColumn]:
    """A column per field of the `vector` values of points."""
    rows: list[Mapping[str, Any]] = [
        vector if isinstance(vector, dict) else {} if vector is None else {"": vector} for vector in vectors
    ]
    return {item.name: _column(item, [row.get(item.name) for row in rows]) for item in fields}


def _column(item: VectorField, found: list[Any]) -> VectorColumn:
    mask: BoolMask = np.fromiter((vector is not None for vector in found), np.bool_, len(found))
    valid = None if mask.all() else mask
    match item.kind:
        case VectorKind.DENSE:
            return _dense(item, found, valid)
        case VectorKind.MULTI:
            return _multi(item, found, valid)
        case VectorKind.SPARSE:
            return _sparse(found, valid)


def _dense(item: VectorField, found: list[Any], valid: BoolMask | None) -> DenseColumn:
    dim = item.dim or 0
    zeros = [0.0] * dim
    rows = [zeros if vector is None else vector for vector in found]
    values = np.array(rows, np.float32).reshape(len(found), dim)
    return DenseColumn(values.astype(NUMPY_DTYPE[item.dtype], copy=False), item.dtype, valid)


def _multi(item: VectorField, found: list[Any], valid: BoolMask | None) -> MultiColumn:
    flat = np.array([row for vector in found for row in vector or ()], np.float32).reshape(-1, item.dim or 0)
    offsets = np.concatenate([[0], np.cumsum([len(vector or ()) for vector in found])]).astype(np.int64)
    return MultiColumn(offsets, flat.astype(NUMPY_DTYPE[item.dtype], copy=False), item.dtype, valid)


def _sparse(found: list[Any], valid: BoolMask | None) -> SparseColumn:
    lengths = [0 if vector is None else len(vector["indices"]) for vector in found]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    indices = np.array([place for vector in found if vector for place in vector["indices"]], np.uint32)
    numbers = np.array([number for vector in found if vector for number in vector["values"]], np.float32)
    return sorted_rows(SparseColumn(offsets, indices, numbers, valid))


def numbers(values: Any) -> Any:
    """An array as orjson is to write it: always with a decimal point, because the server takes a multivector of two
    rows of whole numbers for the indices and values of a sparse vector."""
    found = np.ascontiguousarray(values, np.float32)
    sizes = np.abs(found)
    risky = (sizes >= EXACT_DIGITS[1]) | ((sizes < EXACT_DIGITS[0]) & (sizes > 0))
    return found.astype(np.float64) if risky.any() else found


def vector(column: VectorColumn, row: int) -> Any:
    """The JSON form of one row."""
    if isinstance(column, DenseColumn):
        return numbers(column.values[row])
    span = slice(int(column.offsets[row]), int(column.offsets[row + 1]))
    if isinstance(column, MultiColumn):
        return numbers(column.values[span])
    return {"indices": column.indices[span], "values": numbers(column.values[span])}


def points(batch: RecordBatch, rows: list[int], payloads: Mapping[int, Metadata], single: bool) -> list[dict[str, Any]]:
    """The points of these rows, for orjson with OPT_SERIALIZE_NUMPY."""
    names = list(batch.vectors)
    found: list[dict[str, Any]] = []
    for row in rows:
        vectors = {
            name: vector(column, row)
            for name, column in batch.vectors.items()
            if column.valid is None or column.valid[row]
        }
        whole: Any = vectors[""] if single and names == [""] and vectors else vectors
        found.append({"id": wire_id(batch.ids[row]), "vector": whole, "payload": payloads[row]})
    return found
