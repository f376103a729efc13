"""Every kind of metadata value, on targets that lack it: what is written, what comes back, what an edit does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.mapping.world import exact, one_batch, rules
from vectormigrate.adapter import ValueKind
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.limits import ORIGIN, Limits

ALL = frozenset(ValueKind)
WHEN = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))


def without(*kinds: ValueKind, **changes: Any) -> Limits:
    return Limits.of(metadata={"value_kinds": ALL - set(kinds), **changes})


FLAT = Limits.of(
    metadata={
        "value_kinds": frozenset({ValueKind.BOOL, ValueKind.FLOAT, ValueKind.STRING, ValueKind.LIST_OF_STRINGS}),
        "int_range": (-(2**53), 2**53),
    },
)


def mapped(metadata: dict[str, Any], limits: Limits, **changes: Any) -> Mapped:
    return Mapper(rules(limits=limits, **changes)).convert(one_batch([metadata]))[0]


def written(result: Mapped) -> dict[str, Any]:
    assert not result.rejects
    return {key: value for key, value in result.batch.metadata[0].items() if key != ORIGIN}


TABLE: list[tuple[str, Limits, Any, Any, str | None]] = [
    ("null is left out", without(ValueKind.NULL), None, "ABSENT", "null-values"),
    ("null is kept where it is legal", Limits(), None, None, None),
    ("null in an object is left out", without(ValueKind.NULL), {"x": None, "y": 1}, {"y": 1}, "null-values"),
    ("null in a list makes it JSON text", without(ValueKind.NULL), [1, None], "[1,null]", "list-values"),
    ("bool becomes text", without(ValueKind.BOOL), True, "true", "bool-type"),
    ("int in range is kept", Limits.of(metadata={"int_range": (-5, 5)}), 5, 5, None),
    ("int out of range becomes text", Limits.of(metadata={"int_range": (-5, 5)}), 6, "6", "int-precision"),
    ("int below range becomes text", Limits.of(metadata={"int_range": (-5, 5)}), -6, "-6", "int-precision"),
    ("int becomes an exact float", without(ValueKind.INT), 7, 7.0, "int-type"),
    ("int that no float holds becomes text", without(ValueKind.INT), 2**53 + 1, str(2**53 + 1), "int-precision"),
    ("int becomes text without numbers", without(ValueKind.INT, ValueKind.FLOAT), 7, "7", "int-type"),
    ("float stays a float", Limits(), 1.0, 1.0, None),
    ("float becomes text", without(ValueKind.FLOAT), 1.0, "1.0", "float-type"),
    ("NaN becomes text", without(ValueKind.NONFINITE), float("nan"), "NaN", "nonfinite-values"),
    ("infinity becomes text", without(ValueKind.NONFINITE), float("inf"), "Infinity", "nonfinite-values"),
    ("minus infinity becomes text", without(ValueKind.NONFINITE), float("-inf"), "-Infinity", "nonfinite-values"),
    ("bytes become base64", without(ValueKind.BYTES), b"\x00\xff", "AP8=", "bytes-type"),
    (
        "datetime becomes RFC 3339",
        without(ValueKind.DATETIME),
        WHEN,
        "2024-02-29T23:59:59.123456+05:30",
        "datetime-type",
    ),
    (
        "UTC is written as an offset",
        without(ValueKind.DATETIME),
        datetime(2024, 1, 1, tzinfo=UTC),
        "2024-01-01T00:00:00+00:00",
        "datetime-type",
    ),
    ("a list of strings is kept", FLAT, ["a", "b"], ["a", "b"], None),
    ("an empty list is kept", FLAT, [], [], None),
    ("a list of numbers becomes JSON text", FLAT, [1, 1.0], "[1,1.0]", "list-values"),
    ("a list with an object becomes JSON text", without(ValueKind.OBJECT), [{"a": 1}], '[{"a":1}]', "list-values"),
    ("a nested list becomes JSON text", FLAT, [[b"\x00"], float("nan")], '[["AA=="],"NaN"]', "list-values"),
    ("values in a list are encoded in place", without(ValueKind.BYTES), [1, b"\x00"], [1, "AA=="], "bytes-type"),
]


@pytest.mark.parametrize(
    ("limits", "value", "expected", "effect"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_a_value_is_written_as_the_table_says_and_comes_back_exactly(
    limits: Limits, value: Any, expected: Any, effect: str | None
) -> None:
    result = mapped({"k": value}, limits)
    assert exact(written(result)) == exact({} if expected == "ABSENT" else {"k": expected})
    assert set(result.losses) == ({effect} if effect else set())
    assert (ORIGIN in result.batch.metadata[0]) == (effect is not None)
    assert exact(restore(result.batch).batch.metadata[0]) == exact({"k": value})


def test_objects_become_flat_keys_with_a_dot_path() -> None:
    original = {"a": {"b": 1.5, "c": {"d": "x", "e": {}}}, "f": {}}
    result = mapped(original, FLAT)
    assert written(result) == {"a.b": 1.5, "a.c.d": "x"}
    assert set(result.losses) == {"nested-objects"}
    assert restore(result.batch).batch.metadata[0] == original


def test_flattening_never_merges_two_fields() -> None:
    original = {"a": {"b.c": "dotted", "b": {"c": "deep"}}, "a.b": "outer", "a.b.c": "outer deep"}
    result = mapped(original, FLAT)
    assert sorted(written(result).values()) == ["deep", "dotted", "outer", "outer deep"]
    assert (written(result)["a.b"], written(result)["a.b.c"]) == ("outer", "outer deep")
    assert restore(result.batch).batch.metadata[0] == original


@pytest.mark.parametrize("key", ["$x", "", "with space", "é", "_vm_origin", "_vm_id", "_vm_namespace", "id", "x" * 300])
def test_an_illegal_key_gets_a_legal_name_and_comes_back(key: str) -> None:
    limits = Limits.of(
        metadata={
            "names": r"[_a-z][_0-9A-Za-z]{0,99}",
            "reserved": frozenset({"id", "_vm_origin", "_vm_id", "_vm_namespace"}),
        }
    )
    result = mapped({key: "v", "fine": 1}, limits)
    names = written(result).keys() - {"fine"}
    assert len(names) == 1
    assert set(result.losses) == {"field-names"}
    assert restore(result.batch).batch.metadata[0] == {key: "v", "fine": 1}


def test_different_illegal_keys_get_different_names() -> None:
    limits = Limits.of(metadata={"names": r"[a-z][0-9a-z_]{0,30}"})
    keys = ["a b", "a-b", "a.b", "a$b", "A b", "$", "-", "", "é", "è"]
    result = mapped({key: position for position, key in enumerate(keys)}, limits)
    assert len(written(result)) == len(keys)
    taken = next(iter(written(mapped({"a b": 1}, limits))))
    both = mapped({"a b": 1, taken: 2}, limits)
    assert written(both)[taken] == 2
    assert restore(both.batch).batch.metadata[0] == {"a b": 1, taken: 2}


@pytest.mark.parametrize(
    ("limits", "original", "key", "edit"),
    [
        (without(ValueKind.DATETIME), {"k": WHEN}, "k", "tomorrow"),
        (without(ValueKind.BYTES), {"k": b"\x00"}, "k", "AQ=="),
        (without(ValueKind.INT), {"k": 7}, "k", 8.0),
        (Limits.of(metadata={"int_range": (0, 5)}), {"k": 6}, "k", "7"),
        (without(ValueKind.NULL), {"k": None}, "k", "set now"),
        (FLAT, {"k": [1]}, "k", "[2]"),
        (FLAT, {"k": [1]}, "k", "not json"),
        (without(ValueKind.DATETIME), {"k": WHEN}, "k", {"an": "object"}),
        (without(ValueKind.DATETIME), {"k": WHEN}, "k", 10**400),
    ],
)
def test_a_value_that_was_edited_since_stays_as_it_is(
    limits: Limits, original: dict[str, Any], key: str, edit: Any
) -> None:
    batch = mapped(original, limits).batch
    edited = replace(batch, metadata=[{**batch.metadata[0], key: edit}])
    assert exact(restore(edited).batch.metadata[0]) == exact({key: edit})


def test_an_edit_of_one_flat_key_keeps_the_object_and_the_other_types() -> None:
    batch = mapped({"a": {"b": 1, "c": 2}}, FLAT).batch
    edited = replace(batch, metadata=[{**batch.metadata[0], "a.b": "edited", "a.new": "x"}])
    assert exact(restore(edited).batch.metadata[0]) == exact({"a": {"b": "edited", "c": 2}, "a.new": "x"})


def test_a_flat_key_that_was_removed_since_stays_away() -> None:
    batch = mapped({"a": {"b": 1, "c": 2}}, FLAT).batch
    edited = {key: value for key, value in batch.metadata[0].items() if key != "a.b"}
    assert restore(replace(batch, metadata=[edited])).batch.metadata[0] == {"a": {"c": 2}}


BROKEN = [
    "",
    "x",
    "{}",
    '{"v":1',
    '{"v":2,"id":"s:x"}',
    '{"v":1,"m":5}',
    '{"v":1,"m":[["t"]]}',
    '{"v":1,"id":7}',
    '{"v":1,"id":"u:no"}',
    '{"v":1,"m":[["?",["a",0],1]]}',
    '{"v":1,"m":[["t",["k",[]],1]]}',
    '{"v":1,"m":[["t",[[]],1]]}',
    '{"v":1,"m":[["j","k"]]}',
    '{"v":1,"m":[["j","k",1,5]]}',
    '{"v":1,"k":{"k":["x"]},"o":{}}',
    '{"v":1,"o":{"k":[]}}',
    '{"v":1,"x":{"v":["a"]}}',
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_sidecar_never_raises_and_never_changes_a_value(text: str) -> None:
    batch = one_batch([{"k": "v", ORIGIN: text}])
    assert restore(batch).batch.metadata[0]["k"] == "v"


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"k": "\ud800"}, "unicode"),
        ({"k": ["\ud800"]}, "unicode"),
        ({"k": {"\udfff": 1}}, "unicode"),
        ({"\ud800": 1}, "unicode"),
        ({"k": {1, 2}}, "value_type"),
        ({"k": {5: 1}}, "value_type"),
        ({"k": 10**5000}, "value_type"),
    ],
)
def test_what_has_no_encoding_is_a_reject(metadata: dict[str, Any], code: str) -> None:
    for limits in (Limits(), FLAT):
        assert [reject.code for reject in mapped(metadata, limits).rejects] == [code]


def test_nesting_is_bounded() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = {"a": deep}
    wide: Any = 1
    for _ in range(3000):
        wide = [wide]
    for limits in (Limits(), FLAT):
        for metadata in ({"k": deep}, {"k": wide}):
            assert [reject.code for reject in mapped(metadata, limits).rejects] == ["depth"]
    fine: Any = None
    for level in range(90):
        fine = [fine] if level % 2 else {"a": fine}
    for limits in (Limits(), FLAT):
        assert restore(mapped({"k": fine}, limits).batch).batch.metadata[0] == {"k": fine}


def test_a_record_larger_than_the_target_takes_is_a_reject() -> None:
    limits = Limits.of(metadata={"max_bytes": 20})
    assert not mapped({"k": "x" * 10}, limits).rejects
    assert [reject.code for reject in mapped({"k": "x" * 20}, limits).rejects] == ["size"]


def test_the_input_is_never_changed() -> None:
    original = {"a": {"b": [None, b"x"], "c": WHEN}, "$k": {"n": None}}
    before = exact(original)
    batch = mapped(original, FLAT, renames={"a.c": "c"}).batch
    assert exact(original) == before
    kept = exact(batch.metadata[0])
    restore(batch)
    assert exact(batch.metadata[0]) == kept


def test_the_sidecar_is_json_text_and_only_where_it_is_needed() -> None:
    result = Mapper(rules(limits=FLAT)).convert(one_batch([{"a": "x"}, {"a": 1}]))[0]
    assert ORIGIN not in result.batch.metadata[0]
    assert json.loads(str(result.batch.metadata[1][ORIGIN]))["v"] == 1


def test_whole_numbers_that_a_json_store_returns_as_integers_are_still_recognised() -> None:
    batch = mapped({"k": 7}, FLAT).batch
    returned = replace(batch, metadata=[{**batch.metadata[0], "k": 7}])
    assert exact(restore(returned).batch.metadata[0]) == exact({"k": 7})
