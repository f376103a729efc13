"""How many dimensions a vector has, which a Weaviate class does not declare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from vectormigrate.adapters.weaviate.decode import id_of
from vectormigrate.adapters.weaviate.layout import Layout, Vector
from vectormigrate.adapters.weaviate.proto import search
from vectormigrate.adapters.weaviate.search import near_request
from vectormigrate.adapters.weaviate.session import HOT, Session
from vectormigrate.model.schema import VectorKind

FEW = 8
"""Namespaces that are looked into before many are counted."""

FIRST_ROWS = 100
MORE_ROWS = 1_000

_REFUSAL = re.compile(r"(\d+) vs (\d+): vector lengths don't match")
_QUANTIZERS = ("pq", "bq", "sq", "rq")


async def known_dims(session: Session) -> dict[str, int | None]:
    """Per vector: as declared when we made the class, or as some record has it; None while no record has any."""
    layout = await session.layout()
    declared = layout.marker.dims or {}
    for item in layout.vectors:
        if item.name in declared:
            session.dims.setdefault(item.name, declared[item.name])
    return {item.name: session.dims.get(item.name) for item in layout.vectors}


async def find_dims(session: Session) -> dict[str, int | None]:
    """The same, after looking for what is not known yet."""
    layout = await session.layout()
    found = await known_dims(session)
    missing = [item for item in layout.vectors if found[item.name] is None]
    if missing:
        names, inactive = await _tenants(session, layout)
        missing = await _look(session, layout, missing, names[:FEW])
        # Thousands of empty tenants are counted faster than they are looked into one after the other.
        counts = await session.counts(names[FEW:]) if missing else {}
        missing = await _look(session, layout, missing, [name for name, count in counts.items() if count])
        await _look(session, layout, missing, inactive)
    return await known_dims(session)


async def _tenants(session: Session, layout: Layout) -> tuple[list[str], list[str]]:
    """The namespaces to look at, and those that would have to be switched on first."""
    names = await session.namespaces()
    if not layout.divided:
        return names, []
    states = await session.states()
    active = [name for name in names if states.get(name) == HOT]
    return active, [name for name in names if states.get(name) != HOT]


async def _look(session: Session, layout: Layout, missing: list[Vector], names: list[str]) -> list[Vector]:
    """Note what these tenants tell; returns the vectors of which none tells."""
    for name in names:
        if not missing:
            break
        if not await session.has(name):
            continue
        after = await _read(session, layout, missing, name, "", FIRST_ROWS)
        for item in [item for item in missing if item.name not in session.dims and after]:
            if _index_tells(item):
                await _ask_index(session, layout, item, name)
        rest = [item for item in missing if item.name not in session.dims and not _index_tells(item)]
        while rest and after:
            after = await _read(session, layout, rest, name, after, MORE_ROWS)
            rest = [item for item in rest if item.name not in session.dims]
        missing = [item for item in missing if item.name not in session.dims]
    return missing


async def _read(session: Session, layout: Layout, missing: list[Vector], namespace: str, after: str, rows: int) -> str:
    """Note the dimensions of what the next records hold; returns the last id, "" at the end."""
    request = search.SearchRequest(
        collection=layout.name,
        tenant=namespace,
        limit=rows,
        properties=search.PropertiesRequest(),
        metadata=search.MetadataRequest(
            uuid=True,
            vector=any(not item.name for item in missing),
            vectors=[item.name for item in missing if item.name],
        ),
        uses_123_api=True,
        uses_125_api=True,
        uses_127_api=True,
    )
    if after:
        request.after = after
    answer = await session.ask(namespace, "Search", request, search.SearchReply)
    if answer.results:
        await session.held(namespace)
    for result in answer.results:
        for name, dim in held(result.metadata, layout).items():
            session.dims.setdefault(name, dim)
    return str(id_of(answer.results[-1])) if len(answer.results) == rows else ""


def held(metadata: Any, layout: Layout) -> dict[str, int]:
    """The dimensions of the vectors that one result holds."""
    found = {"": len(metadata.vector_bytes) // 4} if metadata.vector_bytes else {}
    for entry in metadata.vectors:
        item = layout.vector(entry.name)
        if item is not None and entry.vector_bytes:
            multi = item.kind is VectorKind.MULTI
            width = int.from_bytes(entry.vector_bytes[:2], "little") if multi else len(entry.vector_bytes) // 4
            found[entry.name] = width
    return found


def _index_tells(item: Vector) -> bool:
    """Whether an index with vectors in it refuses a query of another length. Quantized ones find nothing instead
    (measured with 1.39.0)."""
    config: Mapping[str, Any] = item.json.get("vectorIndexConfig") or {}
    quantized = any((config.get(name) or {}).get("enabled") for name in _QUANTIZERS)
    plain = item.json.get("vectorIndexType") in ("hnsw", "flat") and item.kind is VectorKind.DENSE
    return plain and not quantized and not config.get("skip")


async def _ask_index(session: Session, layout: Layout, item: Vector, namespace: str) -> None:
    request = near_request(layout, item, np.zeros(1, np.float32), 1, namespace)
    request.metadata.CopyFrom(search.MetadataRequest(uuid=True))
    try:
        answer = await session.client.call("Search", request, search.SearchReply)
    except grpc.RpcError as error:
        found = _REFUSAL.search(str(getattr(error, "details", lambda: "")() or ""))
        if found is None:
            raise
        # Indexes differ in the order; the query's own length is 1.
        session.dims.setdefault(item.name, max(int(found.group(1)), int(found.group(2))))
        return
    if answer.results:
        session.dims.setdefault(item.name, 1)
