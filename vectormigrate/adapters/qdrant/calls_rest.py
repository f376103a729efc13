"""Records over the REST interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapters.qdrant import ids as wire
from vectormigrate.adapters.qdrant import rest_json as jsons
from vectormigrate.adapters.qdrant.calls import Records, check_status
from vectormigrate.adapters.qdrant.client_rest import JSON_OPTIONS, Rest, segment
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.filters import Where
from vectormigrate.model.batch import Metadata, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import VectorField, VectorKind

MAX_BODY = 30 * 2**20
"""The server refuses more than 32 MiB (by default) with 400."""


class RestPoints:
    """Implements Transport."""

    def __init__(self, rest: Rest, config: QdrantConfig) -> None:
        self._rest = rest
        self._path = f"/collections/{segment(config.collection)}"
        self._write: dict[str, str | int] = {"wait": "true"}
        if config.ordering != "weak":
            self._write["ordering"] = config.ordering
        self.consistency: str | int | None = config.consistency

    async def _read(self, path: str, body: dict[str, Any]) -> Any:
        params = {} if self.consistency is None else {"consistency": self.consistency}
        return await self._rest.call("POST", self._path + path, body, params)

    async def scroll(
        self, where: Where, offset: RecordId | None, limit: int, fields: Sequence[VectorField], *, payload: bool = True
    ) -> Records:
        body = where.json_body(limit=limit, with_payload=payload, with_vector=_vectors(fields))
        if offset is not None:
            body["offset"] = wire.wire_id(offset)
        found = await self._read("/points/scroll", body)
        following = found.get("next_page_offset")
        return _records(found["points"], fields, None if following is None else wire.record_id(following))

    async def retrieve(self, where: Where, ids: Sequence[RecordId], fields: Sequence[VectorField]) -> Records:
        chosen = [wire.wire_id(item) for item in ids]
        body = {"ids": chosen, "with_payload": True, "with_vector": _vectors(fields)}
        return _records(await self._read("/points", where.json_shard(body)), fields, None)

    async def count(self, where: Where) -> int:
        return int((await self._read("/points/count", where.json_body(exact=True)))["count"])

    async def facet(self, where: Where, limit: int) -> dict[str, int]:
        found = await self._read("/facet", where.json_body(key=where.field, limit=limit, exact=True))
        return {str(hit["value"]): int(hit["count"]) for hit in found["hits"]}

    async def upsert(
        self, where: Where, batch: RecordBatch, rows: list[int], payloads: Mapping[int, Metadata], *, single: bool
    ) -> None:
        body = where.json_shard({"points": jsons.points(batch, rows, payloads, single)})
        content = orjson.dumps(body, option=JSON_OPTIONS)
        if len(content) > MAX_BODY and len(rows) > 1:
            half = len(rows) // 2
            await self.upsert(where, batch, rows[:half], payloads, single=single)
            await self.upsert(where, batch, rows[half:], payloads, single=single)
            return
        check_status((await self._rest.call("PUT", self._path + "/points", content, self._write))["status"])

    async def delete(self, where: Where) -> None:
        body: dict[str, Any] = {"points": [wire.wire_id(item) for item in where.ids or ()]}
        if where.namespace is not None:
            body = {"filter": where.json_filter()}
        found = await self._rest.call("POST", self._path + "/points/delete", where.json_shard(body), self._write)
        check_status(found["status"])

    async def query(self, where: Where, field: VectorField, queries: Queries, k: int) -> list[Hits]:
        searches = [where.json_body(query=_query(field, one), using=field.name, limit=k) for one in queries]
        if not field.name:
            searches = [{key: value for key, value in one.items() if key != "using"} for one in searches]
        found = await self._read("/points/query/batch", {"searches": searches})
        return [
            Hits([wire.record_id(hit["id"]) for hit in one["points"]], [float(hit["score"]) for hit in one["points"]])
            for one in found
        ]


def _vectors(fields: Sequence[VectorField]) -> bool | list[str]:
    names = [item.name for item in fields]
    return bool(names) if "" in names or not names else names


def _records(points: list[dict[str, Any]], fields: Sequence[VectorField], following: RecordId | None) -> Records:
    return Records(
        ids=[wire.record_id(point["id"]) for point in points],
        payloads=[point.get("payload") or {} for point in points],
        columns=jsons.columns([point.get("vector") for point in points], fields),
        following=following,
    )


def _query(field: VectorField, query: Any) -> Any:
    if field.kind is VectorKind.SPARSE:
        indices, values = query
        return {"indices": np.asarray(indices, np.uint32), "values": jsons.numbers(np.asarray(values, np.float32))}
    row = jsons.numbers(np.asarray(query, np.float32))
    return [row] if field.kind is VectorKind.MULTI else row
