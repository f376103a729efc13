"""Ids and names of collections in requests and answers."""

from __future__ import annotations

from uuid import UUID

from vectormigrate.adapter.json_walker import Json
from vectormigrate.adapter.wire_walker import Unreadable


def uuid_of(value: Json) -> UUID:
    """An id. Raises Unreadable for what is no UUID, which the server refuses."""
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise Unreadable("an id that is no UUID")


def collection_of(name: str) -> str:
    """A collection as the server keeps its name."""
    return name[:1].upper() + name[1:]
