"""How requests name a collection and its database."""

from __future__ import annotations

from vectormigrate.adapter.operations import Request
from vectormigrate.adapter.wire_walker import Unreadable
from vectormigrate.adapters.milvus.config import DEFAULT_DATABASE


def address(database: str, name: str) -> str:
    """How a collection is named here. Injective: no name holds a slash."""
    return name if database in ("", DEFAULT_DATABASE) else f"{database}/{name}"


def database_of(request: Request, header: str) -> str:
    """The database that a header names, where the request itself does not. Raises Unreadable for two of them."""
    found = request.headers.get(header, "")
    if "," in found:
        raise Unreadable(f"the header {header!r} is there twice")
    return found
