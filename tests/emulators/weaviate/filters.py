"""Filters of searches and deletes."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from tests.emulators.weaviate.faults import Refusal
from tests.emulators.weaviate.store import Class, Object
from vectormigrate.adapters.weaviate.proto import base

Test = Callable[[Object], bool]
OP = base.Filters.Operator
TIMES = {"_lastUpdateTimeUnix": "updated", "_creationTimeUnix": "created"}

_COMPARE: dict[int, Callable[[Any, Any], bool]] = {
    OP.OPERATOR_EQUAL: lambda a, b: a == b,
    OP.OPERATOR_NOT_EQUAL: lambda a, b: a != b,
    OP.OPERATOR_GREATER_THAN: lambda a, b: a > b,
    OP.OPERATOR_GREATER_THAN_EQUAL: lambda a, b: a >= b,
    OP.OPERATOR_LESS_THAN: lambda a, b: a < b,
    OP.OPERATOR_LESS_THAN_EQUAL: lambda a, b: a <= b,
    OP.OPERATOR_LIKE: lambda a, b: fnmatch.fnmatchcase(str(a), str(b)),
}


def test_of(owner: Class, filters: Any) -> Test:
    """A function that tells whether an object matches. Raises Refusal."""
    operator = filters.operator
    if operator in (OP.OPERATOR_AND, OP.OPERATOR_OR):
        tests = [test_of(owner, item) for item in filters.filters]
        some = all if operator == OP.OPERATOR_AND else any
        return lambda item: some(test(item) for test in tests)
    if operator == OP.OPERATOR_NOT:
        inner = test_of(owner, filters.filters[0])
        return lambda item: not inner(item)
    name = filters.target.property if filters.HasField("target") else filters.on[0]
    values = _values(owner, name)
    wanted = _wanted(filters)
    if operator == OP.OPERATOR_IS_NULL:
        if not owner.raw["invertedIndexConfig"].get("indexNullState"):
            raise Refusal(
                "Nullstate must be indexed to be filterable! Add `indexNullState: true` to the invertedIndexConfig"
            )
        return lambda item: (not values(item)) == bool(wanted)
    if operator in (OP.OPERATOR_CONTAINS_ANY, OP.OPERATOR_CONTAINS_ALL, OP.OPERATOR_CONTAINS_NONE):
        chosen = set(wanted)
        if operator == OP.OPERATOR_CONTAINS_ALL:
            return lambda item: chosen <= set(values(item))
        return lambda item: bool(chosen & set(values(item))) == (operator == OP.OPERATOR_CONTAINS_ANY)
    compare = _COMPARE.get(operator)
    if compare is None:
        raise Refusal(f"unknown filter operator {operator}")
    if operator == OP.OPERATOR_NOT_EQUAL:
        return lambda item: wanted not in values(item)
    return lambda item: any(compare(value, wanted) for value in values(item))


def _values(owner: Class, name: str) -> Callable[[Object], Sequence[Any]]:
    """The indexed values of an object under a name."""
    if name in ("_id", "id"):
        return lambda item: [item.text]
    if name in TIMES:
        if not owner.raw["invertedIndexConfig"].get("indexTimestamps"):
            raise Refusal(
                "resolve doc ids for prop/value pair: Timestamps must be indexed to be filterable! Add "
                f"`IndexTimestamps: true` to the InvertedIndexConfig in {owner.name}"
            )
        return lambda item: [getattr(item, TIMES[name])]
    declared = owner.properties.get(name.partition(".")[0])
    if declared is None:
        raise Refusal(
            f"no such prop with name '{name}' found in class '{owner.name}' in the schema. Check your schema files for "
            "which properties in this class are available"
        )
    if not (declared["indexFilterable"] or declared.get("indexRangeFilters") or declared["indexSearchable"]):
        raise Refusal(f"Filtering by property '{name}' requires inverted index. Is `indexFilterable` option enabled?")

    def found(item: Object) -> Sequence[Any]:
        value = item.properties.get(name)
        return [] if value is None else value if isinstance(value, list) else [value]

    return found


def _wanted(filters: Any) -> Any:
    kind = filters.WhichOneof("test_value")
    if kind is None:
        raise Refusal("a filter needs a value")
    value = getattr(filters, kind)
    if kind.endswith("_array"):
        return list(value.values)
    name = filters.target.property if filters.HasField("target") else filters.on[0]
    if name in TIMES and isinstance(value, str):
        return int(value) if value.isdigit() else int(datetime.fromisoformat(value).timestamp() * 1000)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
