"""Recommendations from names and types alone: the original tool's call and answer."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vectormigrate import registry
from vectormigrate.adapter import type_words
from vectormigrate.advice.offline import EXAMPLES, recommend_fields
from vectormigrate.advice.type_words import NEUTRAL, known_words
from vectormigrate.errors import ConfigError, IncompatibleSchema, UnknownAdapter
from vectormigrate.model.schema import FieldType

PAIRS = list(product(registry.names(), repeat=2))
IDS = [f"{source}-{target}" for source, target in PAIRS]


def check_shape(answer: dict[str, Any], source: str, target: str) -> None:
    """Exactly the original answer."""
    assert list(answer) == ["source_type", "target_type", "field_mappings", "overall_confidence", "warnings"]
    assert (answer["source_type"], answer["target_type"]) == (source, target)
    for line in answer["field_mappings"]:
        assert list(line) == ["source_field", "target_field", "confidence", "conversion_needed", "notes"]
        assert (type(line["source_field"]), type(line["target_field"]), type(line["notes"])) == (str, str, str)
        assert type(line["conversion_needed"]) is bool
        assert 0 <= line["confidence"] <= 1
        assert line["confidence"] == 1 or line["conversion_needed"] or line["notes"]
    assert 0 < answer["overall_confidence"] <= 1
    assert all(type(text) is str for text in answer["warnings"])
    assert json.loads(json.dumps(answer)) == answer


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_the_original_call_gets_the_original_answer_for_every_pair(source: str, target: str) -> None:
    fields = {"id": "string", "title": "string", "content": "text", "custom_field": "string", "year": "integer"}
    answer = recommend_fields(source, target, fields).to_json()
    check_shape(answer, source, target)
    lines = {line["source_field"]: line for line in answer["field_mappings"]}
    assert list(lines) == list(fields)
    assert len(answer["field_mappings"]) == len(fields)
    assert all(lines[name]["target_field"] for name in fields)
    assert recommend_fields(source, target, fields).to_json() == answer
    if source == target:
        assert (answer["overall_confidence"], answer["warnings"]) == (1.0, [])


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_every_word_of_the_source_gets_a_line_and_no_dead_end(source: str, target: str) -> None:
    words = type_words(registry.load(source)) or NEUTRAL
    fields = {f"f_{number}": word for number, word in enumerate(words) if not words[word].vector}
    answer = recommend_fields(source, target, fields)
    check_shape(answer.to_json(), source, target)
    assert [line.source_field for line in answer.field_mappings] == ["id", *fields]
    assert answer.target_schema is not None
    assert {loss.name for loss in answer.losses} == {
        text.partition(": ")[0] for text in answer.warnings[len(answer.notices) :]
    }


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=IDS)
def test_without_fields_the_answer_is_about_ids_vectors_and_the_pair_in_general(source: str, target: str) -> None:
    answer = recommend_fields(source, target, {}).to_json()
    check_shape(answer, source, target)
    assert [line["source_field"] for line in answer["field_mappings"]] == ["id", "vector"]


def test_a_vector_field_is_a_vector_field() -> None:
    answer = recommend_fields("milvus", "qdrant_edge", {"v": "FLOAT_VECTOR(384)", "s": "SPARSE_FLOAT_VECTOR"})
    assert answer.target_schema is not None
    found = {item.name: (str(item.kind), item.dim, dict(item.index)) for item in answer.target_schema.vectors}
    assert found == {"v": ("dense", 384, {"type": "hnsw", "m": 16, "ef_construct": 128}), "s": ("sparse", None, {})}
    bits = recommend_fields("milvus", "qdrant_edge", {"b": "binary_vector(64)"})
    assert [(line.conversion_needed, line.confidence) for line in bits.field_mappings[1:]] == [(True, 0.8)]


def test_dates_get_the_index_that_the_target_has_for_them() -> None:
    fields = {"when": "datetime", "where": "geo", "n": "integer"}
    types: dict[str, dict[str, FieldType]] = {}
    for target in ("qdrant_edge", "milvus"):
        answer = recommend_fields("qdrant_edge", target, fields)
        assert answer.target_schema is not None
        types[target] = {item.name: item.type for item in answer.target_schema.fields if item.indexed}
    assert types["qdrant_edge"] == {"when": FieldType.DATETIME, "where": FieldType.GEO, "n": FieldType.INT64}
    assert {"when": types["milvus"]["when"], "n": types["milvus"]["n"]} == {
        "when": FieldType.STRING,
        "n": FieldType.INT64,
    }
    assert "where" not in types["milvus"]
    answer = recommend_fields("qdrant_edge", "milvus", fields)
    assert any(text.startswith("index:where: ") for text in answer.warnings)
    lines = {line.source_field: line for line in answer.field_mappings}
    assert (lines["n"].confidence, lines["where"].confidence) == (1.0, 0.8)


def test_the_type_of_the_id_narrows_what_happens_to_ids() -> None:
    def ids(source: str, target: str, kind: str) -> tuple[bool, str]:
        line = recommend_fields(source, target, {"id": kind}).field_mappings[0]
        return line.conversion_needed, line.notes

    assert ids("milvus", "qdrant_edge", "int64")[0] is False
    assert ids("milvus", "qdrant_edge", "varchar(100)") == (
        True,
        "ids are replaced by derived UUIDs; the original id is kept in a field that can be filtered on",
    )
    assert ids("qdrant_edge", "milvus", "uuid") == (True, "ids become their text")
    # A float is no id: the field is metadata of that name.
    lines = recommend_fields("milvus", "memory", {"id": "double"}).field_mappings
    assert [line.source_field for line in lines] == ["id", "id"]


def test_bad_calls_are_refused_with_what_is_known() -> None:
    for source, target in (("nosuch", "milvus"), ("milvus", "nosuch")):
        with pytest.raises(UnknownAdapter, match=r"'nosuch'; known types: .*milvus"):
            recommend_fields(source, target, {"a": "string"})
    with pytest.raises(ConfigError, match=r"unknown field type 'strng' for milvus; known types: .*varchar"):
        recommend_fields("milvus", "memory", {"a": "strng"})
    broken: Any = {"fields": {"a": "string"}}
    with pytest.raises(ConfigError, match="the type of field 'fields' must be a text"):
        recommend_fields("milvus", "memory", broken)


def test_there_is_an_example_of_every_type() -> None:
    assert EXAMPLES.keys() == set(FieldType)
    assert all(EXAMPLES.values())


NAME = st.text(min_size=1, max_size=12).filter(lambda name: not name.startswith("_vm_") and name != "id")


@settings(max_examples=40)
@given(st.data())
def test_any_names_and_words_of_any_pair_give_a_line_each(data: st.DataObject) -> None:
    source, target = data.draw(st.sampled_from(PAIRS))
    words = [
        word for word in known_words(source) if "vector" not in word and word not in ("dense", "sparse", "embedding")
    ]
    fields = data.draw(st.dictionaries(NAME, st.sampled_from(words), max_size=5))
    try:
        answer = recommend_fields(source, target, fields)
    except IncompatibleSchema:
        # Only sparse vectors, for a target that has none: there is nothing to recommend.
        assert any("sparse" in word for word in fields.values())
        return
    check_shape(answer.to_json(), source, target)
    if fields:
        assert len(answer.field_mappings) == 1 + len(fields)
