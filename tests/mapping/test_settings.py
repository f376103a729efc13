"""What a collection has beyond vectors, fields and records is carried or named: on the way out, on, and home."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.mapping.world import COSINE_JSON, WIDE, Collection, decide_twice, migrate, one_batch, schema, spec
from vectormigrate.adapter import Capabilities
from vectormigrate.mapping.plan.planner import Decision, decide
from vectormigrate.model.note import OriginNote
from vectormigrate.model.plan import Outcome
from vectormigrate.model.schema import CollectionSchema, Setting, Weight

SETTINGS = tuple(Setting(name=f"{weight}-x", weight=weight, detail=f"has {weight}") for weight in Weight)
CARRIES_ALL = WIDE.changed(collection={"settings": frozenset(item.name for item in SETTINGS)})
LOST = {f"{weight}:{weight}-x" for weight in Weight} - {"notice:notice-x"}
HARD = LOST - {"setting:setting-x"}


def source(*settings: Setting, adapter: str = "one", caps: Capabilities = WIDE) -> Collection:
    return Collection(adapter, caps, schema(settings=settings or SETTINGS), {"": one_batch([{"a": 1}])})


def outcomes(decision: Decision) -> dict[str, Outcome]:
    return {loss.name: loss.outcome for loss in decision.losses}


def test_another_kind_of_database_has_none_of_them() -> None:
    found, _ = decide_twice(source(), "two", CARRIES_ALL)
    assert outcomes(found) == {name: Outcome.LOSSY if name in HARD else Outcome.REVERSIBLE for name in LOST}
    assert "has notice" in found.warnings


def test_the_same_kind_has_what_it_can_carry() -> None:
    found, _ = decide_twice(
        source(), "one", WIDE.changed(collection={"settings": CARRIES_ALL.collection.settings - {"safety-x"}})
    )
    assert outcomes(found) == {"safety:safety-x": Outcome.LOSSY}
    assert found.warnings == ()
    assert outcomes(decide_twice(source(), "one", WIDE)[0]).keys() == LOST


def test_a_part_after_a_colon_says_what_a_setting_concerns() -> None:
    item = Setting(name="idf:words", weight=Weight.BEHAVIOUR, detail="weighs words")
    assert (
        outcomes(decide_twice(source(item), "one", WIDE.changed(collection={"settings": frozenset({"idf"})}))[0]) == {}
    )
    assert outcomes(decide_twice(source(item), "two", WIDE)[0]) == {"behaviour:idf:words": Outcome.LOSSY}


def test_another_adapter_of_the_same_engine_carries_them_too() -> None:
    sibling = CARRIES_ALL.changed(collection={"settings_from": frozenset({"one"})})
    assert outcomes(decide_twice(source(), "two", sibling)[0]) == {}
    assert outcomes(decide_twice(source(adapter="three"), "two", sibling)[0]).keys() == LOST


@pytest.mark.parametrize("stations", [1, 2])
def test_the_way_home_tells_what_the_origin_had(stations: int) -> None:
    """Also over two other databases, none of which shows any of it."""
    there = source()
    for number in range(stations):
        there = migrate(there, f"far{number}", COSINE_JSON).target
        assert there.schema.settings == ()
    caps = WIDE.changed(collection={"settings": frozenset({"setting-x", "safety-x"})})
    home, _ = decide_twice(there, "one", caps)
    assert outcomes(home) == dict.fromkeys(LOST - {"setting:setting-x", "safety:safety-x"}, Outcome.LOSSY)
    assert "has notice" in home.warnings
    onward, _ = decide_twice(there, "three", WIDE)
    assert outcomes(onward).keys() >= HARD


def test_what_a_new_collection_gets_unasked_is_said_unless_the_origin_chose() -> None:
    caps = WIDE.changed(collection={"defaults": ("made in a far country",)})
    there = source()
    assert "made in a far country" in decide_twice(there, "two", caps)[0].warnings
    chosen = replace(there, schema=replace(there.schema, extras={"one": {"place": "here"}}))
    assert "made in a far country" not in decide_twice(chosen, "one", caps)[0].warnings
    home = migrate(chosen, "far", WIDE).target
    assert "made in a far country" not in decide_twice(home, "one", caps)[0].warnings


def test_what_a_database_on_the_way_does_to_records_answers_and_safety_counts_too() -> None:
    there = migrate(source(Setting(name="a", weight=Weight.SETTING, detail="a")), "far", WIDE).target
    own = tuple(replace(item, name=f"far-{item.weight}") for item in SETTINGS)
    there = replace(there, schema=replace(there.schema, settings=own))
    home, _ = decide_twice(there, "one", WIDE.changed(collection={"settings": frozenset({"a"})}))
    assert outcomes(home) == {f"{weight}:far-{weight}": Outcome.LOSSY for weight in ("safety", "behaviour", "records")}


def test_an_existing_collection_must_have_what_protects_or_changes_answers() -> None:
    there = source()

    def into(existing: CollectionSchema) -> dict[str, Outcome]:
        decision = decide(
            spec=spec(),
            source_schema=there.schema,
            source_adapter="one",
            source_caps=WIDE,
            target_adapter="one",
            target_caps=CARRIES_ALL,
            namespaces={"": 1, "nobody": 0},
            existing=existing,
        )
        return outcomes(decision)

    assert into(schema()) == dict.fromkeys(HARD, Outcome.LOSSY)
    assert into(schema(settings=SETTINGS)) == {}


def test_they_survive_json_and_older_notes_are_read() -> None:
    shape = schema(settings=SETTINGS)
    assert CollectionSchema.from_json(json.loads(json.dumps(shape.to_json()))) == shape
    old = shape.to_json()
    del old["settings"]
    note = OriginNote.from_json({"version": 1, "adapter": "one", "migration_id": "m", "schema": old})
    assert note is not None
    assert note.schema == replace(shape, settings=())


def test_without_a_note_even_a_setting_is_a_loss_to_accept() -> None:
    found, _ = decide_twice(source(), "two", WIDE, plain=True)
    assert set(outcomes(found).values()) == {Outcome.LOSSY}


def with_empty(*names: str) -> Collection:
    store = {"full": one_batch([{"a": 1}], namespace="full")}
    return Collection("one", WIDE, schema(), {**store, **{name: one_batch([], namespace=name) for name in names}})


def only_full(found: Collection) -> Collection:
    """As a database without empty namespaces shows it."""
    return replace(found, store={name: batch for name, batch in found.store.items() if len(batch)})


def test_namespaces_without_records_are_made_where_there_are_such_and_come_home() -> None:
    holds = WIDE.changed(namespaces={"empty": True})
    found, _ = decide_twice(with_empty("b", "a"), "two", holds)
    assert found.target_schema.namespaces == ("a", "b")
    assert outcomes(found) == {}
    there = migrate(with_empty("b", "a"), "far", WIDE)
    there = replace(there, target=only_full(there.target))
    assert there.decision.target_schema.namespaces == ()
    assert outcomes(there.decision) == {"setting:empty-namespaces": Outcome.REVERSIBLE}
    assert "'a', 'b'" in next(loss.detail for loss in there.decision.losses)
    home, _ = decide_twice(there.target, "one", holds)
    assert home.target_schema.namespaces == ("a", "b")
    onward = only_full(migrate(there.target, "farther", WIDE).target)
    assert decide_twice(onward, "one", holds)[0].target_schema.namespaces == ("a", "b")


def test_empty_namespaces_that_the_target_cannot_have_are_named() -> None:
    there = only_full(migrate(with_empty("a", "b c"), "far", WIDE).target)
    narrow = WIDE.changed(namespaces={"empty": True, "names": r"[a-z]*"})
    found, _ = decide_twice(there, "two", narrow)
    assert found.target_schema.namespaces == ("a",)
    assert [loss.detail for loss in found.losses if "empty" in loss.name] == [
        "1 namespaces hold no record ('b c') and are not made"
    ]
    merged, _ = decide_twice(with_empty("a", "b"), "two", narrow.changed(namespaces={"max_count": 1}))
    assert merged.target_schema.namespaces == ()
    assert "setting:empty-namespaces" in outcomes(merged)


def test_a_renamed_empty_namespace_goes_back_by_its_own_name_once() -> None:
    narrow = WIDE.changed(namespaces={"empty": True, "names": r"[A-Za-z0-9_-]*"})
    there = migrate(with_empty("A B"), "far", narrow).target
    (made,) = there.schema.namespaces
    assert made != "A B"
    there = replace(there, store={**there.store, made: one_batch([], namespace=made)})
    home, _ = decide_twice(there, "one", WIDE.changed(namespaces={"empty": True}))
    assert home.target_schema.namespaces == ("A B",)
    farther, _ = decide_twice(there, "farther", WIDE)
    assert "1 namespaces hold no record ('A B')" in next(loss.detail for loss in farther.losses)


def test_many_empty_namespaces_are_one_line() -> None:
    found, _ = decide_twice(with_empty(*(f"t{number:04d}" for number in range(1000))), "far", WIDE)
    (loss,) = found.losses
    assert loss.detail.startswith("1,000 namespaces hold no record ('t0000', ")
    assert len(loss.detail) < 200
