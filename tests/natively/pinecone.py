"""The pinecone SDK: list and fetch in every namespace; documents through their own calls."""

from __future__ import annotations

import importlib
from typing import Any

from tests.natively import NativeRecord, floats
from vectormigrate.config.settings import Endpoint

OWN = "__vectormigrate_note__"


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    sdk: Any = importlib.import_module("pinecone")
    key = endpoint.api_key.get_secret_value() if endpoint.api_key else ""
    found: list[NativeRecord] = []
    async with (
        sdk.AsyncPinecone(api_key=key, host=endpoint.url) as client,
        await client.index(endpoint.collection) as index,
    ):
        fields = (await client.indexes.describe(endpoint.collection)).schema.to_dict()["fields"]
        async for page in index.list_namespaces():
            for space in page.namespaces:
                if space.name != OWN and "_values" not in fields and "_sparse_values" not in fields:
                    found += await _documents(index, space.name, fields)
                elif space.name != OWN:
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


async def _documents(index: Any, name: str, fields: dict[str, Any]) -> list[NativeRecord]:
    ids = [item.id async for item in index.documents.list(namespace=name)]
    found: list[NativeRecord] = []
    for start in range(0, len(ids), 100):
        answer = await index.documents.fetch(ids=ids[start : start + 100], namespace=name)
        found += [
            _document(item.to_dict(), "" if name == "__default__" else name, fields)
            for item in answer.documents.values()
        ]
    return found


def _document(data: dict[str, Any], namespace: str, schema: dict[str, Any]) -> NativeRecord:
    vectors: dict[str, Any] = {}
    for field, config in schema.items():
        if field in data and config["type"] == "dense_vector":
            vectors[field] = floats(data.pop(field))
        elif field in data and config["type"] == "sparse_vector":
            sparse = data.pop(field)
            vectors[field] = dict(zip(sparse["indices"], floats(sparse["values"]), strict=True))
    record_id = data.pop("_id")
    # Field names of documents start with no underscore.
    fields = {{"vm_origin": "_vm_origin", "vm_id": "_vm_id"}.get(key, key): value for key, value in data.items()}
    return NativeRecord(id=record_id, namespace=namespace, fields=fields, vectors=vectors)
