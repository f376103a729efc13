"""The profile, field paths and typed columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mapping.world import dense, exact, multi, one_batch, rules, sparse
from vectormigrate.mapping import profile as profile_module
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.limits import WIDEST, Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.paths import Renamer, format_path, parse_path
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.ids import IdKind


def test_a_profile_counts_kinds_sizes_and_shapes_per_path() -> None:
    profile = Profile()
    profile.add(one_batch([{"a": 1, "o": {"x": None, "y.z": "é"}}, {"a": "text", "l": [1, [2]]}], [7, "seven"], "n"))
    profile.add(one_batch([{"a": -5, "l": ["s"]}], [UUID(int=1)], "m"))
    assert profile.records == 3
    assert profile.namespaces == {"n": 2, "m": 1}
    assert profile.id_kinds == {IdKind.INT64: 1, IdKind.STRING: 1, IdKind.UUID: 1}
    assert profile.max_id_bytes == 5
    assert set(profile.fields) == {"a", "o", "o.x", "o.y\\.z", "l"}
    a = profile.fields["a"]
    assert (a.kinds, a.mixed, a.min_int, a.max_int, a.max_bytes, a.distinct) == (
        {"int": 2, "string": 1},
        True,
        -5,
        1,
        4,
        3,
    )
    assert (profile.fields["o.x"].nulls, profile.fields["o.x"].mixed) == (1, False)
    assert profile.fields["o.y\\.z"].max_bytes == 2
    assert (profile.fields["l"].longest_list, profile.fields["l"].nested_lists) == (2, 1)
    assert profile.metadata_bytes > 40


def test_a_profile_counts_vectors_that_are_there_zero_or_not_finite() -> None:
    profile = Profile()
    batch = one_batch([{}, {}, {}])
    columns = {
        "d": dense([[1, 0], [0, 0], [0, 0]], [True, True, False]),
        "s": sparse([{1: np.inf}, {}, {}]),
        "m": multi([[[1, np.nan]], [], []], 2),
    }
    profile.add(replace(batch, vectors=columns))
    profile.add_vectors(replace(batch, vectors=columns))
    found = profile.vectors
    assert (found["d"].records, found["d"].present, found["d"].zeros, found["d"].dims) == (6, 4, 2, {2})
    assert (found["s"].nonfinite, found["m"].nonfinite) == (2, 2)
    assert profile.records == 3


def test_a_profile_shows_what_records_were_before_an_earlier_migration() -> None:
    limits = Limits.of(
        ids={"kinds": frozenset({IdKind.UUID})},
        metadata={"int_range": (0, 5)},
        namespaces={"supported": False},
    )
    there = Mapper(rules(id_strategy="uuid5", limits=limits)).convert(one_batch([{"k": 6}], ["a"], "n"))[0].batch
    profile = Profile()
    profile.add(there)
    assert profile.id_kinds == {IdKind.STRING: 1}
    assert profile.namespaces == {"n": 1}
    assert list(profile.fields) == ["k"]
    assert profile.fields["k"].kinds == {"int": 1}


def test_a_profile_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile_module, "MAX_PATHS", 5)
    monkeypatch.setattr(profile_module, "MAX_DISTINCT", 3)
    profile = Profile()
    profile.add(one_batch([{"k": number, f"k{number}": 1} for number in range(50)]))
    assert len(profile.fields) == 5
    assert profile.more_paths
    assert profile.fields["k"].distinct == 3
    assert profile.fields["k"].values == 50


@given(st.lists(st.text(st.sampled_from(".\\ab\n"), max_size=5), min_size=1, max_size=4))
def test_a_path_is_written_and_read_without_loss(keys: list[str]) -> None:
    assert list(parse_path(format_path(keys))) == keys


@pytest.mark.parametrize(
    ("text", "keys"), [("a.b", ["a", "b"]), ("a\\.b", ["a.b"]), ("", [""]), ("a.", ["a", ""]), ("a\\", ["a\\"])]
)
def test_a_path_reads_as_people_write_it(text: str, keys: list[str]) -> None:
    assert list(parse_path(text)) == keys


@pytest.mark.parametrize(
    ("renames", "before", "after"),
    [
        ({"a": "b", "b": "a"}, {"a": 1, "b": 2}, {"b": 1, "a": 2}),
        ({"a.x": "x"}, {"a": {"x": 1}, "c": 3}, {"x": 1, "c": 3}),
        ({"a.x": "a.y"}, {"a": {"x": 1, "z": 2}}, {"a": {"y": 1, "z": 2}}),
        ({"x": "a.b.c"}, {"x": None, "a": {"z": 1}}, {"a": {"z": 1, "b": {"c": None}}}),
        ({"a\\.b": "c"}, {"a.b": 1, "a": {"b": 2}}, {"c": 1, "a": {"b": 2}}),
        ({"missing": "c"}, {"a": 1}, {"a": 1}),
    ],
)
def test_renames_move_fields_and_the_opposite_moves_them_back(
    renames: dict[str, str], before: dict[str, Any], after: dict[str, Any]
) -> None:
    kept = exact(before)
    moved = Renamer(renames, ()).apply(before, set())
    assert exact(moved) == exact(after)
    assert exact(before) == kept
    assert exact(Renamer({new: old for old, new in renames.items()}, ()).apply(moved, set())) == kept


@pytest.mark.parametrize("taken", [{"x": 1, "y": 2}, {"x": 1, "y": None}])
def test_a_rename_never_overwrites(taken: dict[str, Any]) -> None:
    with pytest.raises(RecordRejected):
        Renamer({"x": "y"}, ()).apply(taken, set())
    holders: list[dict[str, Any]] = [{"x": 1, "a": 5}, {"x": 1, "a": {}}, {"x": 1, "a": {"y": 2}}]
    for holder in holders:
        with pytest.raises(RecordRejected):
            Renamer({"x": "a.y"}, ()).apply(holder, set())


COLUMNS = Limits(
    metadata=replace(WIDEST.metadata, dynamic=False),
    declared={
        "s": ("string", True, None),
        "f": ("float32", True, None),
        "d": ("float64", True, None),
        "i": ("int8", True, None),
        "must": ("bool", False, None),
        "l": ("list", True, "int16"),
    },
)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"s": "x", "f": 0.5, "d": 0.1, "i": -128, "l": [1, 2]}, None),
        ({"s": None}, None),
        ({"s": 1}, "field_type"),
        ({"i": 128}, "field_type"),
        ({"i": True}, "field_type"),
        ({"i": 1.0}, "field_type"),
        ({"f": 0.1}, "float-precision"),
        ({"f": 1e300}, "field_type"),
        ({"d": 2**60 + 1}, "field_type"),
        ({"l": [1, "a"]}, "field_type"),
        ({"l": [70000]}, "field_type"),
        ({"must": None}, "field_missing"),
        ({"other": 1}, "field_undeclared"),
    ],
)
def test_typed_columns_take_only_what_they_hold(changes: dict[str, Any], code: str | None) -> None:
    result = Mapper(rules(limits=COLUMNS)).convert(one_batch([{"must": True, **changes}]))[0]
    assert [reject.code for reject in result.rejects] == ([code] if code else [])


def test_a_whole_number_in_a_float_column_is_a_float_there_and_an_integer_again_afterwards() -> None:
    result = Mapper(rules(limits=replace(COLUMNS, metadata=replace(COLUMNS.metadata, dynamic=True)))).convert(
        one_batch([{"must": True, "d": 3, "f": 2}])
    )[0]
    assert result.losses == {"int-type": 1}
    assert exact(result.batch.metadata[0]["d"]) == exact(3.0)
    assert exact(restore(result.batch).batch.metadata[0]) == exact({"must": True, "d": 3, "f": 2})
