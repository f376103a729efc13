"""Vector components: exact two-way normalisation, storage types, filling, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.mapping.world import dense, multi, rules, sparse
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.convert.vectors import cast_values, denormalise, nonfinite_rows, normalise, to_float32
from vectormigrate.mapping.limits import ORIGIN, SMALL_SQUARE, UNIT_TOLERANCE, Limits
from vectormigrate.model.batch import DenseColumn, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.plan import VectorMapping
from vectormigrate.model.schema import DType

Floats = NDArray[np.float32]
ANY_FLOAT = st.integers(0, 2**32 - 1).map(lambda bits: np.uint32(bits)).filter(
    lambda bits: (int(bits) & 0x7F800000) != 0x7F800000
)  # fmt: skip


def both_ways(values: Floats) -> tuple[Floats, Floats, dict[int, Any]]:
    units, notes = normalise(values, SMALL_SQUARE, UNIT_TOLERANCE)
    travelled = json.loads(json.dumps({str(row): note for row, note in notes.items()}))
    back = denormalise(units, {int(row): note for row, note in travelled.items()})
    return units, back, notes


@settings(max_examples=300)
@given(
    st.integers(1, 9).flatmap(
        lambda dim: st.lists(st.lists(ANY_FLOAT, min_size=dim, max_size=dim), min_size=1, max_size=5)
    )
)
def test_any_finite_bits_come_back_bit_for_bit(rows: list[list[np.uint32]]) -> None:
    values = np.array(rows, np.uint32).view(np.float32)
    _, back, _ = both_ways(values)
    assert back.tobytes() == values.tobytes()


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.floats(-30, 30), st.integers(2, 700))
def test_ordinary_vectors_come_back_from_two_bits_per_component(seed: int, magnitude: float, dim: int) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.standard_normal((8, dim)) * 10.0**magnitude).astype(np.float32)
    units, back, notes = both_ways(values)
    assert back.tobytes() == values.tobytes()
    for row, note in notes.items():
        assert abs(float((units[row].astype(np.float64) ** 2).sum()) - 1) < 1e-6
        if magnitude > -3:
            assert len(note) == 3
            assert len(note[2]) <= -(-dim // 12) * 4 + 4


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(1, 300))
def test_a_normalising_target_leaves_every_written_vector_alone(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-5, 5, (50, 1))
    values = (rng.standard_normal((50, dim)) * scale).astype(np.float32)
    values[:10] = (values[:10] / np.linalg.norm(values[:10].astype(np.float64), axis=1)[:, None] * np.sqrt(
        1 + rng.uniform(-2e-6, 2e-6, (10, 1))
    )).astype(np.float32)  # fmt: skip
    units, _, _ = both_ways(values)
    squares = (units * units).sum(axis=1, dtype=np.float32)
    assert ((squares < SMALL_SQUARE) | (np.abs(squares - 1) <= UNIT_TOLERANCE)).all()


@pytest.mark.parametrize("row", [[0.0, -0.0], [1.0, 0.0], [0.6, 0.8], [3e-4, 1e-5], [1e-40, -1e-45], [-1.0, -0.0]])
def test_vectors_that_the_target_leaves_alone_are_written_unchanged_without_a_note(row: list[float]) -> None:
    values = np.array([row], np.float32)
    units, _, notes = both_ways(values)
    assert units.tobytes() == values.tobytes()
    assert not notes


def test_a_vector_that_was_changed_since_is_left_alone() -> None:
    units, notes = normalise(np.array([[3, 4], [6, 8]], np.float32), SMALL_SQUARE, UNIT_TOLERANCE)
    units[1] = [0.8, 0.6]
    assert denormalise(units, notes).tolist() == [[3, 4], [np.float32(0.8), np.float32(0.6)]]


def test_a_store_that_loses_the_sign_of_zero_does_not_disturb_restoring() -> None:
    values = np.array([[3, -0.0, 4, 0.0]], np.float32)
    units, notes = normalise(values, SMALL_SQUARE, UNIT_TOLERANCE)
    assert denormalise(units + np.float32(0), notes).tobytes() == values.tobytes()


def batch_of(column: VectorColumn) -> RecordBatch:
    n = len(column)
    return RecordBatch("", [f"r{row}" for row in range(n)], {"v": column}, [{} for _ in range(n)])


def apply(column: VectorColumn, limits: Limits | None = None, **changes: Any) -> Mapped:
    accepted = changes.pop("accepted_losses", ())
    mapping = VectorMapping(source="v", target="w", dtype=changes.pop("dtype", "float32"), **changes)
    return Mapper(rules(vectors=(mapping,), limits=limits or Limits(), accepted_losses=accepted)).convert(
        batch_of(column)
    )[0]


def restored(result: Mapped) -> VectorColumn:
    return restore(result.batch).batch.vectors["w"]


def test_every_row_of_a_multi_vector_is_normalised_and_restored() -> None:
    column = multi([[[3, 4], [1, 0]], [], [[0, 0], [5, 12]]], 2)
    result = apply(column, normalise=True)
    written = result.batch.vectors["w"]
    assert isinstance(written, MultiColumn)
    assert np.allclose(written.values, [[0.6, 0.8], [1, 0], [0, 0], [5 / 13, 12 / 13]])
    assert result.losses == {"vector-length": 2}
    back = restored(result)
    assert isinstance(back, MultiColumn)
    assert back.values.tobytes() == column.values.tobytes()


def test_a_missing_vector_is_filled_with_zeros_and_missing_again_after_restoring() -> None:
    result = apply(dense([[1, 2], [0, 0], [0, 0]], [True, False, True]), fill=True)
    written = result.batch.vectors["w"]
    assert written.valid is None
    assert result.losses == {"vector-missing": 1}
    back = restored(result)
    assert back.valid is not None
    assert back.valid.tolist() == [True, False, True]


def test_an_empty_sparse_vector_is_filled_where_the_target_holds_none_and_empty_again_after_restoring() -> None:
    column = replace(sparse([{1: 1.0}, {}, {}]), valid=np.array([True, True, False]))
    result = apply(column, Limits.of(vectors={"empty_sparse": False}))
    written = result.batch.vectors["w"]
    assert isinstance(written, SparseColumn)
    assert np.diff(written.offsets).tolist() == [1, 1, 0]
    assert written.valid is not None
    assert written.valid.tolist() == [True, True, False]
    assert result.losses == {"vector-missing": 1}
    back = restored(result)
    assert isinstance(back, SparseColumn)
    assert np.diff(back.offsets).tolist() == [1, 0, 0]
    assert back.valid is not None
    assert back.valid.tolist() == [True, True, False]


def test_a_filled_vector_that_was_set_since_is_kept() -> None:
    result = apply(dense([[0, 0]], [False]), fill=True)
    set_now = replace(result.batch, vectors={"w": dense([[1, 1]])})
    assert restore(set_now).batch.vectors["w"].valid is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normal", [True, False])
def test_a_vector_that_is_not_finite_is_a_reject(bad: float, normal: bool) -> None:
    result = apply(dense([[1, 2], [bad, 1], [3e38, 3e38]]), normalise=normal)
    assert [(reject.id, reject.code) for reject in result.rejects] == [("r1", "vector_nonfinite")]
    assert result.source_ids == ["r0", "r2"]
    assert result.rows.tolist() == [0, 2]
    refused = apply(multi([[[1, 2]], [[1, 2], [bad, 1]]], 2), normalise=normal)
    assert [reject.id for reject in refused.rejects] == ["r1"]
    refused = Mapper(rules(vectors=(VectorMapping(source="v", target="v", dtype="float32"),))).convert(
        batch_of(sparse([{1: 1.0}, {}, {2: bad}]))
    )[0]
    assert [reject.id for reject in refused.rejects] == ["r2"]


def test_a_vector_of_another_size_is_a_reject() -> None:
    limits = Limits.of(dims={"w": 3})
    result = apply(dense([[1, 2], [0, 0]], [True, False]), limits)
    assert [(reject.id, reject.code) for reject in result.rejects] == [("r0", "dimension")]


WIDENING = [
    (DType.FLOAT16, np.array([[1.5, -0.0, 65504, 6e-8]], np.float16)),
    (DType.BFLOAT16, np.array([[0x3F80, 0x8000, 0x7F7F, 0x0001]], np.uint16)),
    (DType.INT8, np.array([[-128, 127, 0, -1]], np.int8)),
    (DType.UINT8, np.array([[0, 255, 128, 1]], np.uint8)),
    (DType.BITS, np.array([[0, 255, 0b10100000]], np.uint8)),
]


@pytest.mark.parametrize(("dtype", "values"), WIDENING, ids=[str(dtype) for dtype, _ in WIDENING])
def test_a_wider_storage_type_holds_every_value_and_the_way_back_is_exact(dtype: DType, values: NDArray[Any]) -> None:
    there = apply(DenseColumn(values, dtype), dtype="float32")
    assert not there.losses
    wide = there.batch.vectors["w"]
    assert isinstance(wide, DenseColumn)
    assert wide.values.dtype == np.float32
    back = apply(wide, dtype=str(dtype)).batch.vectors["w"]
    assert isinstance(back, DenseColumn)
    assert back.values.tobytes() == values.tobytes()


def test_rounding_to_a_narrower_type_is_a_named_loss_of_the_records_that_change() -> None:
    column = dense([[1.5, 2], [0.1, 0.2], [1, 2]])
    refused = apply(column, dtype="float16")
    assert [(reject.id, reject.code) for reject in refused.rejects] == [("r1", "vector-dtype:v")]
    accepted = apply(column, dtype="float16", accepted_losses=("vector-dtype:v",))
    assert accepted.losses == {"vector-dtype:v": 1}
    written = accepted.batch.vectors["w"]
    assert isinstance(written, DenseColumn)
    assert written.values.dtype == np.float16
    assert np.array_equal(written.values, column.values.astype(np.float16))


def test_a_value_beyond_the_narrower_type_is_a_reject() -> None:
    result = apply(dense([[1, 2], [1e6, 0]]), dtype="float16", accepted_losses=("vector-dtype:v",))
    assert [(reject.id, reject.code) for reject in result.rejects] == [("r1", "vector_overflow")]


def test_bfloat16_is_rounded_to_the_nearest_even() -> None:
    values = np.array([[1.0, 1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-8 + 2**-20, -3.14159]], np.float32)
    narrow, changed = cast_values(values, DType.FLOAT32, DType.BFLOAT16)
    back = to_float32(narrow, DType.BFLOAT16)
    assert back.tolist() == [[1.0, 1.0, 1 + 2**-6, 1 + 2**-7, -3.140625]]
    assert changed.tolist() == [True]


def test_integers_are_clipped_and_rounded_and_counted() -> None:
    narrow, changed = cast_values(np.array([[1, 2], [300, -5], [1.6, 0]], np.float32), DType.FLOAT32, DType.UINT8)
    assert narrow.tolist() == [[1, 2], [255, 0], [2, 0]]
    assert changed.tolist() == [False, True, True]


def test_finite_rows_whose_sum_overflows_are_finite() -> None:
    values = np.array([[3e38, 3e38], [3e38, -np.inf], [1, 2]], np.float32)
    assert nonfinite_rows(values, DType.FLOAT32).tolist() == [False, True, False]


def test_a_vector_field_that_has_no_place_is_a_loss_of_the_records_that_hold_it() -> None:
    column = dense([[1, 2], [0, 0]], [True, False])
    refused = Mapper(rules()).convert(batch_of(column))[0]
    assert [(reject.id, reject.code) for reject in refused.rejects] == [("r0", "vector-field:v")]
    accepted = Mapper(rules(accepted_losses=("vector-field:v",))).convert(batch_of(column))[0]
    assert accepted.losses == {"vector-field:v": 1}
    assert not accepted.batch.vectors


def test_unit_vectors_stored_with_fewer_bits_lose_their_length_by_name() -> None:
    column = dense([[3, 4]])
    refused = apply(column, dtype="float16", normalise=True)
    assert [reject.code for reject in refused.rejects] == ["vector-dtype:v"]
    losses = ("vector-dtype:v", "vector-rounding")
    accepted = apply(column, dtype="float16", normalise=True, accepted_losses=losses)
    assert set(accepted.losses) >= {"vector-rounding"}
    assert ORIGIN not in accepted.batch.metadata[0]
