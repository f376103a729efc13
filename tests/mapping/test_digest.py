"""Digests: equal exactly when the records are equal."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from tests.mapping.test_round_trips import RECORDS
from tests.mapping.world import dense, exact, multi, one_batch, sparse
from vectormigrate.mapping.digest import canonical_metadata, digests, key_bytes
from vectormigrate.model.batch import RecordBatch

DIFFERENT: list[dict[str, Any]] = [
    {}, {"a": None}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": b"1"}, {"a": [1]}, {"a": {"1": 1}}, {"b": 1},
    {"a": float("nan")}, {"a": float("inf")}, {"a": float("-inf")}, {"a": 0.0}, {"a": -0.0}, {"a": "null"},
    {"a": [None]}, {"a": []}, {"a": {}}, {"a": 2**64}, {"a": 2.0**64}, {"a": datetime(2024, 1, 1, tzinfo=UTC)},
    {"a": "2024-01-01T00:00:00+00:00"}, {"a": 1, "b": 2}, {"a": [1, 2]}, {"a": [[1], 2]}, {"a": [[1, 2]]},
]  # fmt: skip


def test_metadata_that_differs_has_different_bytes() -> None:
    assert len({canonical_metadata(item) for item in DIFFERENT}) == len(DIFFERENT)


@given(RECORDS, RECORDS)
def test_bytes_are_equal_exactly_when_the_metadata_is(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert (canonical_metadata(one) == canonical_metadata(two)) == (exact(one) == exact(two))
    shuffled = dict(reversed(one.items()))
    assert canonical_metadata(shuffled) == canonical_metadata(one)


def test_typed_ids_have_different_keys() -> None:
    u = uuid.UUID(int=7)
    assert len({key_bytes(item) for item in (7, "7", "i7", u, str(u), "s7", -7)}) == 7


def batch() -> RecordBatch:
    columns = {
        "d": dense([[1, 0.0], [2, 3], [0, 0]], [True, True, False]),
        "s": sparse([{1: 1.0}, {}, {2: 0.5, 7: 1}]),
        "m": multi([[[1, 2]], [], [[1, 2], [3, 4]]], 2),
    }
    return RecordBatch("", ["a", "b", "c"], columns, [{"k": 1}, {}, {"k": None}])


def test_a_digest_follows_its_record_whatever_batch_it_is_in() -> None:
    whole = digests(batch())
    assert whole.shape == (3, 2)
    assert whole.dtype == np.uint64
    assert digests(batch().take([2, 0])).tolist() == whole[[2, 0]].tolist()
    assert len({tuple(row) for row in whole.tolist()}) == 3


def test_the_sign_of_zero_in_a_vector_does_not_count() -> None:
    columns = {**batch().vectors, "d": dense([[1, -0.0], [2, 3], [0, 0]], [True, True, False])}
    assert digests(replace(batch(), vectors=columns)).tolist() == digests(batch()).tolist()


@pytest.mark.parametrize(
    "changes",
    [
        {"d": dense([[1, 1e-45], [2, 3], [0, 0]], [True, True, False])},
        {"d": dense([[1, 0], [2, 3], [0, 0]], [True, True, True])},
        {"s": sparse([{1: 1.0}, {}, {2: 0.5, 8: 1}])},
        {"s": sparse([{1: 1.0}, {2: 0.5}, {7: 1}])},
        {"m": multi([[[1, 2]], [[1, 2]], [[3, 4]]], 2)},
    ],
)
def test_any_change_of_a_vector_changes_the_digest(changes: dict[str, Any]) -> None:
    changed = replace(batch(), vectors={**batch().vectors, **changes})
    assert digests(changed).tolist() != digests(batch()).tolist()


def test_an_absent_vector_is_the_same_as_no_column_and_fields_can_be_left_out() -> None:
    third = batch().take([2])
    rest = {name: column for name, column in third.vectors.items() if name != "d"}
    assert digests(replace(third, vectors=rest)).tolist() == digests(third).tolist()
    assert digests(batch(), ["s", "m"]).tolist() != digests(batch()).tolist()
    assert digests(one_batch([])).shape == (0, 2)
