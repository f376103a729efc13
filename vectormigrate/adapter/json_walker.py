"""Reading a few members out of a JSON body without making numbers of its vectors, which are nearly all of it.

An array that holds a fraction is no list of ids, so it is cut out (`[]`) before the text is parsed; a body of 100
vectors is read four to six times faster. Strings are recognised exactly; what is wrong inside a vector goes unnoticed,
which only means that a request counts that the server refuses.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import orjson

from vectormigrate.adapter.wire_walker import Unreadable

MOST_BYTES = 32 * 2**20
"""Of JSON that is left when the vectors are cut out: parsed, it takes several times as much memory."""

LARGEST = 128 * 2**20
"""More than any of the databases takes in one request."""

SHORT = 64
"""Arrays of fewer bytes are not worth the search."""

_LIST = re.compile(rb'(?:[^"\[]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")*+\[', re.DOTALL)
"""From outside a string to behind the next bracket that is outside one. Never goes back over what it has read."""

Json = Any
"""Parsed JSON of a stranger: every use asks for its type."""

EACH = "[]"


def parsed(body: bytes, *, once: bool = False) -> Json:
    """The value. Integers of 64 bits are exact, others are floats. Raises Unreadable. `once`: also for an object with
    one member twice, of which servers take the first or the last."""
    slim = without_vectors(body) if len(body) <= LARGEST else body
    if len(slim) > MOST_BYTES:
        raise Unreadable("the body is too large")
    try:
        return json.loads(slim.decode(), object_pairs_hook=_once) if once else orjson.loads(slim)
    except ValueError as error:
        raise Unreadable("the body is no JSON, or one of its objects has a member twice") from error


def _once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("an object has a member twice")
    return found


def without_vectors(body: bytes) -> bytes:
    """The text with every long array of numbers that has a fraction emptied. Linear in the bytes: each search starts
    where the last one ended. A text with very many small arrays is left as it is from some point on."""
    kept: list[bytes] = []
    position = done = 0
    close = -1
    for _ in range(1000 + len(body) // 128):
        bracket = _LIST.match(body, position)
        if bracket is None:
            break
        position = bracket.end()
        if close < position:
            close = body.find(b"]", position)
            if close < 0:
                break
        if close - position < SHORT or body.find(b"[", position, close) >= 0:
            continue
        if body.find(b'"', position, close) >= 0 or body.find(b".", position, close) < 0:
            continue
        kept.append(body[done:position])
        position = done = close
    if not kept:
        return body
    kept.append(body[done:])
    return b"".join(kept)


@cache
def steps(path: str) -> tuple[str, ...]:
    """`a.b[].c` as `("a", "b", "[]", "c")`; `[]` alone is a list at the top."""
    found: list[str] = []
    for part in path.split("."):
        name, brackets, _ = part.partition(EACH)
        found.extend([name] if name else [])
        found.extend([EACH] if brackets else [])
    return tuple(found)


def at(value: Json, path: str) -> list[Json]:
    """Every value at the end of the path; none where it does not begin. Raises Unreadable where it breaks off within
    a list, or leads through something else than lists and objects."""
    return _at(value, steps(path), within=False)


def _at(value: Json, path: tuple[str, ...], *, within: bool) -> list[Json]:
    for index, step in enumerate(path):
        if step == EACH:
            if not isinstance(value, list):
                raise Unreadable("something else where a list belongs")
            rest = path[index + 1 :]
            if not rest:
                return value
            return [found for item in value for found in _at(item, rest, within=True)]
        if not isinstance(value, dict):
            raise Unreadable("something else where an object belongs")
        value = value.get(step)
        if value is None:
            if within:
                raise Unreadable(f"a record without {step!r}")
            return []
    return [value]


def member(value: Json, name: str) -> Json:
    """A member of an object, None where it has none. Raises Unreadable for something else than an object."""
    if not isinstance(value, dict):
        raise Unreadable("something else where an object belongs")
    return value.get(name)
