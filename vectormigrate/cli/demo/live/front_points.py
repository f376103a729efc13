"""One collection of the demo's Qdrant: a shard of the real engine, asked with the JSON of the REST interface.

An answer to a write means that the engine has it in its write-ahead log, from which it is there after a kill.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import qdrant_edge as edge

from vectormigrate.adapters.qdrant.edge.child_params import edge_config, index_params
from vectormigrate.cli.demo.live.engine import (
    Json,
    json_id,
    json_vectors,
    lossy,
    native_filter,
    native_id,
    native_query,
    native_vectors,
)
from vectormigrate.cli.demo.live.refusals import Refused, bad_input, bad_request, of_engine


class Points:
    """Methods take the body of a request and return the `result` of its answer. They raise Refused, and KeyError for
    a missing field."""

    def __init__(self, shard: Any, vectors: Json) -> None:
        """`vectors`: the settings of each vector field by its name."""
        self._shard = shard
        self._vectors = vectors

    @classmethod
    def create(cls, folder: Path, vectors: Json) -> Points:
        """An empty collection in this folder."""
        folder.mkdir(parents=True)
        plain = {
            name: {key: item[key] for key in ("size", "distance", "datatype") if item.get(key)}
            for name, item in vectors.items()
        }
        return cls(edge.EdgeShard.create(str(folder), edge_config({"vectors": plain, "sparse_vectors": {}})), vectors)

    @classmethod
    def load(cls, folder: Path, vectors: Json) -> Points:
        """The collection that an earlier process left in this folder, however it ended."""
        return cls(edge.EdgeShard.load(str(folder)), vectors)

    def close(self) -> None:
        """Flush and leave the folder."""
        self._shard.close()

    def index(self, path: str, item: Json) -> None:
        """Make an index on a payload field; `item` has `data_type` and perhaps `params`."""
        params = {key: value for key, value in (item.get("params") or {}).items() if key != "type"}
        self._apply(edge.UpdateOperation.create_field_index(path, index_params(item["data_type"], params)))

    def drop_index(self, path: str) -> None:
        """Remove the index."""
        self._apply(edge.UpdateOperation.delete_field_index(path))

    def scroll(self, body: Json) -> Json:
        """A page of records in the order of their ids."""
        request = edge.ScrollRequest(
            offset=None if body.get("offset") is None else native_id(body["offset"]),
            limit=_limit(body),
            filter=native_filter(body.get("filter")),
            with_payload=bool(body.get("with_payload", True)),
            with_vector=bool(body.get("with_vector", False)),
        )
        records, following = self._shard.scroll(request)
        offset = None if following is None else json_id(following)
        return {"points": [_shown(record, body, True) for record in records], "next_page_offset": offset}

    def retrieve(self, body: Json) -> list[Json]:
        """The records of these ids that exist."""
        wanted = [native_id(item) for item in body["ids"]]
        payload, vector = bool(body.get("with_payload", False)), bool(body.get("with_vector", False))
        return [_shown(record, body, False) for record in self._shard.retrieve(wanted, payload, vector)]

    def count(self, body: Json) -> Json:
        """Always exact."""
        request = edge.CountRequest(exact=True, filter=native_filter(body.get("filter")))
        return {"count": self._shard.count(request)}

    def facet(self, body: Json) -> Json:
        """Records per value of an indexed field."""
        chosen = native_filter(body.get("filter"))
        limit = int(body.get("limit") or 10)
        try:
            hits = self._shard.facet(edge.FacetRequest(body["key"], limit=limit, exact=True, filter=chosen)).hits
        except Exception as error:
            raise of_engine(error) from error
        return {"hits": [{"value": hit.value, "count": hit.count} for hit in hits]}

    def query(self, body: Json) -> Json:
        """The nearest records of one query."""
        using = body.get("using") or ""
        field = self._vectors.get(using)
        if field is None:
            raise bad_input(f"Not existing vector name error: {using}")
        request = edge.QueryRequest(
            limit=_limit(body),
            query=native_query(field, using, body["query"]),
            filter=native_filter(body.get("filter")),
            with_payload=bool(body.get("with_payload", False)),
            with_vector=bool(body.get("with_vector", False)),
        )
        try:
            hits = self._shard.query(request)
        except Exception as error:
            raise of_engine(error) from error
        return {"points": [{**_shown(hit, body, False), "version": 0, "score": float(hit.score)} for hit in hits]}

    def query_batch(self, body: Json) -> list[Json]:
        """The nearest records of several queries."""
        return [self.query(one) for one in body["searches"]]

    def upsert(self, body: Json) -> None:
        """Write whole records."""
        if "points" not in body:
            raise Refused(400, "this server knows upserts of `points` only")
        if not body["points"]:
            raise bad_request("Empty update request")
        if body.get("update_filter") or body.get("update_mode") not in (None, "upsert"):
            raise Refused(400, "this server does not know conditional upserts")
        make = edge.Point
        points = [
            make(native_id(item["id"]), native_vectors(item["vector"]), lossy(item.get("payload") or {}))
            for item in body["points"]
        ]
        self._apply(edge.UpdateOperation.upsert_points(points))

    def delete(self, body: Json) -> None:
        """Remove records by id or by filter."""
        self._selected(body, edge.UpdateOperation.delete_points, edge.UpdateOperation.delete_points_by_filter)

    def set_payload(self, body: Json) -> None:
        """Change some fields of records and leave the others."""
        if body.get("key") is not None:
            raise Refused(400, "this server does not know `key`")
        make = edge.UpdateOperation
        self._selected(body, make.set_payload, make.set_payload_by_filter, lossy(body["payload"]))

    def _selected(self, body: Json, by_ids: Any, by_filter: Any, *more: Any) -> None:
        points, wanted = body.get("points"), body.get("filter")
        if points is None and not wanted:
            raise Refused(422, "Validation error in JSON body: Either list of point ids or filter must be given")
        if wanted:
            self._apply(by_filter(native_filter(wanted), *more))
        if points is not None:
            self._apply(by_ids([native_id(item) for item in points], *more))

    def _apply(self, operation: Any) -> None:
        try:
            self._shard.update(operation)
        except Exception as error:
            raise of_engine(error) from error


def _limit(body: Json) -> int:
    limit = 10 if body.get("limit") is None else body["limit"]
    if limit < 1:
        raise Refused(422, f"Validation error in JSON body: [limit: value {limit} invalid, must be 1 or larger]")
    return limit


def _shown(record: Any, body: Json, payload: bool) -> Json:
    """The record as the request wants to see it; `payload`: whether it is shown unless the request says so."""
    found: Json = {"id": json_id(record.id)}
    chosen = body.get("with_payload", payload)
    if chosen:
        held = record.payload or {}
        found["payload"] = {key: held[key] for key in chosen if key in held} if isinstance(chosen, list) else held
    names = body.get("with_vector", False)
    if names:
        vectors = record.vector
        if isinstance(names, list) and isinstance(vectors, dict):
            vectors = {key: value for key, value in vectors.items() if key in names}
        found["vector"] = {} if vectors is None else json_vectors(vectors)
    return found
