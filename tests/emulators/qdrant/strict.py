"""Strict mode and the filters that it looks at (server: `operations/verification`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tests.emulators.qdrant.errors import Refused

Json = Mapping[str, Any]


def refused(error: str, solution: str) -> Refused:
    return Refused(400, f"Bad request: {error}. Help: {solution}")


def limit(settings: Json, name: str, value: int | None, label: str) -> None:
    most = settings.get(name)
    if most is not None and value is not None and value > most:
        raise refused(
            f'Limit exceeded {value} > {most} for "{label}"', f'Reduce the "{label}" parameter to or below {most}.'
        )


def conditions(condition: Json | None) -> Iterator[Json]:
    """Every condition in a filter."""
    for key in ("must", "should", "must_not"):
        found = (condition or {}).get(key) or []
        for item in found if isinstance(found, list) else [found]:
            yield item
            yield from conditions(item)


def check_filter(settings: Json, condition: Json | None, indexed: set[str], *, write: bool) -> None:
    """Number and size of conditions, and that fields have an index."""
    found = list(conditions(condition))
    most = settings.get("filter_max_conditions")
    if most is not None and len(found) > most:
        raise refused(f"Filter condition limit reached ({len(found)} > {most})", "Reduce the amount of conditions.")
    size = settings.get("condition_max_size")
    for item in found:
        count = len(item.get("has_id", ())) or len((item.get("match") or {}).get("any", ()))
        if size is not None and count > size:
            raise refused(f"Condition size limit reached ({count} > {size})", "Reduce the size of your condition.")
    allowed = settings.get("unindexed_filtering_update" if write else "unindexed_filtering_retrieve")
    if allowed is False:
        keys = {
            str(item.get("key") or item["is_empty"]["key"]) for item in found if "key" in item or "is_empty" in item
        }
        for key in sorted(keys - indexed):
            raise refused(
                f'Index required but not found for "{key}" of one of the following types: [keyword]',
                "Create an index for this key or use a different filter.",
            )
