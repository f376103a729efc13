"""Columnar batches of records: the only form in which data moves between two adapters.

Vectors are columns because their bytes are contiguous at both ends; metadata stays a list of dicts because it has no
schema and typed columns would lose int/float, null/missing and nesting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import DType

Value = None | bool | int | float | str | bytes | datetime | list["Value"] | dict[str, "Value"]
"""A metadata value. Datetimes are timezone-aware; a missing key and a None are different things."""

Metadata = dict[str, Value]

BoolMask = NDArray[np.bool_]
Rows = NDArray[np.int64]

NUMPY_DTYPE: Mapping[DType, np.dtype[Any]] = {
    DType.FLOAT32: np.dtype("<f4"),
    DType.FLOAT16: np.dtype("<f2"),
    DType.BFLOAT16: np.dtype("<u2"),
    DType.INT8: np.dtype("i1"),
    DType.UINT8: np.dtype("u1"),
    DType.BITS: np.dtype("u1"),
}
"""The numpy type that carries each storage type (bfloat16 as its raw 16 bits, bits packed big-endian by 8)."""


def _take_mask(valid: BoolMask | None, rows: Rows) -> BoolMask | None:
    return None if valid is None else valid[rows]


def _concat_masks(masks: Sequence[tuple[BoolMask | None, int]]) -> BoolMask | None:
    if all(mask is None for mask, _ in masks):
        return None
    return np.concatenate([np.ones(n, np.bool_) if mask is None else mask for mask, n in masks])


def _ragged_rows(offsets: NDArray[np.int64], rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For ragged data: new offsets and the flat positions of the chosen rows."""
    lengths = offsets[rows + 1] - offsets[rows]
    new = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(lengths, out=new[1:])
    flat = np.repeat(offsets[rows] - new[:-1], lengths) + np.arange(new[-1])
    return new, flat


@dataclass(frozen=True, slots=True)
class DenseColumn:
    """`values` is C-contiguous `[n, d]` in the numpy type of `dtype` (`[n, d // 8]` for BITS). `valid[i]` False: the
    record has no such vector and its row holds zeros."""

    values: NDArray[Any]
    dtype: DType = DType.FLOAT32
    valid: BoolMask | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def nbytes(self) -> int:
        return int(self.values.nbytes)

    def take(self, rows: Rows) -> DenseColumn:
        return DenseColumn(np.ascontiguousarray(self.values[rows]), self.dtype, _take_mask(self.valid, rows))


@dataclass(frozen=True, slots=True)
class SparseColumn:
    """CSR rows: `offsets` int64 `[n + 1]`, `indices` uint32 and `values` float32 `[nnz]`, indices ascending per row."""

    offsets: NDArray[np.int64]
    indices: NDArray[np.uint32]
    values: NDArray[np.float32]
    valid: BoolMask | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        return int(self.indices.nbytes + self.values.nbytes)

    def take(self, rows: Rows) -> SparseColumn:
        offsets, flat = _ragged_rows(self.offsets, rows)
        return SparseColumn(offsets, self.indices[flat], self.values[flat], _take_mask(self.valid, rows))


@dataclass(frozen=True, slots=True)
class MultiColumn:
    """Several vectors per record: `values` `[total, d]`, record i owns rows `offsets[i]:offsets[i + 1]`."""

    offsets: NDArray[np.int64]
    values: NDArray[Any]
    dtype: DType = DType.FLOAT32
    valid: BoolMask | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def nbytes(self) -> int:
        return int(self.values.nbytes)

    def take(self, rows: Rows) -> MultiColumn:
        offsets, flat = _ragged_rows(self.offsets, rows)
        values = np.ascontiguousarray(self.values[flat])
        return MultiColumn(offsets, values, self.dtype, _take_mask(self.valid, rows))


VectorColumn = DenseColumn | SparseColumn | MultiColumn


def _concat_columns(columns: Sequence[VectorColumn]) -> VectorColumn:
    valid = _concat_masks([(column.valid, len(column)) for column in columns])
    first = columns[0]
    if isinstance(first, DenseColumn):
        dense = [column for column in columns if isinstance(column, DenseColumn)]
        return DenseColumn(np.concatenate([column.values for column in dense]), first.dtype, valid)
    ragged = [column for column in columns if not isinstance(column, DenseColumn)]
    ends = np.cumsum([0, *(int(column.offsets[-1]) for column in ragged)])
    offsets = np.concatenate([[0], *(column.offsets[1:] + end for column, end in zip(ragged, ends, strict=False))])
    values = np.concatenate([column.values for column in ragged])
    if isinstance(first, MultiColumn):
        return MultiColumn(offsets.astype(np.int64), values, first.dtype, valid)
    indices = np.concatenate([column.indices for column in ragged if isinstance(column, SparseColumn)])
    return SparseColumn(offsets.astype(np.int64), indices, values, valid)


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Records of one namespace. Every column and `metadata` have `len(ids)` rows.

    A scan without vectors yields an empty `vectors` mapping::

        vectors = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
        batch = RecordBatch("", [7, "a"], {"text": DenseColumn(vectors)}, [{"title": "one"}, {}])
        batch.take([1]).ids  # ["a"]
    """

    namespace: str
    ids: list[RecordId]
    vectors: Mapping[str, VectorColumn] = field(default_factory=dict[str, VectorColumn])
    metadata: list[Metadata] = field(default_factory=list[Metadata])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def vector_nbytes(self) -> int:
        """Bytes of all vector columns together."""
        return sum(column.nbytes for column in self.vectors.values())

    def take(self, rows: Sequence[int] | Rows) -> RecordBatch:
        """The chosen rows, in that order."""
        index = np.asarray(rows, dtype=np.int64)
        chosen = index.tolist()
        return RecordBatch(
            self.namespace,
            [self.ids[row] for row in chosen],
            {name: column.take(index) for name, column in self.vectors.items()},
            [self.metadata[row] for row in chosen],
        )

    @staticmethod
    def concat(batches: Sequence[RecordBatch]) -> RecordBatch:
        """The batches one after the other; all of one namespace and with the same vector fields."""
        if len(batches) == 1:
            return batches[0]
        first = batches[0]
        return RecordBatch(
            first.namespace,
            [record_id for batch in batches for record_id in batch.ids],
            {name: _concat_columns([batch.vectors[name] for batch in batches]) for name in first.vectors},
            [metadata for batch in batches for metadata in batch.metadata],
        )
