"""Expressions over ids."""

from __future__ import annotations

from vectormigrate.adapters.milvus import filters


def test_literals_escape_what_the_parsers_would_read_otherwise() -> None:
    assert filters.literal("a\"b\\c\n\r\t'\0é") == '"a\\"b\\\\c\\n\\r\\t\'\0é"'
    assert filters.literal(-7) == "-7"


def test_spans_cover_the_smallest_id_although_it_has_no_literal() -> None:
    low = -(2**63)
    assert filters.span("id", None, None, text=False) == ""
    assert filters.span("id", None, None, text=True) == 'id >= ""'
    assert filters.span("id", 5, 9, text=False) == "id > 5 and id <= 9"
    assert filters.span("id", "a", None, text=True) == 'id > "a"'
    assert filters.span("id", low, None, text=False) == f"id >= {low + 1}"
    assert filters.span("id", None, low, text=False) == f"id < {low + 1}"


def test_lists_of_ids_name_the_smallest_one_apart() -> None:
    assert filters.among("id", ["a", 'b"']) == ['id in ["a","b\\""]']
    assert filters.among("id", [-(2**63), 1]) == ["id in [1]", f"id < {-(2**63) + 1}"]
    assert filters.among("id", []) == []
