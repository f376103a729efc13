"""Canonical bytes and record digests: equal exactly for equal content."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validation.support import batch_of
from vectormigrate.model.batch import DenseColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.schema import DType
from vectormigrate.validation.buckets import BUCKETS, Buckets, bucket_of, groups
from vectormigrate.validation.digest import canonical_metadata, canonical_value, record_digests

OTHER_NAN = struct.unpack(">d", bytes.fromhex("7ff8000000000001"))[0]

DISTINCT: list[Any] = [
    None,
    False,
    True,
    0,
    1,
    -1,
    2**63,
    2**70,
    0.0,
    -0.0,
    1.0,
    math.nan,
    OTHER_NAN,
    math.inf,
    -math.inf,
    "",
    "1",
    "null",
    "NaN",
    "\ud800",
    "a\0b",
    b"",
    b"1",
    [],
    [None],
    [[]],
    ["a", "b"],
    ["b", "a"],
    ["a,b"],
    {},
    {"a": None},
    {"a": math.nan},
    {"a": {}},
    {"a": [{}]},
    datetime(2020, 1, 1, tzinfo=UTC),
    datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    datetime(2020, 1, 1, tzinfo=UTC).isoformat(),
]


def test_values_of_other_type_or_content_have_other_bytes() -> None:
    assert len({canonical_value(value) for value in DISTINCT}) == len(DISTINCT)
    assert len({canonical_metadata({"k": value}) for value in DISTINCT}) == len(DISTINCT)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=3), values, max_size=4)


def exact(value: Any) -> Any:
    """A form in which == means exactly equal."""
    if isinstance(value, dict):
        pairs: Mapping[str, Any] = value
        return ("dict", sorted((key, exact(item)) for key, item in pairs.items()).__repr__())
    if isinstance(value, list):
        return ("list", repr([exact(item) for item in value]))
    return (type(value).__name__, struct.pack(">d", value) if isinstance(value, float) else value)


@given(objects, objects)
def test_metadata_has_equal_bytes_exactly_when_it_is_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (canonical_metadata(one) == canonical_metadata(other)) == (exact(one) == exact(other))
    assert canonical_metadata(one) == canonical_metadata(dict(reversed(one.items())))


def digest(vectors: Mapping[str, VectorColumn], **changes: Any) -> bytes:
    batch = RecordBatch(changes.get("namespace", ""), [changes.get("id", 1)], vectors, [{}])
    return record_digests(batch).tobytes()


def test_every_part_of_a_record_counts() -> None:
    values32 = np.array([[1, 2]], np.float32)
    dense = DenseColumn(values32)
    pair_of = SparseColumn(np.array([0, 1]), np.array([3], np.uint32), np.array([1], np.float32))
    absent = np.array([False])
    digests = [
        digest({}),
        digest({}, namespace="a"),
        digest({}, id="1"),
        digest({"v": dense}),
        digest({"w": dense}),
        digest({"v": DenseColumn(-values32)}),
        digest({"v": DenseColumn(values32 * 0)}),
        digest({"v": DenseColumn(values32 * np.float32(-0.0))}),
        digest({"v": DenseColumn(values32.astype(np.float16), DType.FLOAT16)}),
        digest({"v": DenseColumn(values32.view(np.uint8), DType.UINT8)}),
        digest({"v": dense, "w": dense}),
        digest({"v": pair_of}),
        digest({"v": SparseColumn(np.array([0, 0]), pair_of.indices[:0], pair_of.values[:0])}),
    ]
    assert len(set(digests)) == len(digests)
    assert digest({"v": DenseColumn(values32 * 0, valid=absent)}) == digest({})
    assert digest({"v": SparseColumn(np.array([0, 0]), pair_of.indices[:0], pair_of.values[:0], absent)}) == digest({})


def test_a_digest_does_not_depend_on_the_neighbours_in_the_batch() -> None:
    batch = batch_of(range(20), "a")
    together = record_digests(batch)
    alone = np.concatenate([record_digests(batch.take([row])) for row in range(20)])
    assert np.array_equal(together, alone)
    assert len(np.unique(together, axis=0)) == 20


@given(st.permutations(range(12)), st.integers(0, 11))
def test_buckets_cancel_for_equal_multisets_in_any_order_and_for_no_others(order: list[int], lost: int) -> None:
    rng = np.random.default_rng(0)
    digests = rng.integers(0, 2**64, (12, 2), np.uint64)
    numbers = bucket_of("a", [b"%d" % row for row in range(12)])
    buckets = Buckets()
    buckets.add(0, numbers, digests)
    for row in order:
        buckets.add(1, numbers[[row]], digests[[row]])
    assert not buckets.differing().any()
    buckets.add(0, numbers[[lost]], digests[[lost]])
    assert np.flatnonzero(buckets.differing()).tolist() == [numbers[lost]]
    restored = Buckets.from_bytes(buckets.to_bytes())
    assert np.array_equal(restored.sums, buckets.sums)
    assert np.array_equal(restored.counts, buckets.counts)


def test_rubbish_is_no_bucket_table() -> None:
    with pytest.raises(ValueError):
        Buckets.from_bytes(b"rubbish")


def test_groups_are_disjoint_complete_and_bounded() -> None:
    rng = np.random.default_rng(0)
    mask, weights = rng.random(BUCKETS) < 0.01, rng.integers(0, 50, BUCKETS)
    weights[np.flatnonzero(mask)[3]] = 1000
    found = groups(mask, weights, 100)
    assert np.array_equal(np.sum(found, axis=0), mask.astype(np.int64))
    sizes = [int(weights[group].sum()) for group in found]
    assert sorted(size for size in sizes if size > 100) == [1000]
