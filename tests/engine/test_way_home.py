"""The check of the way home sees what an encoding loses, and nothing where it loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.mapping.world import (
    COSINE_JSON,
    FLAT,
    STRING_IDS,
    TYPED,
    WIDE,
    Collection,
    decide_twice,
    one_batch,
    rules,
    schema,
)
from vectormigrate.engine.round_trip import lost_on_the_round_trip
from vectormigrate.mapping.convert.mapper import Mapped, Mapper
from vectormigrate.model.batch import Metadata
from vectormigrate.model.ids import IdKind

RECORD: Metadata = {
    "text": "x",
    "_vm_id": "mine",
    "none": None,
    "a": {"b": {"c": 1, "d": None}},
    "list": [1, {"k": b"\x00"}, None],
    "when": datetime(2024, 1, 1, tzinfo=UTC),
    "big": 2**60 + 1,
    "whole": 1.0,
}
WAYS = {"typed": TYPED, "flat": FLAT, "cosine-json": COSINE_JSON, "string-ids": STRING_IDS}


def moved(way: str) -> tuple[Collection, Mapped, Any]:
    batch = one_batch([RECORD, {"text": "y", "_vm_id": "mine"}], [7, "x"], "n ü")
    source = Collection("one", WIDE, schema(vectors=(), id_kinds=frozenset(IdKind)), {"n ü": batch})
    decision, _ = decide_twice(source, "two", WAYS[way])
    (part,) = Mapper(decision.rules).convert(batch)
    return source, part, decision.rules


def sidecar_of(row: Metadata, **changes: Any) -> str:
    found = json.loads(str(row["_vm_origin"]))
    return json.dumps({"v": 1, **{key: value for key, value in (found | changes).items() if value is not None}})


def without(row: Metadata, *keys: str) -> Metadata:
    return {key: value for key, value in row.items() if key not in keys}


DAMAGES: dict[str, tuple[Callable[[Metadata], Metadata], str]] = {
    "a field gone": (lambda row: without(row, "text"), "text"),
    "a field too many": (lambda row: {**row, "more": 1}, "more"),
    "another value": (lambda row: {**row, "text": "y"}, "text"),
    "the sidecar gone": (lambda row: without(row, "_vm_origin"), "(id)"),
    "another id in the sidecar": (lambda row: {**row, "_vm_origin": sidecar_of(row, id="i:8")}, "(id)"),
    "the id's text for a number": (lambda row: {**row, "_vm_origin": sidecar_of(row, id="s:7")}, "(id)"),
    "another namespace": (lambda row: {**row, "_vm_origin": sidecar_of(row, ns="other")}, "(namespace)"),
    "no note of a null": (lambda row: {**row, "_vm_origin": sidecar_of(row, m=None)}, "none"),
    "no notes of names": (lambda row: {**row, "_vm_origin": sidecar_of(row, k=None, m=None)}, "_vm_id"),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_found_where_nothing_is_lost(way: str) -> None:
    source, part, the_rules = moved(way)
    assert not part.rejects
    assert lost_on_the_round_trip(source.store["n ü"], part, the_rules) == []


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_an_encoding_loses_is_found_with_its_name(damage: str) -> None:
    source, part, the_rules = moved("typed")
    change, name = DAMAGES[damage]
    rows = [change(part.batch.metadata[0]), part.batch.metadata[1]]
    damaged = replace(part, batch=replace(part.batch, metadata=rows))
    (lost,) = lost_on_the_round_trip(source.store["n ü"], damaged, the_rules)
    assert lost.row == 0
    assert name in lost.fields


def test_two_records_that_change_places_are_found() -> None:
    source, part, the_rules = moved("flat")
    swapped = replace(part, batch=replace(part.batch, metadata=part.batch.metadata[::-1]))
    assert {row for row, _ in lost_on_the_round_trip(source.store["n ü"], swapped, the_rules)} == {0, 1}


def test_an_id_that_changes_without_a_note_is_found() -> None:
    batch = one_batch([{"k": 1}], [UUID(int=7)])
    (part,) = Mapper(rules()).convert(batch)
    for other in (UUID(int=8), str(UUID(int=7))):
        wrong = replace(part, batch=replace(part.batch, ids=[other]))
        assert [fields for _, fields in lost_on_the_round_trip(batch, wrong, rules())] == [("(id)",)]


def test_a_plain_copy_without_a_named_loss_has_the_same_fields() -> None:
    batch = one_batch([{"k": 1}])
    plain = rules(sidecar=False)
    (part,) = Mapper(plain).convert(batch)
    assert lost_on_the_round_trip(batch, part, plain) == []
    wrong = replace(part, batch=replace(part.batch, metadata=[{"k": 1.0}]))
    assert [fields for _, fields in lost_on_the_round_trip(batch, wrong, plain)] == [("k",)]
