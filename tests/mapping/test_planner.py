"""The plan: losses by name, the operator's renames and exclusions, existing targets, indexes, the origin note."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.mapping.world import (
    COLUMNS,
    COSINE_JSON,
    FLOATS,
    TARGETS,
    TYPED,
    WIDE,
    Collection,
    decide_twice,
    dense,
    migrate,
    one_batch,
    records,
    schema,
    spec,
)
from vectormigrate.errors import IncompatibleSchema, PlanError
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.losses import EFFECTS, RECORD_EFFECTS
from vectormigrate.mapping.plan.planner import Decision, decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.note import OriginNote
from vectormigrate.model.plan import CompareClass, Loss, MigrationPlan, Outcome
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
)

METADATA: list[dict[str, Any]] = [
    {"title": "a", "year": 2001, "author": {"name": "x", "born": None}, "when": datetime(2024, 1, 1, tzinfo=UTC)},
    {"title": "b", "year": 2**60, "tags": ["p", "q"], "sizes": [1, 2], "a.b": 1},
    {"title": None, "year": 1.5, "raw": b"\x00", "$odd": float("nan")},
]
FIELDS = (
    MetadataField(name="year", type=FieldType.INT64, indexed=True),
    MetadataField(name="author.name", type=FieldType.STRING, indexed=True),
    MetadataField(name="when", type=FieldType.DATETIME, indexed=True),
    MetadataField(name="sizes", type=FieldType.LIST, element=FieldType.INT64, indexed=True),
)


def source(*vectors: VectorField, **changes: Any) -> Collection:
    fields = changes.pop("fields", FIELDS)
    shape = schema(*vectors, fields=fields, **changes)
    batch = one_batch(METADATA)
    columns = {
        item.name: dense([[3, 4, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0]]) for item in shape.vectors if item.dim is not None
    }
    return Collection("one", WIDE, shape, {"": replace(batch, vectors=columns)})


def vector(name: str = "v", metric: Metric = Metric.COSINE, dtype: DType = DType.FLOAT32, dim: int = 4) -> VectorField:
    return VectorField(name=name, kind=VectorKind.DENSE, dim=dim, metric=metric, dtype=dtype)


def by_name(decision: Decision) -> dict[str, Loss]:
    return {loss.name: loss for loss in decision.losses}


def test_effects_are_counted_on_the_data_and_restored_by_the_sidecar() -> None:
    found = by_name(decide_twice(source(), "two", FLOATS)[0])
    counts = {name: loss.count for name, loss in found.items() if loss.outcome is Outcome.REVERSIBLE}
    assert counts == {
        "null-values": 2,
        "int-type": 2,
        "int-precision": 1,
        "nested-objects": 1,
        "datetime-type": 1,
        "bytes-type": 1,
        "nonfinite-values": 1,
        "field-names": 1,
        "list-values": 1,
        "vector-missing": None,
        "vector-name:v": None,
    }
    assert all(loss.detail for loss in found.values())


def test_without_a_sidecar_every_effect_is_a_loss_that_must_be_accepted() -> None:
    kept = decide_twice(source(), "two", COSINE_JSON)[0]
    plain = decide_twice(source(), "two", COSINE_JSON, plain=True)[0]
    assert {loss.outcome for loss in kept.losses} == {Outcome.REVERSIBLE}
    assert {loss.outcome for loss in plain.losses} == {Outcome.LOSSY}
    assert by_name(plain).keys() == by_name(kept).keys()
    assert {"id-original", "vector-length", "datetime-type", "bytes-type"} <= by_name(plain).keys()
    assert plain.target_schema.note is None
    refused = migrate(source(), "two", COSINE_JSON, plain=True)
    assert len(refused.rejects) == 3
    assert {reject.code for reject in refused.rejects} <= by_name(plain).keys()
    names = tuple(by_name(plain))
    accepted = migrate(source(), "two", COSINE_JSON, plain=True, accepted_losses=names)
    assert not accepted.rejects
    assert not any(key.startswith("_vm_") for item in accepted.target.store[""].metadata for key in item)


def test_a_loss_that_the_profile_did_not_see_is_a_reject_and_never_silent() -> None:
    calm = replace(source(fields=()), store={"": one_batch([{"k": "v"}])})
    decision = decide_twice(
        calm, "two", WIDE.changed(metadata={"value_kinds": FLOATS.metadata.value_kinds}), plain=True
    )[0]
    assert not decision.losses
    result = Mapper(decision.rules).convert(one_batch([{"k": 1}, {"k": "v"}]))[0]
    assert [reject.code for reject in result.rejects] == ["int-type"]
    assert len(result.batch) == 1


def test_a_decision_is_deterministic_and_its_plan_survives_json() -> None:
    one, two = (decide_twice(source(), "two", FLOATS)[0] for _ in range(2))
    assert one == two
    plan = MigrationPlan(
        spec=spec(),
        source_schema=source().schema,
        target_schema=one.target_schema,
        target_exists=False,
        rules=one.rules,
        field_mappings=one.field_mappings,
        losses=one.losses,
        namespaces={"": 3},
        partitions=(),
        total_records=3,
        bytes_per_record=1,
        profiled_records=3,
        warnings=one.warnings,
    )
    again = MigrationPlan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again == plan
    assert again.fingerprint() == plan.fingerprint()
    assert Mapper(again.rules).convert(source().store[""])[0].batch.metadata == Mapper(one.rules).convert(
        source().store[""]
    )[0].batch.metadata  # fmt: skip


def test_every_effect_has_an_explanation() -> None:
    assert all(effect.text for effect in EFFECTS.values())
    assert EFFECTS.keys() > RECORD_EFFECTS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"renames": {"nope": "x"}}, "no such field"),
        ({"renames": {"title": "year"}}, "already has a field"),
        ({"renames": {"title": "x", "year": "x"}}, "cannot both become"),
        ({"renames": {"title": ""}}, "new name is missing"),
        ({"renames": {"title": "_vm_id"}}, "belongs to vectormigrate"),
        ({"renames": {"author": "x", "author.name": "y"}}, "overlap"),
        ({"renames": {"title": "x"}, "excludes": ("title",)}, "also excluded|overlap"),
        ({"excludes": ("nope",)}, "no such field"),
        ({"excludes": ("title", "title")}, "twice"),
        ({"accepted_losses": ("nope",)}, r"no such loss; its losses: .*\(.*\)"),
        ({"accepted_losses": ("vector-field",)}, "needs a field's name"),
    ],
)
def test_a_bad_name_is_refused_with_one_clear_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        decide_twice(source(), "two", FLOATS, **changes)
    assert "\n" not in str(caught.value)


def test_renames_and_exclusions_reach_records_fields_and_the_way_home() -> None:
    changes: dict[str, Any] = {
        "renames": {"author.name": "writer", "year": "info.year", "a.b": "ab"},
        "excludes": ("raw", "author.born"),
    }
    moved = migrate(source(), "two", WIDE, **changes)
    assert not moved.rejects
    first, second, third = moved.target.store[""].metadata
    assert (first["writer"], first["info"]) == ("x", {"year": 2001})
    assert "author" not in first
    assert second["ab"] == 1
    assert "raw" not in third
    found = by_name(moved.decision)
    assert (found["excluded:raw"].count, found["excluded:author.born"].count) == (1, 1)
    assert set(moved.decision.rules.accepted_losses) == {"excluded:raw", "excluded:author.born"}
    assert {item.name for item in moved.target.schema.fields} == {"info.year", "writer", "when", "sizes"}
    lines = {line.source_field: line for line in moved.decision.field_mappings}
    assert lines["author.name"].target_field == "writer"
    assert lines["raw"].outcome is Outcome.LOSSY
    back = migrate(moved.target, "one", WIDE).target.store[""].metadata
    assert back[0] == {**METADATA[0], "author": {"name": "x"}}
    assert back[1] == METADATA[1]


def test_a_name_that_a_record_holds_already_is_a_reject() -> None:
    decision = decide_twice(source(), "two", WIDE, renames={"title": "headline"})[0]
    result = Mapper(decision.rules).convert(one_batch([{"title": 1, "headline": 2}]))[0]
    assert [reject.code for reject in result.rejects] == ["rename"]


def test_what_was_filterable_stays_filterable() -> None:
    flat = {item.name: item for item in decide_twice(source(), "two", FLOATS)[0].target_schema.fields}
    assert flat["year"].type is FieldType.FLOAT64
    assert flat["author.name"].type is FieldType.STRING
    assert flat["when"].type is FieldType.STRING
    assert all(item.indexed and not item.declared for item in flat.values())
    assert by_name(decide_twice(source(), "two", FLOATS)[0])["index:sizes"].outcome is Outcome.LOSSY
    named = decide_twice(source(), "two", TYPED)[0].target_schema.fields
    assert any(item.name.startswith("author_name_") for item in named)
    assert any(item.name == "_vm_id" for item in named)


def test_the_field_table_says_what_goes_over_unconverted() -> None:
    lines = {line.source_field: line for line in decide_twice(source(), "two", FLOATS)[0].field_mappings}
    assert lines["title"].confidence == round(2 / 3, 4)
    assert lines["title"].conversion_needed
    assert lines["year"].confidence == round(1 / 3, 4)
    assert "mixed types" in lines["year"].notes
    assert (lines["author.name"].target_field, lines["author.name"].confidence) == ("author.name", 1.0)
    assert lines["tags"].outcome is Outcome.EXACT
    assert lines["$odd"].target_field != "$odd"


def test_a_metric_that_the_target_lacks_is_a_named_loss_unless_it_is_the_same() -> None:
    only_dot = WIDE.changed(vectors={"metrics": frozenset({Metric.DOT})})
    lossy = decide_twice(
        source(vector(metric=Metric.L2)), "two", WIDE.changed(vectors={"metrics": frozenset({Metric.L1})})
    )[0]
    assert by_name(lossy)["metric:v"].outcome is Outcome.LOSSY
    assert lossy.target_schema.vectors[0].metric is Metric.L1
    made = decide_twice(source(), "two", only_dot)[0]
    assert "metric:v" not in by_name(made)
    assert by_name(made)["vector-length"].outcome is Outcome.REVERSIBLE
    assert made.rules.vectors[0].normalise
    units = replace(source(), caps=WIDE.changed(vectors={"normalises_cosine": True}))
    assert "metric:v" not in by_name(decide_twice(units, "two", only_dot)[0])


def test_vector_fields_without_a_place_are_named_losses() -> None:
    shape = source(vector("a"), vector("b"), VectorField(name="s", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT))
    few = decide_twice(shape, "two", WIDE.changed(vectors={"max_fields": 1}))[0]
    assert {"vector-field:b", "vector-field:s"} <= by_name(few).keys()
    small = decide_twice(source(vector("a"), vector("b", dim=9)), "two", WIDE.changed(vectors={"max_dim": 8}))[0]
    assert [item.name for item in small.target_schema.vectors] == ["a"]
    with pytest.raises(IncompatibleSchema, match="none of the source's vector fields"):
        decide_twice(source(vector("a", dim=9)), "two", WIDE.changed(vectors={"max_dim": 8}))


def test_storage_types_widen_exactly_or_narrow_by_name() -> None:
    wide = decide_twice(source(vector(dtype=DType.FLOAT16)), "two", FLOATS)[0]
    assert wide.rules.vectors[0].dtype == "float32"
    assert by_name(wide)["vector-type:v"].outcome is Outcome.REVERSIBLE
    narrow = decide_twice(
        source(vector(metric=Metric.L2)), "two", WIDE.changed(vectors={"dtypes": frozenset({DType.FLOAT16})})
    )[0]
    assert by_name(narrow)["vector-dtype:v"].outcome is Outcome.LOSSY
    assert narrow.rules.vectors[0].compare is CompareClass.TOL
    assert narrow.rules.vectors[0].tolerance == 2**-11


def test_an_unnamed_vector_gets_a_name_where_it_needs_one() -> None:
    decision = decide_twice(source(vector(""), vector("vector"), vector("é")), "two", TYPED)[0]
    names = [item.target for item in decision.rules.vectors]
    assert len(set(names)) == 3
    assert OriginNote.from_json(decision.target_schema.note or {}).vectors[names[0]] == ""  # type: ignore[union-attr]


def test_the_note_names_the_first_origin_over_several_migrations() -> None:
    first = migrate(source(), "two", TYPED)
    second = migrate(first.target, "three", COSINE_JSON)
    note = OriginNote.from_json(second.target.schema.note or {})
    assert note is not None
    assert note.adapter == "one"
    assert note.schema == source().schema


def test_going_home_rebuilds_declared_fields_and_takes_new_ones_along() -> None:
    declared = (
        MetadataField(name="title", type=FieldType.STRING, declared=True, params={"max_length": 9}),
        MetadataField(name="year", type=FieldType.FLOAT64, declared=True, indexed=True),
    )
    batch = one_batch([{"title": "a", "year": 1.5, "k": 1}, {"title": None, "year": 2.0}])
    start = Collection("one", WIDE, schema(fields=declared, vectors=(), dynamic=True), {"": batch})
    there = migrate(start, "two", TYPED).target
    extra = MetadataField(name="added", type=FieldType.STRING, indexed=True)
    there = replace(there, schema=replace(there.schema, fields=(*there.schema.fields, extra)))
    added = one_batch([{"title": "new", "year": 3}, {"title": 5}], [uuid(1), uuid(2)])
    there.store[""] = type(added).concat([there.store[""], added])
    wide_ids = WIDE.changed(ids={"kinds": frozenset(IdKind)})
    back = migrate(there, "one", wide_ids)
    assert back.target.schema.fields[:2] == declared
    assert any(item.name == "added" for item in back.target.schema.fields)
    assert [reject.code for reject in back.rejects] == ["field_type"]
    kept = {
        str(record_id): item
        for record_id, item in zip(back.target.store[""].ids, back.target.store[""].metadata, strict=True)
    }
    assert kept["r0"] == {"title": "a", "year": 1.5, "k": 1}
    assert kept[str(uuid(1))]["year"] == 3.0


def uuid(number: int) -> RecordId:
    return UUID(int=number)


def test_the_same_kind_of_database_keeps_declared_fields_and_settings() -> None:
    declared = (MetadataField(name="title", type=FieldType.STRING, declared=True, params={"max_length": 9}),)
    start = source(fields=declared, extras={"one": {"shards": 2}})
    decision = decide_twice(start, "one", WIDE)[0]
    assert decision.target_schema.fields == declared
    assert decision.target_schema.extras == {"one": {"shards": 2}}
    assert not decision.losses
    assert records(migrate(start, "one", WIDE).target.store) == records(start.store)


def existing(**changes: Any) -> CollectionSchema:
    base: dict[str, Any] = {"name": "target", "id_kinds": WIDE.ids.kinds, "vectors": (vector(),)}
    return CollectionSchema(**{**base, **changes})


def decide_existing(into: CollectionSchema, caps: Any = WIDE) -> Decision:
    start = source()
    profile = Profile()
    profile.add(start.store[""])
    return decide(
        spec=spec(into_existing=True),
        source_schema=start.schema,
        source_adapter="one",
        source_caps=WIDE,
        target_adapter="two",
        target_caps=caps,
        namespaces={"": 3},
        existing=into,
        profile=profile,
        loss_counts={},
    )


@pytest.mark.parametrize(
    ("into", "words"),
    [
        (existing(vectors=(vector(dim=5),)), ["4 dimensions", "has 5"]),
        (existing(vectors=(vector(metric=Metric.L2),)), ["metric cosine", "has l2"]),
        (existing(vectors=(vector(dtype=DType.FLOAT16),)), ["float32", "only float16"]),
        (existing(vectors=(vector("x"), vector("y"))), ["no dense vector field 'v'"]),
        (existing(vectors=(vector(dim=5, metric=Metric.L2),)), ["dimensions", "metric"]),
        (
            existing(fields=(MetadataField(name="title", type=FieldType.STRING, declared=True, nullable=False),)),
            ["requires a value in the field 'title'", "1 source records"],
        ),
        (existing(dynamic=False), ["no field", "'title'"]),
        (existing(id_kinds=frozenset({IdKind.INT64})), ["integer ids"]),
    ],
)
def test_an_existing_collection_that_does_not_fit_is_refused_with_every_reason(
    into: CollectionSchema, words: list[str]
) -> None:
    with pytest.raises(IncompatibleSchema) as caught:
        decide_existing(into)
    assert all(word in str(caught.value) for word in words)
    assert "choose" in str(caught.value)


def test_an_existing_collection_that_fits_is_taken_as_it_is() -> None:
    into = existing(vectors=(vector(""),), extras={"two": 1})
    decision = decide_existing(into)
    assert replace(decision.target_schema, note=None) == into
    assert [(item.source, item.target) for item in decision.rules.vectors] == [("v", "")]
    assert decide_existing(existing()).rules.id_strategy == "native"


def test_a_vector_field_never_goes_into_one_of_another_name_unasked() -> None:
    with pytest.raises(IncompatibleSchema, match="no dense vector field 'v'"):
        decide_existing(existing(vectors=(vector("other"),)))


@pytest.mark.parametrize("name", TARGETS)
def test_profile_rejects_are_announced(name: str) -> None:
    odd = replace(source(), store={"": one_batch([{"k": "\ud800"}])})
    assert decide_twice(odd, "two", TARGETS[name])[0].warnings == ("1 records will be rejected (unicode)",)


def test_a_note_of_a_newer_version_is_announced_and_not_used() -> None:
    newer = replace(source(), schema=replace(source().schema, note={"version": 99}))
    assert "newer version" in decide_twice(newer, "two", COLUMNS)[0].warnings[0]


def test_a_vector_field_that_the_source_computes_is_a_loss_elsewhere_only() -> None:
    collection = source(vector(), computed=("bm25",), warnings=("something to know",))
    elsewhere = decide_twice(collection, "two", WIDE)[0]
    assert by_name(elsewhere)["vector-field:bm25"].outcome is Outcome.LOSSY
    assert "something to know" in elsewhere.warnings
    assert "vector-field:bm25" not in by_name(decide_twice(collection, "one", WIDE)[0])
