"""Beacons: how Weaviate spells a reference, `weaviate://localhost/CLASS/UUID`. Pure."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from vectormigrate.adapters.weaviate.layout import Property
from vectormigrate.adapters.weaviate.values import BadValue

START = "weaviate://localhost/"


def beacon_of(text: str, reference: Property) -> str:
    """A stored beacon with its class: old ones of a property with one target class may lack it."""
    parts = text.split("/")
    if len(parts) == 4 and len(reference.targets) == 1:
        return f"{START}{short(reference.targets[0])}/{parts[3]}"
    return text


def short(name: str) -> str:
    """A class without the namespace of servers that have such."""
    return name.rpartition(":")[2]


def links_of(value: Any, reference: Property) -> list[tuple[str, str | None, str]]:
    """(property, target class, target uuid) of every beacon in a value, the class None where the beacon has none.
    Raises BadValue for what would not come back as it is."""
    if not isinstance(value, list):
        raise BadValue("reference", f"{reference.name!r} holds a list of beacons, not {type(value).__name__}")
    return [(reference.name, *_parsed(item, reference)) for item in value]


def _parsed(text: Any, reference: Property) -> tuple[str | None, str]:
    parts = text.removeprefix(START).split("/") if isinstance(text, str) and text.startswith(START) else []
    targets = [short(target) for target in reference.targets]
    try:
        if len(parts) == 2 and parts[0] in targets and str(UUID(parts[1])) == parts[1]:
            return parts[0], parts[1]
        if len(parts) == 1 and len(targets) > 1 and str(UUID(parts[0])) == parts[0]:
            return None, parts[0]
    except ValueError:
        pass
    raise BadValue(
        "reference",
        f"{str(text)[:120]!r} in {reference.name!r} is no beacon of {' or '.join(targets)} ({START}CLASS/UUID)",
    )
