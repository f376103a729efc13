"""Filters of a delete that choose by primary key and nothing else: `pk in [1, 2]`, `pk == "a"`, `pk in {ids}`.

That is how clients delete by id. Only what is read here exactly as the server reads it counts; any other expression,
and a literal of an unusual form, chooses records that are not known. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vectormigrate.adapter.json_walker import Json
from vectormigrate.adapter.wire_walker import Unreadable
from vectormigrate.adapters.milvus.filters import INT64_MIN
from vectormigrate.model.ids import RecordId

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_NUMBER = r"-?(?:0|[1-9][0-9]*)"
_DOUBLE = r'"(?:[^"\\\n\r]|\\["\\nrt])*+"'
_SINGLE = r"'(?:[^'\\\n\r]|\\['\\nrt])*+'"
_LITERAL = rf"(?:{_NUMBER}|{_DOUBLE}|{_SINGLE})"

_IN = re.compile(rf"\s*({_WORD})\s+(?:in|IN)\s*\[\s*(.*)\s*\]\s*", re.DOTALL)
_EQUAL = re.compile(rf"\s*({_WORD})\s*==\s*({_LITERAL})\s*")
_TEMPLATE = re.compile(rf"\s*({_WORD})(?:\s*==\s*|\s+(?:in|IN)\s*)\{{\s*({_WORD})\s*\}}\s*")
_ITEM = re.compile(rf"\s*({_LITERAL})\s*(,|\Z)")

_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}

MOST = 4 * 2**20
"""Characters of an expression that is looked at."""


def chosen(expression: str, pk: str, values: Mapping[str, Json], *, text_ids: bool) -> list[RecordId] | None:
    """The ids that the expression chooses, None when it may choose others. `values`: of its templates (an int, a
    text or a list of them)."""
    if len(expression) > MOST:
        return None
    match = _TEMPLATE.fullmatch(expression)
    if match is not None and match[1] == pk:
        value = values.get(match[2])
        items = value if isinstance(value, list) else [value]
        return _ids(items, text_ids=text_ids)
    match = _EQUAL.fullmatch(expression)
    if match is not None and match[1] == pk:
        return _ids([_value(match[2])], text_ids=text_ids)
    match = _IN.fullmatch(expression)
    if match is None or match[1] != pk:
        return None
    items = []
    position = 0
    while True:
        item = _ITEM.match(match[2], position)
        if item is None:
            return None
        items.append(_value(item[1]))
        position = item.end()
        if not item[2]:
            return _ids(items, text_ids=text_ids)


def _value(literal: str) -> RecordId:
    if literal[0] not in "\"'":
        return int(literal)
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), literal[1:-1])


def _ids(items: list[Json], *, text_ids: bool) -> list[RecordId] | None:
    try:
        return [id_of(item, text_ids=text_ids) for item in items] or None
    except Unreadable:
        return None


def id_of(value: Json, *, text_ids: bool) -> RecordId:
    """An id of this kind of collection. Raises Unreadable for a value of another kind."""
    if text_ids:
        if isinstance(value, str):
            return value
    elif isinstance(value, int) and not isinstance(value, bool) and INT64_MIN < value < 2**63:
        return value  # the smallest integer has no literal (filters.py)
    raise Unreadable("an id of another kind than the collection's")
