"""Ids and namespaces: injective, restored with their types, and refused where they cannot go."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.mapping.world import (
    COLUMNS,
    COSINE_JSON,
    FLAT,
    STRING_IDS,
    TYPED,
    WIDE,
    Collection,
    decide_twice,
    exact,
    migrate,
    one_batch,
    records,
    rules,
    schema,
)
from vectormigrate.adapter import Capabilities
from vectormigrate.errors import IncompatibleSchema
from vectormigrate.mapping.convert.ids import derive, salt_uuid
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.convert.namespaces import namespace_map
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.limits import ORIGIN, ORIGIN_ID, Limits
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import IdKind, RecordId, id_key
from vectormigrate.model.plan import MappingRules

U = uuid.UUID("12345678-1234-5678-1234-567812345678")
INTS = frozenset({IdKind.INT64})
UINTS = frozenset({IdKind.UINT64, IdKind.UUID})
STRINGS = frozenset({IdKind.STRING})


def collection(ids: dict[str, list[Any]], kinds: frozenset[IdKind], **caps: Any) -> Collection:
    store = {name: one_batch([{} for _ in held], held, name) for name, held in ids.items()}
    limits = WIDE.changed(ids={"kinds": kinds, **caps})
    return Collection("one", limits, schema(caps=limits, vectors=()), store)


CASES: list[tuple[str, dict[str, list[Any]], frozenset[IdKind], Capabilities, str, set[IdKind]]] = [
    ("strings stay strings", {"": ["7", "007", ""]}, STRINGS, STRING_IDS, "native", {IdKind.STRING}),
    ("integers stay integers", {"": [1, 2]}, INTS, COLUMNS, "native", {IdKind.INT64}),
    ("unsigned ids below 2^63 fit a signed column", {"": [1, 2]}, UINTS, COLUMNS, "native", {IdKind.INT64}),
    ("a great unsigned id makes all of them text", {"": [1, 2**63]}, UINTS, COLUMNS, "text", {IdKind.STRING}),
    ("integers and UUIDs become their text", {"": [1, U]}, UINTS, STRING_IDS, "text", {IdKind.STRING}),
    ("signed ids that are not negative fit unsigned", {"": [1, 2]}, INTS, COSINE_JSON, "native", {IdKind.UINT64}),
    ("a negative id is derived", {"": [1, -2]}, INTS, COSINE_JSON, "uuid5", {IdKind.UUID}),
    ("strings are derived for UUIDs", {"": ["a"]}, STRINGS, TYPED, "uuid5", {IdKind.UUID}),
    ("strings beside integers are derived", {"": ["7", 7]}, STRINGS | INTS, STRING_IDS, "uuid5-text", {IdKind.STRING}),
    ("one kind of id per collection", {"": ["a", 7]}, STRINGS | INTS, COLUMNS, "uuid5-text", {IdKind.STRING}),
    ("too long ids are derived", {"": ["é" * 300]}, STRINGS, FLAT, "uuid5-text", {IdKind.STRING}),
    ("an id twice, ids global", {"a": ["x"], "b": ["x"]}, STRINGS, COLUMNS, "uuid5-text", {IdKind.STRING}),
    ("an id twice, ids per namespace", {"a": ["x"], "b": ["x"]}, STRINGS, FLAT, "native", {IdKind.STRING}),
    ("merged namespaces", {"a": [7], "b": [7]}, INTS, COSINE_JSON, "uuid5", {IdKind.UUID}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ids", "kinds", "caps", "strategy", "target"), [row[1:] for row in CASES], ids=[row[0] for row in CASES]
)
def test_the_strategy_keeps_ids_where_that_is_safe(
    ids: dict[str, list[Any]], kinds: frozenset[IdKind], caps: Capabilities, strategy: str, target: set[IdKind]
) -> None:
    source = collection(ids, kinds)
    moved = migrate(source, "two", caps)
    assert not moved.rejects
    assert moved.decision.rules.id_strategy == strategy
    if strategy != "native":
        assert moved.target.schema.id_kinds >= target
        assert {"id-original", "id-type"} & {loss.name for loss in moved.decision.losses}
    assert target <= moved.target.schema.id_kinds
    assert records(migrate(moved.target, "one", source.caps).target.store) == records(source.store)


def test_ids_unique_in_the_whole_source_stay_native_where_namespaces_merge() -> None:
    source = collection({"a": [7], "b": [8]}, UINTS, per_namespace=False)
    assert migrate(source, "two", COSINE_JSON).decision.rules.id_strategy == "native"


@pytest.mark.parametrize("way", [FLAT, TYPED, STRING_IDS, WIDE], ids=["flat", "typed", "string-ids", "wide"])
@pytest.mark.parametrize("kinds", [UINTS, INTS, STRINGS], ids=["unsigned", "integers", "strings"])
def test_ids_that_count_per_namespace_do_not_meet_where_they_count_for_the_collection(
    way: Capabilities, kinds: frozenset[IdKind]
) -> None:
    ids = ["x", "y"] if kinds is STRINGS else [7, 8]
    there = migrate(collection({"a": ids, "b": ids}, kinds), "two", way).target
    narrow = WIDE.changed(ids={"kinds": kinds | {IdKind.UUID}, "per_namespace": False})
    back = migrate(there, "one", narrow)
    assert sum(map(len, back.target.store.values())) == 4
    assert back.decision.rules.id_strategy == "uuid5"
    assert "several namespaces" in next(loss.detail for loss in back.decision.losses if loss.name == "id-original")
    home = migrate(back.target, "one", WIDE)
    assert {name: home.target.store[name].ids for name in ("a", "b")} == {"a": ids, "b": ids}


@pytest.mark.parametrize("ids", [[7, 8], ["x", "y"]], ids=["integers", "strings"])
def test_partitions_with_one_key_come_home_to_an_edition_whose_ids_count_for_the_collection(ids: list[Any]) -> None:
    server = COLUMNS.changed(ids={"per_namespace": True})
    kinds = STRINGS if isinstance(ids[0], str) else INTS
    store = {name: one_batch([{}, {}], ids, name) for name in ("a", "b")}
    source = Collection("one", server, schema(caps=server, vectors=(), id_kinds=kinds), store)
    there = migrate(source, "two", COSINE_JSON).target
    back = migrate(there, "one", COLUMNS)
    assert {name: len(batch) for name, batch in back.target.store.items()} == {"a": 2, "b": 2}
    assert back.decision.rules.id_strategy == "uuid5-text"
    assert back.target.schema.id_kinds == STRINGS
    assert records(migrate(back.target, "one", server).target.store) == records(store)


def test_ids_that_do_not_meet_come_home_as_they_were_where_ids_count_for_the_collection() -> None:
    source = collection({"a": [7], "b": [8]}, UINTS, per_namespace=False)
    there = migrate(source, "two", TYPED).target
    back = migrate(there, "one", source.caps)
    assert back.decision.rules.id_strategy == "native"
    assert records(back.target.store) == records(source.store)


def test_a_namespace_keeps_its_name_when_another_has_taken_the_old_one() -> None:
    source = collection({"a b": [1], "c": [2]}, INTS)
    there = migrate(source, "two", COLUMNS).target
    (renamed,) = set(there.store) - {"c"}
    # Someone divides the collection further, under the name that the first namespace had once.
    there.store["a b"] = one_batch([{}], [9], "a b")
    there.store[renamed] = RecordBatch.concat(
        [replace(there.store[renamed], vectors={}), one_batch([{}], [9], renamed)]
    )
    back = migrate(replace(there, caps=WIDE), "one", source.caps)
    found = {name: batch.ids for name, batch in back.target.store.items()}
    assert sorted(map(int, found["a b"])) == [1, 9]  # pyright: ignore[reportArgumentType]
    assert found[renamed] == [9]


def test_only_integers_on_the_target_is_refused_for_other_ids() -> None:
    with pytest.raises(IncompatibleSchema, match="integer ids"):
        decide_twice(collection({"": ["a"]}, STRINGS), "two", WIDE.changed(ids={"kinds": INTS}))


def test_the_original_id_can_be_filtered_on_and_has_one_type() -> None:
    limits = Limits.of(ids={"kinds": frozenset({IdKind.UUID})})
    ids: list[RecordId] = [7, "7", U]
    text = Mapper(rules(id_strategy="uuid5", limits=limits)).convert(one_batch([{}, {}, {}], ids))[0].batch
    assert [item[ORIGIN_ID] for item in text.metadata] == ["7", "7", str(U)]
    whole = Mapper(rules(id_strategy="uuid5", limits=replace(limits, int_origin_ids=True))).convert(
        one_batch([{}], [7])
    )[0]
    assert whole.batch.metadata[0][ORIGIN_ID] == 7
    assert restore(text).batch.ids == ids
    assert restore(text).batch.metadata == [{}, {}, {}]


def test_original_ids_beyond_a_field_of_integers_are_filtered_as_text() -> None:
    source = collection({"a": [7, 2**63], "b": [7]}, UINTS)
    moved = migrate(source, "two", COSINE_JSON)
    assert {type(row[ORIGIN_ID]) for batch in moved.target.store.values() for row in batch.metadata} == {str}
    whole = migrate(collection({"a": [7, 8], "b": [7]}, UINTS), "two", COSINE_JSON)
    assert {type(row[ORIGIN_ID]) for batch in whole.target.store.values() for row in batch.metadata} == {int}


def test_derived_ids_are_stable_for_ever() -> None:
    mapper = Mapper(
        rules(id_strategy="uuid5", id_salt="one://source", limits=Limits.of(ids={"kinds": frozenset({IdKind.UUID})}))
    )
    salt = uuid.uuid5(uuid.NAMESPACE_URL, "vectormigrate:one://source")
    assert mapper.convert(one_batch([{}], ["doc-1"], "ns"))[0].batch.ids == [uuid.uuid5(salt, "ns\0s:doc-1")]


IDS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.text(st.sampled_from("\0si:7ab"), max_size=6), st.uuids())
SPACES = st.text(st.sampled_from("\0si:15ab"), max_size=6)


@given(st.tuples(SPACES, IDS), st.tuples(SPACES, IDS))
def test_different_records_never_get_the_same_derived_id(one: tuple[str, RecordId], two: tuple[str, RecordId]) -> None:
    base = salt_uuid("x")
    same = one[0] == two[0] and id_key(one[1]) == id_key(two[1])
    assert (derive(base, *one) == derive(base, *two)) == same


def test_a_nul_in_a_namespace_cannot_imitate_another_id() -> None:
    base = salt_uuid("x")
    assert derive(base, "a\0s:b", "c") != derive(base, "a", "b\0s:c")
    assert derive(base, "a\0s:b", "c") != derive(base, "5\0\0a", "b\0s:c")


@pytest.mark.parametrize(
    ("record_id", "limits", "code"),
    [
        ("\ud800", Limits(), "unicode"),
        ("ab", Limits.of(ids={"max_bytes": 1}), "id"),
        ("ü", Limits.of(ids={"ascii": True}), "id"),
        ("a\0", Limits.of(ids={"ascii": True}), "id"),
        ("", Limits.of(ids={"ascii": True}), "id"),
        ("é", Limits.of(ids={"max_bytes": 1}), "id"),
        (-1, Limits.of(ids={"kinds": frozenset({IdKind.UINT64})}), "id"),
        (2**63, Limits.of(ids={"kinds": INTS}), "id"),
        (7, Limits.of(ids={"kinds": STRINGS}), "id"),
        ("7", Limits.of(ids={"kinds": INTS}), "id"),
        (U, Limits.of(ids={"kinds": STRINGS}), "id"),
    ],
)
def test_an_id_that_does_not_fit_is_a_reject(record_id: RecordId, limits: Limits, code: str) -> None:
    result = Mapper(rules(limits=limits)).convert(one_batch([{}, {}], [record_id, record_id]))[0]
    assert [reject.code for reject in result.rejects] == [code, code]
    assert len(result.batch) == 0


@given(st.lists(st.text(max_size=8), min_size=2, max_size=12, unique=True))
def test_namespaces_are_renamed_injectively_and_legally(names: list[str]) -> None:
    for pattern in (r"[A-Za-z0-9_-]{1,64}", r"[_A-Za-z][_0-9A-Za-z]{0,30}", r"[a-z0-9]{1,45}"):
        target = namespace_map(Limits.of(namespaces={"names": pattern}), {})
        renamed = [target(name) for name in names]
        assert len(set(renamed)) == len(names)
        assert renamed == [namespace_map(Limits.of(namespaces={"names": pattern}), {})(name) for name in names]


def test_namespaces_that_peers_merge_stay_apart() -> None:
    source = collection({"a-b": [1], "a_b": [1], "a b": [1], "": [1]}, INTS)
    moved = migrate(source, "two", COLUMNS)
    assert len(moved.target.store) == 4
    assert "a_b" in moved.target.store
    assert records(migrate(moved.target, "one", source.caps).target.store) == records(source.store)


def test_the_default_namespace_alone_needs_no_name() -> None:
    assert list(migrate(collection({"": [1]}, INTS), "two", COLUMNS).target.store) == [""]


def test_more_namespaces_than_the_target_has_are_merged_and_come_apart_again() -> None:
    source = collection({f"n{number}": [1, 2] for number in range(5)}, INTS)
    moved = migrate(
        source,
        "two",
        TYPED.changed(namespaces={"max_count": 3, "names": ".*"}),
    )
    assert list(moved.target.store) == [""]
    assert moved.counts["namespace-name"] == 10
    assert records(migrate(moved.target, "one", source.caps).target.store) == records(source.store)


def test_a_batch_of_several_target_namespaces_becomes_a_part_for_each() -> None:
    source = collection({"a": [1], "b": [2]}, INTS)
    merged = migrate(source, "two", COSINE_JSON).target
    decision, _ = decide_twice(merged, "one", source.caps)
    mapper = Mapper(decision.rules)
    parts = mapper.convert(merged.store[""])
    assert sorted((part.batch.namespace, part.batch.ids[0], part.rows.tolist()[0]) for part in parts) == [
        ("a", 1, merged.store[""].ids.index(parts[0].source_ids[0])),
        ("b", 2, merged.store[""].ids.index(parts[1].source_ids[0])),
    ]


def test_records_that_others_added_go_along_when_they_fit_and_are_rejected_when_not() -> None:
    source = collection({"": ["a"]}, STRINGS)
    there = migrate(source, "two", TYPED).target
    added = one_batch([{"k": 1}], [U], "")
    there.store[""] = type(added).concat([replace(there.store[""], vectors={}), added])
    back = migrate(there, "one", source.caps)
    assert back.target.store[""].ids == ["a"]
    assert [(reject.id, reject.code) for reject in back.rejects] == [(U, "id")]


def test_plain_leaves_no_trace_and_needs_every_loss_accepted() -> None:
    mapper = Mapper(
        rules(id_strategy="uuid5", sidecar=False, limits=Limits.of(ids={"kinds": frozenset({IdKind.UUID})}))
    )
    assert [reject.code for reject in mapper.convert(one_batch([{}], ["a"]))[0].rejects] == ["id-original"]
    accepted = replace(mapper.rules, accepted_losses=("id-original",))
    result = Mapper(accepted).convert(one_batch([{"k": 1}], ["a"]))[0]
    assert result.batch.metadata == [{"k": 1}]
    assert result.losses == {"id-original": 1}
    assert ORIGIN not in result.batch.metadata[0]


@pytest.mark.parametrize("way", [TYPED, FLAT, COLUMNS, COSINE_JSON], ids=["typed", "flat", "columns", "cosine-json"])
@pytest.mark.parametrize("names", [("",), ("a b", "c")], ids=["one namespace", "renamed namespaces"])
def test_a_copied_payload_does_not_make_two_records_one(way: Capabilities, names: tuple[str, ...]) -> None:
    source = collection({name: [1, -2, U, "x"] for name in names}, frozenset(IdKind))
    there = migrate(source, "two", way).target
    copied: list[Any] = []
    for number, (name, batch) in enumerate(list(there.store.items())):
        own: Any = uuid.UUID(int=number) if IdKind.UUID in there.schema.id_kinds else f"new{number}"
        copied.append(own)
        there.store[name] = RecordBatch.concat([batch, replace(batch.take([0]), ids=[own])])
    back = migrate(there, "one", WIDE).target
    known = records(source.store)
    home = records(back.store)
    assert {key: home[key] for key in known} == known
    added = {key: row for key, row in home.items() if key not in known}
    assert {key[1] for key in added} == {id_key(own) for own in copied}
    # Its own metadata is as the application wrote it, without what belonged to the other record.
    assert list(added.values()) == [(exact({}), {})] * len(copied)


def test_sidecars_of_older_versions_are_believed() -> None:
    batch = one_batch([{"k": 1, ORIGIN: '{"v":1,"id":"i:7","ns":"n"}', ORIGIN_ID: 7}], [U])
    assert restore(batch).batch.ids == [7]
    assert restore(batch).namespaces == ["n"]


def test_a_plan_of_an_older_version_writes_the_sidecars_that_it_began_with() -> None:
    # A resume would leave two kinds of them, and a validation find every record of before changed.
    limits = Limits.of(ids={"kinds": frozenset({IdKind.UUID})})
    stored = asdict(rules(id_strategy="uuid5", limits=limits))
    del stored["id_checks"]
    found = Mapper(MappingRules.from_json(json.loads(json.dumps(stored)))).convert(one_batch([{"k": 1}], ["a"]))[0]
    assert found.batch.metadata == [{"k": 1, ORIGIN_ID: "a", ORIGIN: '{"v":1,"id":"s:a"}'}]
