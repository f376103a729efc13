"""Search with a collection's own index."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapters.weaviate.client import AT_ONCE
from vectormigrate.adapters.weaviate.decode import id_of
from vectormigrate.adapters.weaviate.errors import NAME
from vectormigrate.adapters.weaviate.layout import Layout, Vector
from vectormigrate.adapters.weaviate.proto import base, near
from vectormigrate.adapters.weaviate.proto import search as pb
from vectormigrate.adapters.weaviate.session import Session
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.schema import VectorKind


async def search(session: Session, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
    """Top-k per query by the collection's index; scores are Weaviate's distances, smallest first."""
    layout = await session.layout()
    item = layout.vector(vector)
    if item is None:
        message = f"collection {layout.name!r} has no vector {vector!r}"
        raise InvalidRequest(message, adapter=NAME, operation="search")
    if not await session.has(namespace):
        return [Hits([], []) for _ in range(len(queries))]

    async def ask(query: Any) -> Hits:
        request = near_request(layout, item, np.asarray(query, np.float32), k, namespace)
        request.metadata.CopyFrom(pb.MetadataRequest(uuid=True, distance=True))
        answer = await session.client.call("Search", request, pb.SearchReply)
        return Hits(
            [id_of(result) for result in answer.results], [result.metadata.distance for result in answer.results]
        )

    return await gather([lambda query=query: ask(query) for query in queries], AT_ONCE)


def near_request(layout: Layout, item: Vector, vector: NDArray[Any], k: int, namespace: str) -> pb.SearchRequest:
    """A search for the k nearest; nothing but what `metadata` will name is returned."""
    request = pb.SearchRequest(
        collection=layout.name,
        tenant=namespace,
        limit=k,
        properties=pb.PropertiesRequest(),
        uses_123_api=True,
        uses_125_api=True,
        uses_127_api=True,
    )
    data = np.ascontiguousarray(vector, "<f4")
    if not item.name:
        request.near_vector.vector_bytes = data.tobytes()
        return request
    kind = base.Vectors.VectorType
    single = item.kind is not VectorKind.MULTI
    payload = data.tobytes() if single else data.shape[-1].to_bytes(2, "little") + data.tobytes()
    request.near_vector.CopyFrom(
        near.NearVector(
            targets=near.Targets(target_vectors=[item.name]),
            vectors=[
                base.Vectors(
                    name=item.name,
                    vector_bytes=payload,
                    type=kind.VECTOR_TYPE_SINGLE_FP32 if single else kind.VECTOR_TYPE_MULTI_FP32,
                )
            ],
        )
    )
    return request
