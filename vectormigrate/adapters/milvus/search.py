"""Search with a collection's own index."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapters.milvus.encode import sparse_rows
from vectormigrate.adapters.milvus.errors import NAME
from vectormigrate.adapters.milvus.indexes import index_params, pairs, search_params
from vectormigrate.adapters.milvus.layout import Layout, VectorColumn
from vectormigrate.adapters.milvus.proto import cp, pb
from vectormigrate.adapters.milvus.session import Session
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import NUMPY_DTYPE, SparseColumn
from vectormigrate.model.schema import DType


async def search(session: Session, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
    """Top-k per query by the collection's index."""
    layout = await session.layout()
    item = next((item for item in layout.vectors if item.name == vector), None)
    if item is None:
        message = f"collection {layout.name!r} has no vector field {vector!r}"
        raise InvalidRequest(message, adapter=NAME, operation="search")
    name = await session.partition(namespace)
    if name is None or not len(queries):
        return [Hits([], []) for _ in range(len(queries))]
    await session.readable(name)
    indexes = {found.field_name: index_params(found) for found in await session.indexes()}
    params = indexes.get(vector, {})
    request = pb.SearchRequest(
        collection_name=layout.name,
        partition_names=[name] if name else [],
        dsl_type=cp.DslType.BoolExprV1,
        placeholder_group=_placeholder(item, queries),
        nq=len(queries),
        consistency_level=cp.ConsistencyLevel.Strong,
        search_params=pairs(
            {
                "anns_field": vector,
                "topk": k,
                "params": json.dumps(search_params(params, k)),
                "round_decimal": -1,
                **({"metric_type": params["metric_type"]} if "metric_type" in params else {}),
            }
        ),
    )
    answer = await session.client.call(request, pb.SearchResults)
    return _hits(answer.results, layout, len(queries))


def _placeholder(item: VectorColumn, queries: Any) -> bytes:
    if item.dim is None:
        offsets = np.concatenate([[0], np.cumsum([len(indices) for indices, _ in queries])]).astype(np.int64)
        indices = np.concatenate([np.asarray(indices, np.uint32) for indices, _ in queries])
        numbers = np.concatenate([np.asarray(values, np.float32) for _, values in queries])
        values = sparse_rows(SparseColumn(offsets, indices, numbers))
    elif item.dtype is DType.BFLOAT16:
        bits = np.ascontiguousarray(queries, np.float32).view(np.uint32)
        values = [row.tobytes() for row in (bits >> 16).astype("<u2")]
    else:
        values = [np.ascontiguousarray(row, NUMPY_DTYPE[item.dtype]).tobytes() for row in queries]
    holder = cp.PlaceholderValue(tag="$0", type=item.type, values=values)  # pyright: ignore[reportArgumentType]
    return cp.PlaceholderGroup(placeholders=[holder]).SerializeToString()


def _hits(result: Any, layout: Layout, count: int) -> list[Hits]:
    ids = list(result.ids.str_id.data if layout.text_ids else result.ids.int_id.data)
    scores = list(result.scores)
    found: list[Hits] = []
    start = 0
    for size in result.topks or [0] * count:
        found.append(Hits(ids[start : start + size], scores[start : start + size]))
        start += size
    return found
