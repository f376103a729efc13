"""Search with a collection's own index."""

from __future__ import annotations

import numpy as np

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapters.weaviate.concurrency import together
from vectormigrate.adapters.weaviate.decode import id_of
from vectormigrate.adapters.weaviate.errors import NAME
from vectormigrate.adapters.weaviate.near import near_request
from vectormigrate.adapters.weaviate.proto import search as pb
from vectormigrate.adapters.weaviate.session import Session
from vectormigrate.errors import InvalidRequest


async def search(session: Session, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
    """Top-k per query by the collection's index; scores are Weaviate's distances, smallest first."""
    layout = await session.layout()
    item = layout.vector(vector)
    if item is None:
        message = f"collection {layout.name!r} has no vector {vector!r}"
        raise InvalidRequest(message, adapter=NAME, operation="search")
    found = [Hits([], []) for _ in range(len(queries))]
    if not await session.has(namespace):
        return found

    async def ask(number: int) -> None:
        request = near_request(layout, item, np.asarray(queries[number], np.float32), k, namespace)
        request.metadata.CopyFrom(pb.MetadataRequest(uuid=True, distance=True))
        answer = await session.client.call("Search", request, pb.SearchReply)
        found[number] = Hits(
            [id_of(result) for result in answer.results], [result.metadata.distance for result in answer.results]
        )

    await together(ask, len(queries))
    return found
