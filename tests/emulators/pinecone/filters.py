"""Metadata filters: $eq $ne $gt $gte $lt $lte $in $nin $exists $and $or; a bare value is $eq."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from tests.emulators.pinecone.errors import invalid

ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def matches(metadata: Mapping[str, Any], condition: Any) -> bool:
    """Whether the metadata meets the filter. Raises Refusal for a filter that is none."""
    if not isinstance(condition, dict):
        raise invalid("a filter is an object")
    return all(_clause(metadata, key, value) for key, value in condition.items())


def _clause(metadata: Mapping[str, Any], key: str, value: Any) -> bool:
    if key in ("$and", "$or"):
        if not isinstance(value, list) or not value:
            raise invalid(f"{key} takes a list of filters")
        found = [matches(metadata, item) for item in value]
        return all(found) if key == "$and" else any(found)
    if key.startswith("$"):
        raise invalid(f"unknown filter operator {key!r}")
    tests = value if isinstance(value, dict) else {"$eq": value}
    return all(_holds(metadata.get(key), name, wanted) for name, wanted in tests.items())


def _holds(stored: Any, name: str, wanted: Any) -> bool:
    if name == "$exists":
        return (stored is not None) is bool(wanted)
    items = stored if isinstance(stored, list) else [stored]
    if name in ("$eq", "$ne"):
        return any(_same(item, wanted) for item in items) is (name == "$eq")
    if name in ("$in", "$nin"):
        if not isinstance(wanted, list):
            raise invalid(f"{name} takes a list")
        return any(_same(item, other) for item in items for other in wanted) is (name == "$in")
    if name in ORDER:
        if isinstance(wanted, bool) or not isinstance(wanted, int | float):
            raise invalid(f"{name} takes a number")
        return isinstance(stored, float) and ORDER[name](stored, wanted)
    raise invalid(f"unknown filter operator {name!r}")


def _same(stored: Any, wanted: Any) -> bool:
    if isinstance(stored, bool) or isinstance(wanted, bool):
        return stored is wanted
    return stored == wanted
