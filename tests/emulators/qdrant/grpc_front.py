"""The gRPC front."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
from qdrant_client import grpc as pb

from tests.emulators.qdrant import faults
from tests.emulators.qdrant import messages as to
from tests.emulators.qdrant.collection import Collection, shown
from tests.emulators.qdrant.errors import CODES, Refused, trailers
from tests.emulators.qdrant.store import Store
from vectormigrate.cli.demo.live.engine import Json

STATUSES = {"acknowledged": 1, "completed": 2, "wait_timeout": 4}


class Front:
    """Handlers by method name; each takes the request and returns the answer."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        points: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
            "Upsert": ("upsert", pb.UpsertPoints, self._upsert),
            "Delete": ("delete", pb.DeletePoints, self._delete),
            "Get": ("retrieve", pb.GetPoints, self._get),
            "Scroll": ("scroll", pb.ScrollPoints, self._scroll),
            "Count": ("count", pb.CountPoints, self._count),
            "Facet": ("facet", pb.FacetCounts, self._facet),
            "Query": ("query", pb.QueryPoints, self._query),
            "QueryBatch": ("query", pb.QueryBatchPoints, self._query_batch),
            "SetPayload": ("set_payload", pb.SetPayloadPoints, self._set_payload),
            "OverwritePayload": ("overwrite_payload", pb.SetPayloadPoints, self._overwrite_payload),
            "ClearPayload": ("clear_payload", pb.ClearPayloadPoints, self._clear_payload),
            "DeletePayload": ("delete_payload", pb.DeletePayloadPoints, self._delete_payload),
            "DeleteVectors": ("delete_vectors", pb.DeletePointVectors, self._delete_vectors),
            "UpdateVectors": ("update_vectors", pb.UpdatePointVectors, self._update_vectors),
        }
        collections: dict[str, tuple[str, Any, Callable[[Any], Any]]] = {
            "Get": ("info", pb.GetCollectionInfoRequest, self._info),
            "List": ("list", pb.ListCollectionsRequest, self._list),
            "CollectionClusterInfo": ("cluster", pb.CollectionClusterInfoRequest, self._cluster),
            "CollectionExists": ("exists", pb.CollectionExistsRequest, self._exists),
        }
        health = {"HealthCheck": ("health", pb.HealthCheckRequest, self._health)}
        return [
            self._service("qdrant.Points", points),
            self._service("qdrant.Collections", collections),
            self._service("qdrant.Qdrant", health),
        ]

    def _service(self, name: str, methods: dict[str, tuple[str, Any, Callable[[Any], Any]]]) -> grpc.GenericRpcHandler:
        handlers = {
            method: grpc.unary_unary_rpc_method_handler(
                cast(Any, self._guard(operation, call)),
                request_deserializer=kind.FromString,
                response_serializer=_serialise,
            )
            for method, (operation, kind, call) in methods.items()
        }
        return grpc.method_handlers_generic_handler(name, handlers)

    def _guard(self, operation: str, call: Callable[[Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def handle(request: Any, context: Any) -> Any:
            try:
                if operation != "health":
                    self._enter(context)
                return await self._run(operation, call, request, context)
            except Refused as refused:
                context.set_trailing_metadata(trailers(refused))
                await context.abort(CODES[refused.status], refused.text)

        return handle

    async def _run(self, operation: str, call: Callable[[Any], Any], request: Any, context: Any) -> Any:
        rule = self._store.faults.take(operation)
        if rule is None:
            return call(request)
        if rule.kind == "status":
            raise faults.refusal(rule)
        if rule.kind == "reset":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Connection reset by peer")
        if rule.kind == "stale":
            with self._store.lagging():
                return call(request)
        answer = call(request)
        if rule.kind == "late":
            await asyncio.sleep(3600)
        if rule.kind == "lost":
            raise Refused(500, faults.TEXTS[500])
        if rule.kind == "update_status":
            answer.result.status = STATUSES[rule.update_status]
        return answer

    def _enter(self, context: Any) -> None:
        key = self._store.api_key
        if key is None:
            return
        given = dict(context.invocation_metadata() or ()).get("api-key")
        if given is None:
            raise Refused(401, "Must provide an API key or an Authorization bearer token")
        if given != key:
            raise Refused(401, "Invalid API key or JWT")

    def _named(self, request: Any) -> Collection:
        return self._store.get(request.collection_name)

    def _filter(self, message: Any) -> Json | None:
        return to.filter_json(message, since=self._store.version)

    # Reads

    def _scroll(self, request: Any) -> Any:
        body = to.shard(request, {"filter": self._filter(request.filter)})
        if request.HasField("offset"):
            body["offset"] = to.id_json(request.offset)
        if request.HasField("limit"):
            body["limit"] = request.limit
        body["with_payload"] = to.with_payload(request.with_payload)
        body["with_vector"] = to.with_vector(request.with_vectors)
        records, following = self._named(request).scroll(body)
        answer = pb.ScrollResponse()
        for key, record in records:
            self._put_point(answer.result.add(), key, record, body)
        if following is not None:
            answer.next_page_offset.CopyFrom(to.id_message(following))
        return answer

    def _get(self, request: Any) -> Any:
        body = to.shard(request, {"ids": [to.id_json(item) for item in request.ids]})
        body["with_payload"] = to.with_payload(request.with_payload)
        body["with_vector"] = to.with_vector(request.with_vectors)
        answer = pb.GetResponse()
        for key, record in self._named(request).retrieve(body):
            self._put_point(answer.result.add(), key, record, body)
        return answer

    def _put_point(self, target: Any, key: Any, record: Any, body: Json) -> None:
        _, payload, vectors = shown(record, body)
        target.id.CopyFrom(to.id_message(record.id))
        for name, value in (payload or {}).items():
            to.put_value(target.payload[name], value)
        if body["with_vector"]:
            to.put_vectors(target.vectors, vectors, old=not self._store.since(17))
        if key is not None:
            chosen = pb.ShardKey(number=key) if isinstance(key, int) else pb.ShardKey(keyword=key)
            target.shard_key.CopyFrom(chosen)

    def _count(self, request: Any) -> Any:
        body = to.shard(request, {"filter": self._filter(request.filter)})
        return pb.CountResponse(result=pb.CountResult(count=self._named(request).count(body)))

    def _facet(self, request: Any) -> Any:
        body = to.shard(request, {"key": request.key, "filter": self._filter(request.filter)})
        body["limit"] = request.limit if request.HasField("limit") else None
        answer = pb.FacetResponse()
        for value, count in self._named(request).facet(body):
            hit = answer.hits.add(count=count)
            if isinstance(value, bool):
                hit.value.bool_value = value
            elif isinstance(value, int):
                hit.value.integer_value = value
            else:
                hit.value.string_value = str(value)
        return answer

    def _query_body(self, request: Any) -> Json:
        body = to.shard(request, {"filter": self._filter(request.filter), "using": request.using})
        body["query"] = to.query_json(request.query)
        if request.HasField("limit"):
            body["limit"] = request.limit
        if request.HasField("params"):
            body["params"] = {"exact": request.params.exact}
        body["with_payload"] = to.with_payload(request.with_payload)
        return body

    def _query(self, request: Any) -> Any:
        answer = pb.QueryResponse()
        self._put_hits(answer.result, self._named(request).query(self._query_body(request)))
        return answer

    def _query_batch(self, request: Any) -> Any:
        collection = self._named(request)
        most = collection.strict.get("search_max_batchsize")
        if most is not None and len(request.query_points) > most:
            raise Refused(400, f"Bad request: Limit exceeded for search batch size ({most}). Help: Reduce it.")
        answer = pb.QueryBatchResponse()
        for one in request.query_points:
            self._put_hits(answer.result.add().result, collection.query(self._query_body(one)))
        return answer

    def _put_hits(self, target: Any, hits: list[Any]) -> None:
        for hit in hits:
            found = target.add(score=hit.score, id=to.id_message(hit.id))
            for name, value in (hit.payload or {}).items():
                to.put_value(found.payload[name], value)

    # Writes

    def _change(self, request: Any, operation: str, body: Json) -> Any:
        collection = self._named(request)
        waits = request.wait
        try:
            collection.batch([{operation: to.shard(request, body)}])
        except Refused as refused:
            if waits or self._store.since(19) or refused.status not in (400, 404) or "Shard key" in refused.text:
                raise
        status = STATUSES["completed" if waits else "acknowledged"]
        result = pb.UpdateResult(operation_id=collection.applied, status=cast(Any, status))
        return pb.PointsOperationResponse(result=result, time=0.001)

    def _upsert(self, request: Any) -> Any:
        points = [
            {
                "id": to.id_json(item.id),
                "vector": to.vectors_json(item.vectors),
                "payload": to.payload_json(item.payload),
            }
            for item in request.points
        ]
        body: Json = {"points": points}
        if self._store.since(17) and request.update_mode:
            body["update_mode"] = "conditional"
        return self._change(request, "upsert", body)

    def _selector(self, selector: Any) -> Json:
        if selector.WhichOneof("points_selector_one_of") == "filter":
            found = self._filter(selector.filter)
            return {"filter": found or {}}
        return {"points": [to.id_json(item) for item in selector.points.ids]}

    def _delete(self, request: Any) -> Any:
        return self._change(request, "delete", self._selector(request.points))

    def _set_payload(self, request: Any) -> Any:
        body = {**self._selector(request.points_selector), "payload": to.payload_json(request.payload)}
        return self._change(request, "set_payload", body)

    def _overwrite_payload(self, request: Any) -> Any:
        body = {**self._selector(request.points_selector), "payload": to.payload_json(request.payload)}
        return self._change(request, "overwrite_payload", body)

    def _clear_payload(self, request: Any) -> Any:
        return self._change(request, "clear_payload", self._selector(request.points))

    def _delete_payload(self, request: Any) -> Any:
        body = {**self._selector(request.points_selector), "keys": list(request.keys)}
        return self._change(request, "delete_payload", body)

    def _delete_vectors(self, request: Any) -> Any:
        body = {**self._selector(request.points_selector), "vector": list(request.vectors.names)}
        return self._change(request, "delete_vectors", body)

    def _update_vectors(self, request: Any) -> Any:
        points = [{"id": to.id_json(item.id), "vector": to.vectors_json(item.vectors)} for item in request.points]
        return self._change(request, "update_vectors", {"points": points})

    # Collections

    def _info(self, request: Any) -> Any:
        from qdrant_client.conversions.conversion import RestToGrpc
        from qdrant_client.http.models import CollectionInfo, VectorParams

        # What the protocol has no place for is left out, as by the server.
        found = self._store.info(request.collection_name)
        params = found["config"]["params"]
        held = params.get("vectors") or {}
        known = VectorParams.model_fields
        if "size" in held:
            params["vectors"] = {key: value for key, value in held.items() if key in known}
        info = CollectionInfo.model_validate(found)
        return pb.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(info))

    def _cluster(self, request: Any) -> Any:
        keys = self._named(request).keys
        answer = pb.CollectionClusterInfoResponse(peer_id=self._store.peer, shard_count=len(keys))
        for number, key in enumerate(keys):
            shard = answer.local_shards.add(shard_id=number, state=pb.ReplicaState.Active)
            if key is not None:
                shard.shard_key.CopyFrom(pb.ShardKey(number=key) if isinstance(key, int) else pb.ShardKey(keyword=key))
        return answer

    def _list(self, request: Any) -> Any:
        return pb.ListCollectionsResponse(
            collections=[pb.CollectionDescription(name=name) for name in self._store.names()]
        )

    def _exists(self, request: Any) -> Any:
        name = self._store.aliases.get(request.collection_name, request.collection_name)
        return pb.CollectionExistsResponse(result=pb.CollectionExists(exists=name in self._store.names()))

    def _health(self, request: Any) -> Any:
        return pb.HealthCheckReply(title="qdrant - vector search engine", version=self._store.text)


def _serialise(message: Any) -> bytes:
    return message.SerializeToString()
