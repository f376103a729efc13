"""What the source can filter by, the target can, or the plan names what is gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.mapping.world import COLUMNS, COSINE_JSON, FLAT, TYPED, WIDE, Collection, Moved, migrate, one_batch, schema
from vectormigrate.adapter import Capabilities
from vectormigrate.model.plan import Loss, Outcome
from vectormigrate.model.schema import FieldType, MetadataField

NO_TEXT = COLUMNS.changed(metadata={"index_types": COLUMNS.metadata.index_types - {FieldType.TEXT, FieldType.JSON}})
LIST_PATHS = COSINE_JSON.changed(metadata={"list_paths": True})
FILTERS_ALL = FLAT.changed(metadata={"filters_all": True})


def moved(
    rows: list[dict[str, Any]], *fields: MetadataField, to: Capabilities, source: Capabilities = WIDE, **changes: Any
) -> Moved:
    shape = schema(caps=source, vectors=(), fields=fields)
    return migrate(Collection("one", source, shape, {"": one_batch(rows)}), "two", to, **changes)


def losses(found: Moved) -> dict[str, Loss]:
    return {loss.name: loss for loss in found.decision.losses if loss.name.startswith("index:")}


def indexes(found: Moved) -> dict[str, FieldType]:
    return {item.name: item.type for item in found.target.schema.fields if item.indexed}


TEXT = MetadataField(name="body", type=FieldType.TEXT, indexed=True)


def test_full_text_search_that_the_target_lacks_is_a_named_loss() -> None:
    found = moved([{"body": "some words"}], TEXT, to=NO_TEXT)
    assert losses(found)["index:body"].outcome is Outcome.LOSSY
    assert indexes(found) == {"body": FieldType.STRING}
    assert losses(moved([{"body": "some words"}], TEXT, to=COSINE_JSON)) == {}
    assert losses(moved([{"body": "some words"}], TEXT, to=TYPED)) == {}
    no_column = TYPED.changed(metadata={"column_types": TYPED.metadata.column_types - {FieldType.TEXT}})
    assert losses(moved([{"body": "some words"}], TEXT, to=no_column)).keys() == {"index:body"}


@pytest.mark.parametrize(
    "to", [NO_TEXT, TYPED.changed(metadata={"column_types": NO_TEXT.metadata.index_types})], ids=["columns", "typed"]
)
def test_a_field_that_nobody_filters_by_or_that_stays_behind_loses_no_filter(to: Capabilities) -> None:
    rows = [{"body": "some words"}]
    assert losses(moved(rows, replace(TEXT, indexed=False), to=to)) == {}
    assert losses(moved(rows, replace(TEXT, indexed=False, declared=True), to=to)) == {}
    assert losses(moved(rows, TEXT, to=to, excludes=("body",))) == {}


@pytest.mark.parametrize("to", [TYPED, COLUMNS, FLAT], ids=["typed", "columns", "flat"])
def test_an_index_into_a_list_of_objects_is_a_named_loss_and_no_empty_column(to: Capabilities) -> None:
    inside = MetadataField(name="arr[].k", type=FieldType.STRING, indexed=True)
    found = moved([{"arr": [{"k": "x"}]}], inside, to=to)
    assert losses(found).keys() == {"index:arr[].k"}
    assert not [name for name in indexes(found) if "k" in name]


def test_an_index_into_a_list_of_objects_goes_where_there_are_such() -> None:
    inside = MetadataField(name="arr[].k", type=FieldType.STRING, indexed=True)
    found = moved([{"arr": [{"k": "x"}]}], inside, to=LIST_PATHS)
    assert losses(found) == {}
    assert indexes(found)["arr[].k"] is FieldType.STRING


YEAR = MetadataField(name="n", type=FieldType.INT64, indexed=True)


@pytest.mark.parametrize("to", [TYPED, FLAT], ids=["typed", "flat"])
@pytest.mark.parametrize(("number", "lost"), [(2**53, False), (2**53 + 1, True), (-(2**53) - 1, True)])
def test_numbers_that_become_text_lose_their_ranges_by_name(to: Capabilities, number: int, lost: bool) -> None:
    found = moved([{"n": 1}, {"n": number}], YEAR, to=to)
    assert ("index:n" in losses(found)) == lost
    assert [loss.count for loss in losses(found).values()] == [1] * lost
    assert losses(moved([{"n": 1}, {"n": number}], replace(YEAR, indexed=False), to=FLAT)) == {}


def test_what_a_source_filters_by_without_listing_it_is_indexed_on_the_target() -> None:
    rows = [{"year": 1999, "title": "a", "score": 0.5, "on": True, "tags": ["x"]}, {"year": 2001, "score": 1}]
    found = moved(rows, to=COSINE_JSON, source=FILTERS_ALL)
    assert indexes(found) == {
        "year": FieldType.INT64,
        "title": FieldType.STRING,
        "score": FieldType.FLOAT64,
        "on": FieldType.BOOL,
        "tags": FieldType.LIST,
        "_vm_id": FieldType.STRING,
    }
    assert losses(found) == {}
    (tags,) = [item for item in found.target.schema.fields if item.name == "tags"]
    assert tags.element is FieldType.STRING
    assert indexes(moved(rows, to=COSINE_JSON, source=FLAT)).keys() == {"_vm_id"}


def test_filters_of_a_database_on_the_way_count_when_it_is_left_but_not_at_home() -> None:
    there = moved([{"year": 1999}], to=FILTERS_ALL).target
    onward = migrate(there, "three", COSINE_JSON).target
    assert {item.name for item in onward.schema.fields if item.indexed} == {"year", "_vm_id"}
    assert migrate(there, "one", WIDE).target.schema.fields == ()


@pytest.mark.parametrize("to", [TYPED, FLAT], ids=["typed", "flat"])
def test_numbers_that_a_source_filters_by_without_listing_them_lose_their_ranges_by_name(to: Capabilities) -> None:
    wide = FILTERS_ALL.changed(metadata={"int_range": WIDE.metadata.int_range})
    assert losses(moved([{"n": 2**60}], to=to, source=wide)).keys() == {"index:n"}


def test_a_field_whose_name_is_no_index_path_is_told() -> None:
    rows = [{"a b": 1, "c.d": 2, "e": 3}]
    found = moved(rows, to=COSINE_JSON, source=FILTERS_ALL)
    assert indexes(found).keys() == {"e", "_vm_id"}
    (warning,) = [text for text in found.decision.warnings if "no index" in text]
    assert not [
        text for text in moved(rows, to=FILTERS_ALL, source=FILTERS_ALL).decision.warnings if "no index" in text
    ]
    assert "'a b'" in warning
    assert "c" in warning


def test_a_listed_field_without_a_type_gets_the_index_that_its_values_need() -> None:
    listed = [MetadataField(name=name, type=FieldType.STRING, indexed=True) for name in ("year", "title", "tags", "no")]
    rows = [{"year": 1999, "title": "a", "tags": ["x"]}, {"title": 5, "year": 2001}, {"title": 6}]
    found = indexes(moved(rows, *listed, to=COSINE_JSON, source=FLAT))
    assert found.pop("_vm_id")
    assert found == {
        "year": FieldType.INT64,
        "title": FieldType.STRING,
        "tags": FieldType.LIST,
        "no": FieldType.STRING,
    }


def test_an_excluded_field_is_not_indexed() -> None:
    assert indexes(moved([{"a": 1, "b": 2}], to=COSINE_JSON, source=FILTERS_ALL, excludes=("a",))).keys() == {
        "b",
        "_vm_id",
    }
