"""Targets of typed columns: which column a field gets, and what becomes of values that do not fit theirs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.mapping.world import TYPED, WIDE, Collection, Moved, decide_twice, exact, migrate, one_batch, schema, spec
from vectormigrate.errors import IncompatibleSchema
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.limits import ORIGIN
from vectormigrate.mapping.plan.planner import decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.plan import Outcome
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField

F = FieldType


def collection(*rows: dict[str, Any], fields: tuple[MetadataField, ...] = ()) -> Collection:
    return Collection("one", WIDE, schema(fields=fields), {"": one_batch(list(rows))})


def columns(shape: CollectionSchema) -> dict[str, MetadataField]:
    return {item.name: item for item in shape.fields}


def stored(moved: Moved) -> list[dict[str, Any]]:
    """What stands in the target's columns, without our own."""
    batch = moved.target.store[""]
    return [{key: value for key, value in item.items() if not key.startswith("_vm_")} for item in batch.metadata]


def comes_home(source: Collection) -> Moved:
    there = migrate(source, "two", TYPED)
    assert not there.rejects
    back = migrate(there.target, "one", WIDE)
    assert exact(back.target.store[""].metadata) == exact(source.store[""].metadata)
    return there


@pytest.mark.parametrize(
    ("values", "kind", "element"),
    [
        ([True, False], F.BOOL, None),
        ([1, 2, None], F.INT64, None),
        ([1, 2.5], F.FLOAT64, None),
        (["a", ""], F.STRING, None),
        ([datetime(2024, 1, 1, tzinfo=UTC)], F.DATETIME, None),
        ([b"x"], F.BYTES, None),
        ([["a"], []], F.LIST, F.STRING),
        ([[1], [2]], F.LIST, F.INT64),
        ([[1], [2.5]], F.LIST, F.FLOAT64),
        ([[1, "a"]], F.STRING, None),
        ([[{"a": 1}]], F.STRING, None),
        ([2**60, 2**61, 3], F.STRING, None),
        ([2**60, 2, 3], F.INT64, None),
        (["a", "b", 1], F.STRING, None),
        ([1, 2, "a"], F.INT64, None),
    ],
)
def test_a_field_gets_the_column_that_suits_most_of_its_values(
    values: list[Any], kind: FieldType, element: FieldType | None
) -> None:
    there = comes_home(collection(*({"k": value} for value in values)))
    column = columns(there.target.schema)["k"]
    assert (column.type, column.element, column.declared, column.indexed) == (kind, element, True, True)
    assert not there.target.schema.dynamic


@pytest.mark.parametrize(
    ("ordinary", "odd", "held", "loss"),
    [
        (1, "text", None, "field-type"),
        (1.5, 2, 2.0, "int-type"),
        (1.5, 2**60 + 1, float(2**60), "rounded-values"),
        (1.5, float("nan"), None, "field-type"),
        ("a", 5, "5", "int-type"),
        ("a", [1, "x"], '[1,"x"]', "list-values"),
        ("a", True, "true", "bool-type"),
        (["a"], "b", ["b"], "field-type"),
        (["a"], {"x": 1}, None, "nested-objects"),
        (True, 1, None, "field-type"),
        ("a", None, None, "null-values"),
    ],
)
def test_a_value_of_another_type_comes_close_or_stays_in_the_sidecar(
    ordinary: Any, odd: Any, held: Any, loss: str
) -> None:
    there = comes_home(collection({"k": ordinary}, {"k": ordinary}, {"k": ordinary}, {"k": odd}))
    assert exact(stored(there)[3].get("k")) == exact(held)
    named = {item.name: item for item in there.decision.losses}
    assert named[loss].outcome is Outcome.REVERSIBLE
    assert named[loss].count == 1


def test_dates_places_and_uuids_go_into_columns_of_their_own() -> None:
    fields = (
        MetadataField(name="when", type=F.DATETIME, indexed=True),
        MetadataField(name="where", type=F.GEO, indexed=True),
        MetadataField(name="who", type=F.UUID, indexed=True),
    )
    rows: list[dict[str, Any]] = [
        {"when": "2024-01-02T03:04:05.678+02:00", "where": {"lon": 1.5, "lat": -2.25}, "who": "A" * 8 + "-0000" * 3},
        {"when": "2024-01-02", "where": {"lon": 0.1, "lat": 1}, "who": "00000000-0000-0000-0000-00000000000A"},
        {"when": "2024-01-02T03:04:05.123456789Z"},
        {"when": "soon", "where": {"lon": 1.0}, "who": "nobody"},
    ]
    there = comes_home(collection(*rows, fields=fields))
    kinds = {name: item.type for name, item in columns(there.target.schema).items() if not name.startswith("_vm_")}
    assert kinds == {"when": F.DATETIME, "where": F.GEO, "who": F.UUID}
    first, second, fine, third = stored(there)
    assert first["when"] == datetime(2024, 1, 2, 3, 4, 5, 678000, timezone(timedelta(hours=2)))
    assert first["where"] == {"lon": 1.5, "lat": -2.25}
    assert second["when"] == datetime(2024, 1, 2, tzinfo=UTC)
    assert second["where"]["lon"] == pytest.approx(0.1)
    assert second["who"] == "00000000-0000-0000-0000-00000000000a"
    assert fine == {"when": "2024-01-02T03:04:05.123456789Z"}
    assert third == {}


def test_names_that_differ_only_in_case_and_flattened_objects_get_columns_of_their_own() -> None:
    there = comes_home(collection({"key": 1, "kEY": "x", "a": {"b": 2}, "a.b": "y"}, {"key": 3}))
    names = [name for name in columns(there.target.schema) if not name.startswith("_vm_")]
    assert len(names) == len({name.casefold() for name in names}) == 4
    assert "kEY" in names
    assert sum(name.startswith("a_b") for name in names) == 2


def test_a_field_that_the_plan_did_not_see_is_kept_in_the_sidecar() -> None:
    source = collection({"known": 1})
    decision = decide_twice(source, "two", TYPED)[0]
    (part,) = Mapper(decision.rules).convert(one_batch([{"known": 1, "new": [1, {"x": None}]}]))
    assert part.batch.metadata[0].keys() == {"known", ORIGIN, "_vm_id"}
    moved = Collection("two", TYPED, decision.target_schema, {"": part.batch})
    back = migrate(moved, "one", WIDE)
    assert back.target.store[""].metadata == [{"known": 1, "new": [1, {"x": None}]}]


def test_without_a_sidecar_a_value_of_another_type_is_a_loss_to_accept() -> None:
    source = collection({"k": 1}, {"k": 2}, {"k": "text"})
    refused = migrate(source, "two", TYPED, plain=True, accepted_losses=("id-original",))
    assert [reject.code for reject in refused.rejects] == ["field-type"]
    taken = migrate(source, "two", TYPED, plain=True, accepted_losses=("id-original", "field-type"))
    assert stored(taken) == [{"k": 1}, {"k": 2}, {}]
    assert ORIGIN not in columns(taken.target.schema)


def test_an_existing_collection_without_room_for_the_sidecar_is_refused_with_the_way_out() -> None:
    source = collection({"k": 1})
    made = decide_twice(source, "two", TYPED)[0].target_schema
    roomless = replace(made, note=None, fields=tuple(item for item in made.fields if item.name != ORIGIN))
    profile = Profile()
    profile.add(source.store[""])
    common: dict[str, Any] = {
        "spec": spec(into_existing=True),
        "source_schema": source.schema,
        "source_adapter": "one",
        "source_caps": WIDE,
        "target_adapter": "two",
        "target_caps": TYPED,
        "namespaces": {"": 1},
        "profile": profile,
    }
    with pytest.raises(IncompatibleSchema, match=r"_vm_origin.*request\.plain=True"):
        decide(**common, existing=roomless)
    decide(**common, existing=made)


def test_a_collection_is_made_with_namespaces_only_when_it_needs_them() -> None:
    one = collection({"k": 1})
    assert not decide_twice(one, "two", TYPED)[0].target_schema.divided
    two = replace(one, store={"": one_batch([{}]), "b": one_batch([{}], namespace="b")})
    there = migrate(two, "two", TYPED)
    assert there.target.schema.divided
    assert "" not in there.target.store
    assert migrate(there.target, "one", WIDE).target.store.keys() == {"", "b"}
