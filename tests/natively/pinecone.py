"""The pinecone SDK: list and fetch in every namespace; documents through their own calls."""

from __future__ import annotations

import importlib
from typing import Any

from tests.natively import NativeRecord, floats
from vectormigrate.settings import Endpoint

OWN = "__vectormigrate_note__"


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    sdk: Any = importlib.import_module("pinecone")
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
    found: list[NativeRecord] = []
    async with (
        sdk.AsyncPinecone(api_key=key, host=endpoint.url) as client,
        await client.index(endpoint.collection) as index,
    ):
        async for page in index.list_namespaces():
            for space in page.namespaces:
                if space.name != OWN:
                    found += await _namespace(index, space.name)
    return found


async def _namespace(index: Any, name: str) -> list[NativeRecord]:
    ids: list[str] = []
    token = None
    while True:
        page = await index.list_paginated(namespace=name, pagination_token=token)
        ids += [item.id for item in page.vectors]
        token = page.pagination.next if page.pagination else None
        if not token:
            break
    found: list[NativeRecord] = []
    for start in range(0, len(ids), 20):
        answer = await index.fetch(ids=ids[start : start + 20], namespace=name)
        found += [_record(item, "" if name == "__default__" else name) for item in answer.vectors.values()]
    return found


def _record(item: Any, namespace: str) -> NativeRecord:
    vectors: dict[str, Any] = {}
    if item.values:
        vectors["values"] = floats(item.values)
    if item.sparse_values is not None:
        sparse = item.sparse_values
        vectors["sparse_values"] = dict(zip(sparse.indices, floats(sparse.values), strict=True))
    return NativeRecord(id=item.id, namespace=namespace, fields=dict(item.metadata or {}), vectors=vectors)
