"""Search with an index's own index."""

from __future__ import annotations

from typing import Any

import numpy as np

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapters.pinecone.calls import FETCHES
from vectormigrate.adapters.pinecone.encode import components, sparse_json
from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.adapters.pinecone.freshness import clause
from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.adapters.pinecone.session import NamespaceMissing, Session, documents_path
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.schema import VectorField

MAX_HITS = 10_000
FAINT = 1e-30
"""First component of the dense query beside a sparse one, which hybrid indexes do not take alone: it moves no score."""


async def search(session: Session, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
    """Top-k per query, a request each. At most 10,000 hits per query."""
    layout = await session.layout()
    item = next((item for item in layout.vectors if item.name == vector), None)
    if item is None:
        message = f"the index {layout.name!r} has no vector field {vector!r}"
        raise InvalidRequest(message, adapter=NAME, operation="search")
    top_k = min(k, MAX_HITS)
    bodies = [_query(layout, item, query) for query in queries]
    return await gather([lambda body=body: _ask(session, layout, body, top_k, namespace) for body in bodies], FETCHES)


def _query(layout: Layout, item: VectorField, query: Any) -> dict[str, Any]:
    if item.dim is not None:
        return {"vector": components(np.asarray(query, np.float32))}
    indices, values = query
    found: dict[str, Any] = {
        "sparseVector": sparse_json(np.asarray(indices, np.uint32), np.asarray(values, np.float32))
    }
    if layout.dense is not None and not layout.documents:
        found["vector"] = [FAINT] + [0.0] * ((layout.dense.dim or 1) - 1)
    return found


async def _ask(session: Session, layout: Layout, query: dict[str, Any], top_k: int, namespace: str) -> Hits:
    try:
        if layout.documents:
            body = {"score_by": [clause(layout, query)], "top_k": top_k}
            matches = (await session.post(documents_path(namespace, "search"), body)).json["matches"]
            return Hits([item["_id"] for item in matches], [float(item["_score"]) for item in matches])
        body = {"topK": top_k, "namespace": namespace, **query}
        matches = (await session.post("/query", body)).json.get("matches", [])
        return Hits([item["id"] for item in matches], [float(item["score"]) for item in matches])
    except NamespaceMissing:
        return Hits([], [])
