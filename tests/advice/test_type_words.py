"""Words for the types of fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectormigrate import registry
from vectormigrate.adapter import type_words
from vectormigrate.advice.type_words import NEUTRAL, FieldKind, field_kind, known_words
from vectormigrate.errors import ConfigError, UnknownAdapter
from vectormigrate.model.schema import DType, FieldType, VectorKind

NAMES = registry.names()


@pytest.mark.parametrize("name", NAMES)
def test_every_word_of_a_database_is_understood_in_any_case(name: str) -> None:
    for word, meaning in type_words(registry.load(name)).items():
        assert word == word.lower()
        for text in (word, word.upper(), f" {word.title()} "):
            assert field_kind(name, text) == FieldKind(word=meaning)


@pytest.mark.parametrize("name", NAMES)
def test_common_words_are_understood_for_every_source(name: str) -> None:
    for word in NEUTRAL.keys() - type_words(registry.load(name)).keys():
        assert field_kind(name, word) == FieldKind(word=NEUTRAL[word])
    assert {"string", "integer", "number", "boolean", "datetime", "geo", "object", "list", "vector"} <= NEUTRAL.keys()


def test_a_database_s_own_word_comes_before_the_common_one() -> None:
    assert field_kind("milvus", "FLOAT").word.type is FieldType.FLOAT32
    assert field_kind("memory", "float").word.type is FieldType.FLOAT64
    assert field_kind("qdrant_edge", "keyword").word.type is FieldType.STRING
    assert field_kind("milvus", "BINARY_VECTOR(64)").word.dtype is DType.BITS


@pytest.mark.parametrize(
    ("text", "size", "kind", "element"),
    [
        ("VARCHAR(200)", 200, FieldType.STRING, None),
        ("varchar[12]", 12, FieldType.STRING, None),
        ("FLOAT_VECTOR(768)", 768, FieldType.JSON, None),
        ("float_vector(dim=768)", 768, FieldType.JSON, None),
        ("text[]", None, FieldType.LIST, FieldType.TEXT),
        ("ARRAY<INT64>", None, FieldType.LIST, FieldType.INT64),
        ("array(VARCHAR(20))", None, FieldType.LIST, FieldType.STRING),
        ("list[string]", None, FieldType.LIST, FieldType.STRING),
        ("list of bool", None, FieldType.LIST, FieldType.BOOL),
        ("int64[][]", None, FieldType.LIST, FieldType.LIST),
    ],
)
def test_sizes_and_elements_are_read(text: str, size: int | None, kind: FieldType, element: FieldType | None) -> None:
    found = field_kind("milvus", text)
    assert (found.size, found.word.type, found.word.element) == (size, kind, element)
    assert (found.word.vector is VectorKind.DENSE) == ("vector" in text.lower())


@pytest.mark.parametrize("text", ["", "strin", "vector[]", "array<nope>", "varchar(", "42", "a" * 10_000])
def test_an_unknown_word_is_refused_with_the_known_ones(text: str) -> None:
    with pytest.raises(ConfigError, match=r"known types: .*float_vector.*varchar"):
        field_kind("milvus", text)


def test_an_unknown_database_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownAdapter, match=r"'nosuch'; known types: .*milvus"):
        field_kind("nosuch", "string")


@given(st.text(max_size=40) | st.sampled_from(known_words("milvus")).map(lambda word: f"{word}[]"))
def test_any_text_is_a_known_type_or_a_clear_refusal(text: str) -> None:
    try:
        found = field_kind("milvus", text)
    except ConfigError:
        return
    assert found.word.element is None or found.word.type is FieldType.LIST
