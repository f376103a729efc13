"""The request for a search by vector. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.adapters.weaviate.layout import Layout, Vector
from vectormigrate.adapters.weaviate.proto import base, near, search
from vectormigrate.model.schema import VectorKind


def near_request(layout: Layout, item: Vector, vector: NDArray[Any], k: int, namespace: str) -> search.SearchRequest:
    """A search for the k nearest; nothing but what `metadata` will name is returned."""
    request = search.SearchRequest(
        collection=layout.name,
        tenant=namespace,
        limit=k,
        properties=search.PropertiesRequest(),
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
