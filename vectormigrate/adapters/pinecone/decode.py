"""Records and documents as the service sends them -> record batches. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapters.pinecone.capabilities import INT_MAX
from vectormigrate.adapters.pinecone.encode import AMBIGUOUS, OUTSIDE
from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.errors import InvalidRequest
from vectormigrate.figures import counted
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import VectorField

INSIDE = {outside: inside for inside, outside in OUTSIDE.items()}

_HALFWAY = float("7.038531e-26")
"""The shortest decimal of AMBIGUOUS as a double; no float32 is this double."""


def batch_of(
    found: Mapping[str, Mapping[str, Any]], ids: Sequence[str], layout: Layout, namespace: str, *, vectors: bool
) -> RecordBatch:
    """The records of these ids that are there, in that order. Raises InvalidRequest for an answer that is none."""
    present: list[RecordId] = [item for item in ids if item in found]
    rows = [found[str(item)] for item in present]
    try:
        metadata = [_metadata(row, layout) for row in rows]
        columns = {item.name: _column(rows, item, layout) for item in layout.vectors} if vectors else {}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        message = f"the answer for {layout.name!r} cannot be understood: {type(error).__name__}: {error}"
        raise InvalidRequest(message, adapter=NAME, operation="fetch") from error
    return RecordBatch(namespace, present, columns, metadata)


def _metadata(row: Mapping[str, Any], layout: Layout) -> Metadata:
    if not layout.documents:
        return {key: _value(value) for key, value in (row.get("metadata") or {}).items()}
    names = {item.name for item in layout.vectors} | {"_id"}
    return {INSIDE.get(key, key): _value(value) for key, value in row.items() if key not in names}


def _value(value: Any) -> Any:
    """Numbers are doubles: a whole one within the exact range is an integer, any other a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if abs(value) > INT_MAX:
        return float(value)
    return int(value) if isinstance(value, int) or value.is_integer() else value


def _column(rows: Sequence[Mapping[str, Any]], item: VectorField, layout: Layout) -> VectorColumn:
    if item.dim is None:
        key = item.name if layout.documents else "sparseValues"
        return _sparse([row.get(key) for row in rows])
    key = item.name if layout.documents else "values"
    given = [row.get(key) or None for row in rows]
    valid = np.array([values is not None for values in given], np.bool_)
    doubles = np.zeros((len(rows), item.dim), np.float64)
    for row, values in enumerate(given):
        if values is not None:
            if len(values) != item.dim:
                raise ValueError(
                    f"a vector {item.name!r} of {counted(len(values))} components instead of {counted(item.dim)}"
                )
            doubles[row] = values
    return DenseColumn(_rounded(doubles), valid=None if valid.all() else valid)


def _rounded(doubles: NDArray[np.float64]) -> NDArray[np.float32]:
    values = doubles.astype(np.float32)
    halfway = np.abs(doubles) == _HALFWAY
    if halfway.any():
        values[halfway] = np.copysign(AMBIGUOUS, doubles[halfway])
    return values


def _sparse(given: Sequence[Mapping[str, Any] | None]) -> SparseColumn:
    rows = [(item or {}).get("indices") or [] for item in given]
    numbers = [(item or {}).get("values") or [] for item in given]
    lengths = np.array([len(row) for row in rows], np.int64)
    if lengths.tolist() != [len(row) for row in numbers]:
        raise ValueError("a sparse vector with more indices than values, or fewer")
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    indices = np.array([index for row in rows for index in row], np.uint32)
    values = _rounded(np.array([value for row in numbers for value in row], np.float64))
    owners = np.repeat(np.arange(len(rows)), lengths)
    if np.any((np.diff(owners) == 0) & (indices[1:] <= indices[:-1])):
        order = np.lexsort((indices, owners))
        indices, values = indices[order], values[order]
    valid = lengths > 0
    return SparseColumn(offsets, indices, values, None if valid.all() else valid)
