"""The REST front (Starlette)."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import numpy as np
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.emulators.qdrant import faults
from tests.emulators.qdrant.collection import Collection, shown
from tests.emulators.qdrant.errors import Refused, missing
from tests.emulators.qdrant.openapi import Contract
from tests.emulators.qdrant.store import Store
from vectormigrate.cli.demo.live.engine import Json, json_id, json_vectors, lossy

MAX_DEPTH = 127
READS = frozenset({"scroll", "retrieve", "count", "facet", "query"})


class Cut(Exception):
    """The connection is to be cut without an answer."""


class Rest:
    def __init__(self, store: Store, contract: Contract | None) -> None:
        self._store = store
        self._contract = contract

    def app(self) -> Starlette:
        base = "/collections/{name}"
        routes = [
            Route("/", self._guard("version", self._version, free=True)),
            Route("/collections", self._guard("list", self._list)),
            Route("/aliases", self._guard("aliases", self._all_aliases)),
            Route("/collections/aliases", self._guard("change_aliases", self._change_aliases), methods=["POST"]),
            Route(base, self._guard("info", self._info), methods=["GET"]),
            Route(base, self._guard("create", self._create), methods=["PUT"]),
            Route(base, self._guard("update", self._update), methods=["PATCH"]),
            Route(base, self._guard("drop", self._drop), methods=["DELETE"]),
            Route(base + "/exists", self._guard("exists", self._exists)),
            Route(base + "/aliases", self._guard("aliases", self._aliases)),
            Route(base + "/cluster", self._guard("cluster", self._cluster)),
            Route(base + "/shards", self._guard("shards", self._shards), methods=["GET"]),
            Route(base + "/shards", self._guard("make_shard", self._make_shard), methods=["PUT"]),
            Route(base + "/shards/delete", self._guard("drop_shard", self._drop_shard), methods=["POST"]),
            Route(base + "/index", self._guard("index", self._index), methods=["PUT"]),
            Route(base + "/index/{path:path}", self._guard("drop_index", self._drop_index), methods=["DELETE"]),
            Route("/_emulator/{what}", self._control, methods=["POST"]),
        ]
        for path, method, operation, call in (
            ("/points", "POST", "retrieve", self._retrieve),
            ("/points", "PUT", "upsert", self._upsert),
            ("/points/scroll", "POST", "scroll", self._scroll),
            ("/points/count", "POST", "count", self._count),
            ("/points/query", "POST", "query", self._query),
            ("/points/query/batch", "POST", "query", self._query_batch),
            ("/facet", "POST", "facet", self._facet),
            ("/points/delete", "POST", "delete", self._write("delete")),
            ("/points/payload", "POST", "set_payload", self._write("set_payload")),
            ("/points/payload", "PUT", "overwrite_payload", self._write("overwrite_payload")),
            ("/points/payload/delete", "POST", "delete_payload", self._write("delete_payload")),
            ("/points/payload/clear", "POST", "clear_payload", self._write("clear_payload")),
            ("/points/vectors", "PUT", "update_vectors", self._write("update_vectors")),
            ("/points/vectors/delete", "POST", "delete_vectors", self._write("delete_vectors")),
            ("/points/batch", "POST", "batch", self._batch),
        ):
            routes.append(Route(base + path, self._guard(operation, call), methods=[method]))
        return Starlette(routes=routes)

    def _guard(
        self, operation: str, call: Callable[[Request, Json], Any], *, free: bool = False
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                self._enter(request, free)
                body = await self._body(request)
                template = request.scope["route"].path
                if self._contract is not None:
                    self._contract.check_request(request.method, template, body)
                result = await self._run(operation, call, request, body)
            except Refused as refused:
                headers = {} if refused.retry_after is None else {"retry-after": str(refused.retry_after)}
                answer = {"status": {"error": refused.text}, "time": 0.0}
                return Response(orjson.dumps(answer), refused.status, headers, "application/json")
            if free:
                return Response(orjson.dumps(result), media_type="application/json")
            content = orjson.dumps({"result": result, "status": "ok", "time": 0.001}, option=orjson.OPT_SERIALIZE_NUMPY)
            if self._contract is not None:
                self._contract.check_answer(request.method, template, content)
            return Response(content, media_type="application/json")

        return endpoint

    async def _run(self, operation: str, call: Callable[[Request, Json], Any], request: Request, body: Json) -> Any:
        rule = self._store.faults.take(operation)
        if rule is None:
            return call(request, body)
        if rule.kind == "status":
            raise faults.refusal(rule)
        if rule.kind == "reset":
            raise Cut
        if rule.kind == "stale":
            with self._store.lagging():
                return call(request, body)
        result = call(request, body)
        if rule.kind == "late":
            await asyncio.sleep(3600)
        if rule.kind == "lost":
            raise Refused(500, faults.TEXTS[500])
        if rule.kind == "update_status":
            return {**result, "status": rule.update_status}
        return result

    def _enter(self, request: Request, free: bool) -> None:
        key = self._store.api_key
        if key is None or free:
            return
        given = request.headers.get("api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if not given:
            raise Refused(401, "Must provide an API key or an Authorization bearer token")
        if given != key:
            raise Refused(401, "Invalid API key or JWT")

    async def _body(self, request: Request) -> Json:
        raw = await request.body()
        if len(raw) > self._store.max_body:
            size = self._store.max_body
            raise Refused(400, f"JSON payload ({len(raw)} bytes) is larger than allowed (limit: {size} bytes).")
        if not raw:
            return {}
        if deepest(raw) > MAX_DEPTH:
            raise Refused(400, "Format error in JSON body: recursion limit exceeded")
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise Refused(400, f"Format error in JSON body: {error}") from error
        if not isinstance(body, dict):
            raise Refused(400, "Format error in JSON body: invalid type, expected a map")
        return body

    def _named(self, request: Request) -> Collection:
        return self._store.get(_name(request))

    # The server and its collections

    def _version(self, request: Request, body: Json) -> Any:
        return {"title": "qdrant - vector search engine", "version": self._store.text, "commit": "0" * 40}

    def _list(self, request: Request, body: Json) -> Any:
        return {"collections": [{"name": name} for name in self._store.names()]}

    def _info(self, request: Request, body: Json) -> Any:
        return self._store.info(_name(request))

    def _exists(self, request: Request, body: Json) -> Any:
        name = _name(request)
        return {"exists": self._store.aliases.get(name, name) in self._store.names()}

    def _create(self, request: Request, body: Json) -> Any:
        self._store.create(_name(request), body)
        return True

    def _update(self, request: Request, body: Json) -> Any:
        self._store.update(_name(request), body)
        return True

    def _drop(self, request: Request, body: Json) -> Any:
        return self._store.delete(_name(request))

    def _aliases(self, request: Request, body: Json) -> Any:
        name = _name(request)
        return {"aliases": [item for item in self._alias_list() if item["collection_name"] == name]}

    def _all_aliases(self, request: Request, body: Json) -> Any:
        return {"aliases": self._alias_list()}

    def _alias_list(self) -> list[Json]:
        return [{"alias_name": alias, "collection_name": name} for alias, name in self._store.aliases.items()]

    def _change_aliases(self, request: Request, body: Json) -> Any:
        self._store.change_aliases(body["actions"])
        return True

    def _cluster(self, request: Request, body: Json) -> Any:
        keys = self._named(request).keys
        shards = [
            {"shard_id": number, "points_count": 0, "state": "Active", **({} if key is None else {"shard_key": key})}
            for number, key in enumerate(keys)
        ]
        return {
            "peer_id": self._store.peer,
            "shard_count": len(keys),
            "local_shards": shards,
            "remote_shards": [],
            "shard_transfers": [],
        }

    def _shards(self, request: Request, body: Json) -> Any:
        if not self._store.since(17):
            raise Refused(404, "")
        keys = [key for key in self._named(request).keys if key is not None]
        return {"shard_keys": [{"key": key} for key in keys]} if self._named(request).custom else {}

    def _make_shard(self, request: Request, body: Json) -> Any:
        if not self._store.clustered:
            raise Refused(405, "Qdrant is running in standalone mode")
        self._named(request).make_key(body["shard_key"])
        return True

    def _drop_shard(self, request: Request, body: Json) -> Any:
        self._named(request).drop_key(body["shard_key"])
        return True

    def _index(self, request: Request, body: Json) -> Any:
        self._named(request).index(body["field_name"], body["field_schema"])
        return _done(request)

    def _drop_index(self, request: Request, body: Json) -> Any:
        self._named(request).drop_index(unquote(request.path_params["path"]))
        return _done(request)

    # Points

    def _retrieve(self, request: Request, body: Json) -> Any:
        # Whatever its schema says, the server leaves payloads out unless they are asked for.
        body = {"with_payload": False, **body}
        return [_point(key, record, body) for key, record in self._named(request).retrieve(body)]

    def _scroll(self, request: Request, body: Json) -> Any:
        records, following = self._named(request).scroll(body)
        points = [_point(key, record, body) for key, record in records]
        return {"points": points, "next_page_offset": None if following is None else json_id(following)}

    def _count(self, request: Request, body: Json) -> Any:
        return {"count": self._named(request).count(body)}

    def _facet(self, request: Request, body: Json) -> Any:
        return {"hits": [{"value": value, "count": count} for value, count in self._named(request).facet(body)]}

    def _query(self, request: Request, body: Json) -> Any:
        return {"points": [_hit(hit) for hit in self._named(request).query(body)]}

    def _query_batch(self, request: Request, body: Json) -> Any:
        collection = self._named(request)
        most = collection.strict.get("search_max_batchsize")
        if most is not None and len(body["searches"]) > most:
            raise Refused(400, f"Bad request: Limit exceeded for search batch size ({most}). Help: Reduce it.")
        return [{"points": [_hit(hit) for hit in collection.query(one)]} for one in body["searches"]]

    def _upsert(self, request: Request, body: Json) -> Any:
        points = body["points"] if "points" in body else _rows(body["batch"])
        return self._change(request, "upsert", {**body, "points": [_lossy_point(item) for item in points]})

    def _write(self, operation: str) -> Callable[[Request, Json], Any]:
        def call(request: Request, body: Json) -> Any:
            if "payload" in body:
                body = {**body, "payload": lossy(body["payload"])}
            return self._change(request, operation, body)

        return call

    def _batch(self, request: Request, body: Json) -> Any:
        self._named(request).batch(body["operations"])
        return [_done(request) for _ in body["operations"]]

    def _change(self, request: Request, operation: str, body: Json) -> Any:
        try:
            self._named(request).batch([{operation: body}])
        except Refused as refused:
            # Before 1.19 the engine looks at vectors after the answer, unless that waits for it.
            if (
                _waits(request)
                or self._store.since(19)
                or refused.status not in (400, 404)
                or "Shard key" in refused.text
            ):
                raise
            if "Format error" in refused.text or "Collection" in refused.text:
                raise
        return _done(request)

    async def _control(self, request: Request) -> Response:
        body = orjson.loads(await request.body() or b"{}")
        match request.path_params["what"]:
            case "faults":
                self._store.faults.add(body)
            case "collection":
                collection = self._store.get(body.pop("name"))
                for key, value in body.items():
                    setattr(collection, key, value)
            case "store":
                for key, value in body.items():
                    setattr(self._store, key, value)
            case "calls":
                return Response(orjson.dumps(self._store.faults.calls), media_type="application/json")
            case _:
                raise missing(request.path_params["what"])
        return Response(b"{}", media_type="application/json")


def _name(request: Request) -> str:
    return request.path_params["name"]


def _waits(request: Request) -> bool:
    return request.query_params.get("wait") == "true"


def _done(request: Request) -> Json:
    return {"operation_id": 1, "status": "completed" if _waits(request) else "acknowledged"}


def _lossy_point(item: Json) -> Json:
    payload = item.get("payload")
    return item if not payload else {**item, "payload": lossy(payload)}


def _point(key: Any, record: Any, body: Json) -> Json:
    record_id, payload, vectors = shown(record, body)
    found: Json = {"id": record_id}
    if body.get("with_payload", True):
        found["payload"] = payload or {}
    if body.get("with_vector", False):
        found["vector"] = {} if vectors is None else json_vectors(vectors)
    return found if key is None else {**found, "shard_key": key}


def _hit(hit: Any) -> Json:
    score = float(hit.score)
    return {"id": json_id(hit.id), "version": 0, "score": score if math.isfinite(score) else None}


_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def deepest(raw: bytes) -> int:
    """Levels of nesting of a JSON text."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return 0
    bare = np.frombuffer(_TEXT.sub(b"", raw), np.uint8)
    steps = ((bare == 0x5B) | (bare == 0x7B)).astype(np.int32) - ((bare == 0x5D) | (bare == 0x7D))
    return int(np.cumsum(steps).max(initial=0))


def _rows(columns: Json) -> list[Json]:
    """The points of an upsert in columns; a vector that some points lack is null there."""
    vectors, payloads = columns["vectors"], columns.get("payloads") or []
    rows: list[Json] = []
    for row, point_id in enumerate(columns["ids"]):
        vector = vectors[row] if isinstance(vectors, list) else {name: held[row] for name, held in vectors.items()}
        rows.append({"id": point_id, "vector": vector, "payload": payloads[row] if payloads else None})
    return rows
