"""Whole migrations: A → B → A and A → B → C → A give back every bit, whatever B and C can hold."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mapping.world import (
    TARGETS,
    WIDE,
    Collection,
    Moved,
    decide_twice,
    dense,
    exact,
    migrate,
    multi,
    records,
    schema,
    sparse,
)
from vectormigrate.adapter import Capabilities
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.schema import FieldType, MetadataField, Metric, VectorField, VectorKind

NASTY: list[dict[str, Any]] = [
    {},
    {"a": None, "b": [], "c": {}, "d": "", "e": False},
    {"int": 1, "float": 1.0, "big": 2**53 + 1, "bigger": 2**63, "neg": -(2**63), "zero": -0.0},
    {"nan": float("nan"), "inf": float("inf"), "ninf": float("-inf")},
    {"bytes": b"\x00\xff", "empty": b"", "when": datetime(2024, 2, 29, 1, 2, 3, 4567, tzinfo=UTC)},
    {"when": datetime(1999, 1, 1, tzinfo=timezone(timedelta(hours=-3, minutes=-30)))},
    {"a": {"b": {"c": 1, "n": None, "e": {}}, "l": [1, 2.0, None, {"x": b"1"}]}, "a.b": {"c": 2}, "a.b.c": 3},
    {"a": {"b.c": 1, "b": {"c": 2}}, "$x": 1, "id": 2, "": 3, "é": 4, "Upper": 5, "vector": 6, "_vm_origin": "mine"},
    {
        "tags": ["a", "b"],
        "mixed": [1, "a", None],
        "nested": [[1], [2.0, [3]]],
        "dates": [datetime(2024, 1, 1, tzinfo=UTC)],
    },
    {"_vm_id": 5, "_vm_namespace": "x", "v": "like a vector", "text": "null", "number": "7"},
    {"_vm_id": "mine", "_vm_origin": "{}", "_vm_namespace": "", "_vm_exact": "[]", "vm_id": "", "vm_origin": ""},
    {"_vm_id": "mine", "_vm_origin": '{"v":1}', "_vm_exact": 1, "e": None},
    {"_vm_id": "mine", "text": "x"},
    {"_vm_origin": "mine", "text": "x"},
    {"true": True, "one": 1, "list": [True, 1, 1.0], "nans": [float("nan"), 1.5], "objects": [{"a": None}, {}]},
]
OWN_IDS = ("own", "own 2", "own 3", "own 4")
IDS: list[Any] = [
    *OWN_IDS,
    *(7, "7", "007", uuid.UUID(int=7), str(uuid.UUID(int=7)), -1, 2**63, "", "a'b\"", "é" * 100, 0),
]


def nasty_collection() -> Collection:
    n = len(NASTY)
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((n, 4)).astype(np.float32) * 10
    vectors[0] = [0.0, -0.0, 0.0, 0.0]
    vectors[1] = [1e-30, -1e-40, 3e38, 1.0]
    vectors[2] = [1e-20, -1e-20, 0.0, -0.0]
    vectors[3] = [0.6, 0.8, -0.0, 0.0]
    valid = np.ones(n, np.bool_)
    valid[4] = False
    vectors[4] = 0
    columns = {
        "": replace(dense(vectors.tolist()), values=vectors, valid=valid),
        "s": sparse([{row: 1.5, 2**32 - 1: -2.0} if row % 2 else {} for row in range(n)]),
        "m-x": multi([[[row + 1.0, 0.5]] * (row % 3) for row in range(n)], 2),
    }
    fields = (
        VectorField(name="", kind=VectorKind.DENSE, dim=4, metric=Metric.COSINE),
        VectorField(name="s", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
        VectorField(name="m-x", kind=VectorKind.MULTI, dim=2, metric=Metric.COSINE),
    )
    indexed = (MetadataField(name="a.b.c", type=FieldType.INT64, indexed=True),)
    store = {name: RecordBatch(name, list(IDS), columns, list(NASTY)) for name in ("", "n-1", "n_1", "été!")}
    return Collection("one", WIDE, schema(*fields, fields=indexed, extras={"one": {"shards": 3}}), store)


def survivors(source: Collection, *legs: Moved) -> Collection:
    """The source without the vector fields that these migrations named as lost."""
    lost: set[str] = set()
    now = {item.name: item.name for item in source.schema.vectors}
    for leg in legs:
        carried = {mapping.source: mapping.target for mapping in leg.decision.rules.vectors}
        named = {loss.name.partition(":")[2] for loss in leg.decision.losses if loss.name.startswith("vector-field:")}
        assert named == now.keys() - carried.keys()
        lost |= {now[name] for name in named}
        now = {carried[name]: original for name, original in now.items() if name in carried}
    store = {
        space: replace(batch, vectors={name: item for name, item in batch.vectors.items() if name not in lost})
        for space, batch in source.store.items()
        if len(batch)
    }
    return replace(source, store=store)


def copy(source: Collection, adapter: str, caps: Capabilities, **options: Any) -> Moved:
    """Migrate, accepting the loss of vector fields that the target cannot hold and nothing else."""
    losses = decide_twice(source, adapter, caps)[0].losses
    fields = tuple(loss.name for loss in losses if loss.name.startswith(("vector-field:", "metric:")))
    return migrate(source, adapter, caps, accepted_losses=fields, **options)


def home(moved: Collection) -> Collection:
    back = migrate(moved, "one", WIDE)
    assert not back.rejects
    return back.target


@pytest.mark.parametrize("caps", TARGETS.values(), ids=TARGETS)
def test_a_nasty_collection_comes_home_bit_for_bit(caps: Capabilities) -> None:
    source = nasty_collection()
    there = copy(source, "two", caps)
    assert not there.rejects
    back = home(there.target)
    assert records(back.store) == records(survivors(source, there).store)
    assert replace(back.schema, name="source", note=None) == source.schema


@pytest.mark.parametrize("second", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("first", TARGETS.values(), ids=TARGETS)
def test_a_collection_comes_home_over_two_other_databases(first: Capabilities, second: Capabilities) -> None:
    source = nasty_collection()
    there = copy(source, "two", first)
    further = copy(there.target, "three", second)
    assert not further.rejects
    back = home(further.target)
    assert records(back.store) == records(survivors(source, there, further).store)
    assert replace(back.schema, name="source", note=None) == source.schema


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
KEYS = st.one_of(st.sampled_from(["a", "b", "a.b", "a.b.c", "$x", "id", "_vm_id", "_vm_origin", ""]), TEXT)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([2**53, 2**53 + 1, -(2**53), 2**63 - 1, 2**63, 2**64 - 1, 10**31]),
    st.floats(),
    st.sampled_from([1.0, -0.0, 5e-324, 1.7976931348623157e308]),
    TEXT,
    st.sampled_from(["null", "NaN", "1", "true", "2024-01-01T00:00:00+00:00", '{"v":1}', '{"id":"s:x"}', "[1]"]),
    st.binary(max_size=5),
    st.datetimes(timezones=ZONES),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
RECORDS = st.dictionaries(KEYS, VALUES, max_size=5)
RECORD_IDS = st.one_of(
    st.integers(-(2**63), 2**64 - 1), TEXT, st.uuids(), st.sampled_from(["7", 7, "i:7", "s:x", "\0", "a\0s:b"])
)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    """Some namespaces with records of every kind, under one shape."""
    dim = draw(st.integers(1, 5))
    fields = (
        VectorField(name="", kind=VectorKind.DENSE, dim=dim, metric=Metric.COSINE),
        VectorField(name="l2", kind=VectorKind.DENSE, dim=2, metric=Metric.L2),
        VectorField(name="s", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
        VectorField(name="m", kind=VectorKind.MULTI, dim=2, metric=Metric.COSINE),
    )
    store: dict[str, RecordBatch] = {}
    for name in draw(st.lists(st.one_of(st.sampled_from(["", "a-b", "a_b", "a\0s:b"]), TEXT), max_size=3, unique=True)):
        ids = draw(st.lists(RECORD_IDS, min_size=1, max_size=4, unique_by=lambda item: (type(item), item)))
        rows = range(len(ids))
        valid = [draw(st.booleans()) for _ in rows]
        vector = st.lists(FLOATS, min_size=dim, max_size=dim)
        pair = st.lists(FLOATS, min_size=2, max_size=2)
        columns = {
            "": dense([draw(vector) if valid[row] else [0.0] * dim for row in rows], valid),
            "l2": dense([draw(pair) for _ in rows]),
            "s": sparse([draw(st.dictionaries(st.integers(0, 2**32 - 1), FLOATS, max_size=3)) for _ in rows]),
            "m": multi([draw(st.lists(pair, max_size=3)) for _ in rows], 2),
        }
        store[name] = RecordBatch(name, list(ids), columns, [draw(RECORDS) for _ in rows])
    return Collection("one", WIDE, schema(*fields), store)


THOROUGH = settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.parametrize("name", TARGETS)
@THOROUGH
@given(source=collections())
def test_any_collection_comes_home_bit_for_bit(name: str, source: Collection) -> None:
    there = copy(source, "two", TARGETS[name], via_json=name in ("cosine-json", "flat"))
    refused = {reject.code for reject in there.rejects}
    assert refused <= {"vector_overflow"}
    if not refused:
        assert records(home(there.target).store) == records(survivors(source, there).store)


def reordered(value: Any) -> Any:
    """The value with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", TARGETS)
@THOROUGH
@given(source=collections())
def test_the_order_in_which_a_database_returns_keys_changes_nothing(name: str, source: Collection) -> None:
    caps = TARGETS[name]
    losses = decide_twice(source, "two", caps)[0].losses
    accepted = tuple(loss.name for loss in losses if loss.name.startswith(("vector-field:", "metric:")))
    mapper = Mapper(decide_twice(source, "two", caps, accepted_losses=accepted)[0].rules)
    for batch in source.store.values():
        other = replace(batch, metadata=[reordered(item) for item in batch.metadata])
        for one, two in zip(mapper.convert(batch), mapper.convert(other), strict=True):
            assert exact(one.batch.metadata) == exact(two.batch.metadata)
