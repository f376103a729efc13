"""The vector columns of a batch for one target, with a note, an effect or a refusal per row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.figures import counted
from vectormigrate.mapping.convert.vectors import (
    DENSE_FILLER,
    SPARSE_FILLER,
    LengthNote,
    cast_values,
    nonfinite_rows,
    normalise,
    to_float32,
    zero_note,
)
from vectormigrate.mapping.limits import Limits
from vectormigrate.model.batch import BoolMask, DenseColumn, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.half_units import stored_as_given
from vectormigrate.model.plan import VectorMapping
from vectormigrate.model.schema import DType

RowNotes = defaultdict[int, dict[str, Any]]
RowEffects = defaultdict[int, set[str]]


@dataclass(slots=True)
class EncodedVectors:
    """Columns under the target's names; notes, effects and refusals (code, reason) by row."""

    columns: dict[str, VectorColumn] = field(default_factory=dict[str, VectorColumn])
    notes: RowNotes = field(default_factory=lambda: defaultdict(dict))
    effects: RowEffects = field(default_factory=lambda: defaultdict(set))
    rejects: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])


class VectorEncoder:
    """Encodes the vectors of batches for one target."""

    def __init__(self, mappings: Sequence[VectorMapping], limits: Limits) -> None:
        self._mappings = {mapping.source: mapping for mapping in mappings}
        self._limits = limits

    def encode(self, batch: RecordBatch) -> EncodedVectors:
        """All columns of the batch; a field without a mapping is left out, with the effect `vector-field:NAME`."""
        out = EncodedVectors()
        for name, column in batch.vectors.items():
            mapping = self._mappings.get(name)
            if mapping is None:
                for row in _present(column).tolist():
                    out.effects[row].add(f"vector-field:{name}")
            elif isinstance(column, SparseColumn):
                _refuse_sparse(column, name, self._limits.vectors.max_sparse, out)
                out.columns[mapping.target] = self._sparse(column, mapping, out)
            elif isinstance(column, DenseColumn):
                out.columns[mapping.target] = self._dense(column, mapping, out)
            else:
                out.columns[mapping.target] = self._multi(column, mapping, out)
        return out

    def _sparse(self, column: SparseColumn, mapping: VectorMapping, out: EncodedVectors) -> SparseColumn:
        if not mapping.fill and self._limits.vectors.empty_sparse:
            return column
        empty = np.diff(column.offsets) == 0
        if not mapping.fill and column.valid is not None:
            empty &= column.valid
        return _filled(column, np.flatnonzero(empty), mapping.target, out)

    def _refuse(self, column: DenseColumn | MultiColumn, name: str, target: str, out: EncodedVectors) -> bool:
        """Refuse rows with the wrong number of components or with non-finite ones; True: the whole column is wrong."""
        dim = column.values.shape[-1] * (8 if column.dtype is DType.BITS else 1)
        wanted = self._limits.dims.get(target)
        if wanted is not None and dim != wanted and len(column.values):
            reason = f"the vector {name!r} has {counted(dim)} components, the target takes {counted(wanted)}"
            out.rejects.update(dict.fromkeys(_present(column).tolist(), ("dimension", reason)))
            return True
        bad = np.flatnonzero(nonfinite_rows(column.values, column.dtype))
        for row in _owners(column, bad):
            out.rejects[row] = ("vector_nonfinite", f"the vector {name!r} holds NaN or infinity")
        return False

    def _dense(self, column: DenseColumn, mapping: VectorMapping, out: EncodedVectors) -> DenseColumn:
        if self._refuse(column, mapping.source, mapping.target, out):
            return column
        values, dtype, notes = self._values(column, mapping, out)
        for row, note in notes.items():
            out.notes[row][mapping.target] = note
            out.effects[row].add("vector-length")
        valid = column.valid
        if not self._limits.vectors.zeros:
            values = self._fill_zeros(values, valid, mapping, out)
        if mapping.fill and valid is not None:
            for row in np.flatnonzero(~valid).tolist():
                out.notes[row][mapping.target] = 0
                out.effects[row].add("vector-missing")
            valid = None
        return DenseColumn(values, dtype, valid)

    def _fill_zeros(
        self, values: NDArray[Any], valid: BoolMask | None, mapping: VectorMapping, out: EncodedVectors
    ) -> NDArray[Any]:
        """The values with DENSE_FILLER in every row of zeros, noted where it stands for a real vector."""
        empty = ~values.any(axis=1)
        zeros = np.flatnonzero(empty if valid is None or mapping.fill else empty & valid)
        if not len(zeros):
            return values
        for row in zeros.tolist():
            if valid is None or valid[row]:
                signs = np.signbit(values[row])
                out.notes[row][mapping.target] = zero_note(signs)
                out.effects[row].add("vector-zero")
        filled = values.copy()
        filled[zeros] = 0
        filled[zeros, 0] = DENSE_FILLER
        return filled

    def _multi(self, column: MultiColumn, mapping: VectorMapping, out: EncodedVectors) -> MultiColumn:
        if self._refuse(column, mapping.source, mapping.target, out):
            return column
        values, dtype, notes = self._values(column, mapping, out)
        for position, note in notes.items():
            row = int(np.searchsorted(column.offsets, position, side="right")) - 1
            inner = out.notes[row].setdefault(mapping.target, {})
            inner[str(position - int(column.offsets[row]))] = note
            out.effects[row].add("vector-length")
        return MultiColumn(column.offsets, values, dtype, column.valid)

    def _values(
        self, column: DenseColumn | MultiColumn, mapping: VectorMapping, out: EncodedVectors
    ) -> tuple[NDArray[Any], DType, dict[int, LengthNote]]:
        """The flat values in the target's storage type, at unit length where the target wants that."""
        target = DType(mapping.dtype)
        values, dtype = column.values, column.dtype
        notes: dict[int, LengthNote] = {}
        if mapping.normalise:
            values, dtype = to_float32(values, dtype), DType.FLOAT32
            bad = nonfinite_rows(values, dtype)
            clean = np.where(bad[:, None], np.float32(0), values) if bad.any() else values
            values, notes = normalise(clean, self._limits.small_square, self._limits.unit_tolerance)
            if target is not DType.FLOAT32:
                rounded = np.array(list(notes), np.int64)
                if target is DType.FLOAT16:
                    kept = _kept_halves(clean)
                    values = np.where(kept[:, None], clean, values)
                    rounded = rounded[~kept[rounded]]
                for row in _owners(column, rounded):
                    out.effects[row].add("vector-rounding")
                notes = {}
        if dtype is target:
            return values, target, notes
        values, changed = cast_values(values, dtype, target)
        for row in _owners(column, np.flatnonzero(changed)):
            out.effects[row].add(f"vector-dtype:{mapping.source}")
        for row in _owners(column, np.flatnonzero(nonfinite_rows(values, target))):
            out.rejects.setdefault(row, ("vector_overflow", f"the vector {mapping.source!r} is too large for {target}"))
        return values, target, notes


def _kept_halves(values: NDArray[np.float32]) -> BoolMask:
    """Rows of float16 values that a target which normalises stores as they are."""
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    return stored_as_given(half)[1] & (half.astype(np.float32) == values).all(axis=1)


def _present(column: VectorColumn) -> NDArray[np.int64]:
    return np.arange(len(column)) if column.valid is None else np.flatnonzero(column.valid)


def _owners(column: DenseColumn | MultiColumn, rows: NDArray[np.int64]) -> list[int]:
    """The records that own these rows of the flat values. An absent dense vector owns nothing."""
    if isinstance(column, MultiColumn):
        return np.unique(np.searchsorted(column.offsets, rows, side="right") - 1).tolist()
    valid: BoolMask | None = column.valid
    return (rows if valid is None else rows[valid[rows]]).tolist()


def _refuse_sparse(column: SparseColumn, name: str, most: int | None, out: EncodedVectors) -> None:
    if most is not None:
        for row in np.flatnonzero(np.diff(column.offsets) > most).tolist():
            out.rejects[row] = ("vector_size", f"the vector {name!r} has more than {counted(most)} components")
    bad = np.flatnonzero(~np.isfinite(column.values))
    for row in np.unique(np.searchsorted(column.offsets, bad, side="right") - 1).tolist():
        out.rejects[row] = ("vector_nonfinite", f"the vector {name!r} holds NaN or infinity")


def _filled(column: SparseColumn, empty: NDArray[np.int64], target: str, out: EncodedVectors) -> SparseColumn:
    """The column with SPARSE_FILLER in these rows, where a record has no vector (noted as 0) or an empty one (as 1)."""
    if not len(empty):
        return column
    absent = np.zeros(len(column), np.bool_) if column.valid is None else ~column.valid
    for row in empty.tolist():
        out.notes[row][target] = 0 if absent[row] else 1
        out.effects[row].add("vector-missing")
    index, weight = SPARSE_FILLER
    places = column.offsets[empty]
    lengths = np.diff(column.offsets)
    lengths[empty] = 1
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    left = absent.copy()
    left[empty] = False
    valid = ~left if left.any() else None
    return SparseColumn(
        offsets, np.insert(column.indices, places, index), np.insert(column.values, places, weight), valid
    )
