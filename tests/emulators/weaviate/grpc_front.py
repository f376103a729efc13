"""The gRPC side: `weaviate.v1.Weaviate` and the standard health service.

It runs in threads: two event loops of one process that both use gRPC disturb each other.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np

from tests.emulators.weaviate import work
from tests.emulators.weaviate.faults import Refusal
from tests.emulators.weaviate.filters import test_of
from tests.emulators.weaviate.replies import add_result
from tests.emulators.weaviate.store import Class, Object, Space, Store, distance
from tests.emulators.weaviate.values import BadValue, parse_uuid
from vectormigrate.adapters.weaviate.proto import aggregate, base, batch, removal, search, tenants

MULTI = base.Vectors.VectorType.VECTOR_TYPE_MULTI_FP32


class Front:
    """The RPCs over one store. `key`: the API key that is asked for; `log`: names of the calls."""

    def __init__(self, store: Store, key: str | None, stopping: threading.Event) -> None:
        self._store = store
        self._key = key
        self._stopping = stopping
        self.log: list[str] = []

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        unary: dict[str, tuple[Callable[[Any], Any], Any]] = {
            "Search": (self._search, search.SearchRequest),
            "Aggregate": (self._aggregate, aggregate.AggregateRequest),
            "TenantsGet": (self._tenants, tenants.TenantsGetRequest),
            "BatchObjects": (self._objects, batch.BatchObjectsRequest),
            "BatchReferences": (self._references, batch.BatchReferencesRequest),
            "BatchDelete": (self._delete, removal.BatchDeleteRequest),
        }
        rpcs = {
            name: grpc.unary_unary_rpc_method_handler(
                self._guarded(name, function),
                request_deserializer=request.FromString,
                response_serializer=_bytes,
            )
            for name, (function, request) in unary.items()
        }
        rpcs["BatchStream"] = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=batch.BatchStreamRequest.FromString,
            response_serializer=_bytes,
        )
        health = {"Check": grpc.unary_unary_rpc_method_handler(self._check)}
        return [
            grpc.method_handlers_generic_handler("weaviate.v1.Weaviate", rpcs),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        ]

    def _check(self, request: bytes, context: Any) -> bytes:
        self._authorized(context)
        return b"\x08\x01"

    def _authorized(self, context: Any) -> None:
        if self._key is None:
            return
        given = dict(context.invocation_metadata()).get("authorization")
        if given != f"Bearer {self._key}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "unauthorized: invalid api key")

    def _guarded(self, name: str, function: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        def call(request: Any, context: Any) -> Any:
            self._authorized(context)
            self.log.append(name)
            fault = self._store.knobs.strike(name)
            if fault is not None and fault.kind == "refuse":
                context.abort(getattr(grpc.StatusCode, fault.code), fault.message)
            if fault is not None and fault.kind == "reset":
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            answer: Any = None
            try:
                with self._store.lock:
                    answer = function(request)
            except Refusal as error:
                context.abort(getattr(grpc.StatusCode, error.code), error.text)
            if fault is not None and fault.kind == "lose":
                context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
            if fault is not None and fault.kind == "stall":
                self._stopping.wait()
            return answer

        return call

    def _class(self, name: str, where: str = "") -> Class:
        found = self._store.find(name)
        if found is None:
            raise Refusal(f"{where}could not find class {name} in schema")
        return found

    # Reading

    def _search(self, request: Any) -> search.SearchReply:
        owner = self._class(request.collection)
        knobs = self._store.knobs
        near = request.HasField("near_vector")
        where = f"explorer: {'get' if near else 'list'} class: search: object search at index {owner.name.lower()}: "
        self._grow_cold(owner, request.tenant)
        self._check_page(request)
        limit = request.limit or knobs.query_default
        if limit + request.offset > knobs.query_maximum:
            raise Refusal(
                "explorer: list class: search: invalid pagination params: query maximum results exceeded: the total "
                f"limit calculated from the provided offset '{request.offset}' and limit '{limit}' exceeds the "
                f"configured value for QUERY_MAXIMUM_RESULTS '{knobs.query_maximum}'. If you've supplied a negative "
                "offset or limit, this may be an underflow error"
            )
        try:
            after = parse_uuid(request.after) if request.after else None
        except BadValue as error:
            raise Refusal(
                f"cursor api: invalid 'after' parameter: after parameter '{request.after}' is not a valid uuid: {error}"
            ) from None
        space = owner.space(request.tenant, where)
        found = self._matching(owner, space, request, after)
        scored: list[tuple[Object, float | None]] = [(item, None) for item in found] if not near else []
        if near:
            scored = self._nearest(owner, space, request.near_vector, found, limit + request.offset)
        reply = search.SearchReply()
        wanted = request.properties if request.HasField("properties") else None
        metadata = request.metadata if request.HasField("metadata") else None
        for item, score in itertools.islice(scored, request.offset, request.offset + limit):
            add_result(reply, owner, item, wanted, metadata, score)
        return reply

    def _grow_cold(self, owner: Class, tenant: str) -> None:
        left = self._store.knobs.cold_after.get((owner.name, tenant))
        if left is None:
            return
        self._store.knobs.cold_after[owner.name, tenant] = left - 1
        if left == 0:
            owner.states[tenant] = "COLD"

    def _check_page(self, request: Any) -> None:
        if not request.after:
            return
        given = {
            "where": request.HasField("filters"),
            "sort": bool(request.sort_by),
            "offset": bool(request.offset),
            "near<Media>": request.HasField("near_vector"),
        }
        for name, there in given.items():
            if there:
                raise Refusal(
                    f"cursor api: invalid 'after' parameter: {name} cannot be set with after and limit parameters"
                )

    def _matching(self, owner: Class, space: Space, request: Any, after: Any) -> list[Object] | Any:
        items = self._store.visible(space.after(after))
        if request.HasField("filters"):
            test = test_of(owner, request.filters)
            items = (item for item in items if test(item))
        for order in reversed(request.sort_by):
            name = order.path[0]

            def value(item: Object, name: str = name) -> Any:
                if name == "_id":
                    return str(item.id)
                held = getattr(
                    item, {"_lastUpdateTimeUnix": "updated", "_creationTimeUnix": "created"}.get(name, ""), None
                )
                return held if held is not None else item.properties.get(name, "")

            items = iter(sorted(items, key=value, reverse=not order.ascending))
        return items

    def _nearest(self, owner: Class, space: Space, near: Any, items: Any, k: int) -> list[tuple[Object, float | None]]:
        name, query = self._query(owner, near)
        index = owner.vector_index(name)
        assert index is not None
        settings = index["vectorIndexConfig"]
        width = query.shape[-1]
        known = space.dims.get(name)
        if settings.get("skip"):
            raise Refusal("vector search: cannot vector-search on a class not vector-indexed")
        quantized = any((settings.get(kind) or {}).get("enabled") for kind in ("pq", "bq", "rq"))
        if known is not None and width != known and index["vectorIndexType"] == "hnsw" and quantized:
            return []
        if known is not None and width != known:
            text = f"vector search: {width} vs {known}: vector lengths don't match"
            if index["vectorIndexType"] == "hnsw":
                pair = f"{known} vs {width}"
                text = f"knn search: distance between entrypoint and query node: {pair}: vector lengths don't match"
            raise Refusal(
                f"explorer: get class: vector search: object vector search at index {owner.name.lower()}: {text}"
            )
        scored: list[tuple[Object, float | None]] = [
            (item, _score(settings["distance"], item.vectors[name], query)) for item in items if name in item.vectors
        ]
        scored.sort(key=lambda entry: (entry[1] or 0.0, entry[0].id.bytes))
        return scored[:k]

    def _query(self, owner: Class, near: Any) -> tuple[str, Any]:
        names = list(near.targets.target_vectors) or list(near.target_vectors)
        name = names[0] if names else ""
        if not name and "" not in owner.vector_names and len(owner.vector_names) == 1:
            name = owner.vector_names[0]
        if owner.vector_index(name) is None:
            named = [item for item in owner.vector_names if item]
            raise Refusal(
                f"extract target vectors: class {owner.name} does not have named vector {name} configured. Available "
                f"named vectors {named}"
            )
        entries = near.vectors or [item for holder in near.vector_for_targets for item in holder.vectors]
        if entries:
            data, multi = entries[0].vector_bytes, entries[0].type == MULTI
        elif near.vector_for_targets:
            data, multi = near.vector_for_targets[0].vector_bytes, False
        else:
            data, multi = near.vector_bytes or np.array(near.vector, "<f4").tobytes(), False
        index = owner.vector_index(name)
        assert index is not None
        wants = bool((index["vectorIndexConfig"].get("multivector") or {}).get("enabled"))
        if wants != multi:
            given, held = ("a multi", "regular") if multi else ("a regular", "multi")
            raise Refusal(f"near_vector: provided vector is {given} vector but vector index supports {held} vectors")
        if not multi:
            return name, np.frombuffer(data, "<f4")
        return name, np.frombuffer(data[2:], "<f4").reshape(-1, int.from_bytes(data[:2], "little"))

    def _aggregate(self, request: Any) -> aggregate.AggregateReply:
        owner = self._class(request.collection, "parse params: ")
        space = owner.space(request.tenant, "aggregate: ")
        items = self._store.visible(space.objects.values())
        if request.HasField("filters"):
            test = test_of(owner, request.filters)
            items = (item for item in items if test(item))
        reply = aggregate.AggregateReply()
        reply.single_result.objects_count = sum(1 for _ in items)
        return reply

    def _tenants(self, request: Any) -> tenants.TenantsGetReply:
        owner = self._store.find(request.collection)
        prefix = "get tenants: failed to execute query: could not get tenants: could not get tenants: "
        if owner is None:
            raise Refusal(f"{prefix}class not found")
        if not owner.divided:
            raise Refusal(f'{prefix}multi-tenancy is not enabled for class "{owner.name}"')
        chosen = set(request.names.values) if request.HasField("names") else None
        reply = tenants.TenantsGetReply()
        for name, state in sorted(owner.states.items()):
            if chosen is None or name in chosen:
                status = tenants.TenantActivityStatus.Value(f"TENANT_ACTIVITY_STATUS_{state}")
                reply.tenants.add(name=name, activity_status=status)
        return reply

    # Writing

    def _objects(self, request: Any) -> batch.BatchObjectsReply:
        errors = work.upsert(self._store, [_parsed(item) for item in request.objects])
        reply = batch.BatchObjectsReply()
        for index, text in errors.items():
            reply.errors.add(index=index, error=text)
        return reply

    def _references(self, request: Any) -> batch.BatchReferencesReply:
        reply = batch.BatchReferencesReply()
        for index, item in enumerate(request.references):
            error = work.link(
                self._store,
                item.from_collection,
                item.from_uuid,
                item.name,
                item.to_collection,
                item.to_uuid.lower(),
                item.tenant,
            )
            if error is not None:
                reply.errors.add(index=index, error=error)
        return reply

    def _delete(self, request: Any) -> removal.BatchDeleteReply:
        owner = self._class(request.collection, "batch delete params: ")
        space = owner.space(request.tenant, "batch delete: cannot find objects: ")
        test = test_of(owner, request.filters)
        matching = [item for item in space.after(None) if test(item)]
        chosen = matching[: self._store.knobs.query_maximum]
        reply = removal.BatchDeleteReply(matches=len(matching))
        for item in chosen:
            failed = owner.name in self._store.knobs.read_only
            if not failed and not request.dry_run:
                space.pop(item.id)
            reply.failed += failed
            reply.successful += not failed
            if request.verbose:
                error = "store is read-only due to: manually set by user" if failed else ""
                reply.objects.add(uuid=item.id.bytes, successful=not failed, error=error)
        return reply

    def _stream(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        self._authorized(context)
        self.log.append("BatchStream")
        yield batch.BatchStreamReply(started=batch.BatchStreamReply.Started())
        for request in requests:
            kind = request.WhichOneof("message")
            if kind == "stop":
                break
            if kind != "data":
                continue
            objects = list(request.data.objects.values)
            acks = batch.BatchStreamReply.Acks(uuids=[item.uuid for item in objects])
            yield batch.BatchStreamReply(acks=acks)
            with self._store.lock:
                errors = work.upsert(self._store, [_parsed(item) for item in objects])
            results = batch.BatchStreamReply.Results()
            for index, item in enumerate(objects):
                if index in errors:
                    results.errors.add(error=errors[index], uuid=item.uuid)
                else:
                    results.successes.add(uuid=item.uuid)
            yield batch.BatchStreamReply(results=results)


def _bytes(message: Any) -> bytes:
    return message.SerializeToString()


def _score(metric: str, held: tuple[bytes, bool], query: Any) -> float:
    data, multi = held
    if not multi:
        return distance(metric, np.frombuffer(data, "<f4"), query)
    rows = np.frombuffer(data[2:], "<f4").reshape(-1, int.from_bytes(data[:2], "little"))
    return sum(min(distance(metric, row, part) for row in rows) for part in query)


def _parsed(item: Any) -> tuple[str, str, dict[str, Any]]:
    """(class, tenant, JSON) of an object of a batch."""
    vectors: dict[str, tuple[bytes, bool]] = {}
    legacy = item.vector_bytes or np.array(item.vector, "<f4").tobytes()
    if legacy:
        vectors[""] = legacy, False
    for entry in item.vectors:
        vectors[entry.name] = entry.vector_bytes, entry.type == MULTI
    found = _properties(item.properties)
    for single in item.properties.single_target_ref_props:
        found[single.prop_name] = [{"beacon": f"weaviate://localhost/{key}"} for key in single.uuids]
    for many in item.properties.multi_target_ref_props:
        links = [{"beacon": f"weaviate://localhost/{many.target_collection}/{key}"} for key in many.uuids]
        found.setdefault(many.prop_name, []).extend(links)
    return item.collection, item.tenant, {"id": item.uuid, "properties": found, "vectors": vectors}


def _properties(held: Any) -> dict[str, Any]:
    found: dict[str, Any] = {key: _plain(value) for key, value in held.non_ref_properties.fields.items()}
    for group in (held.boolean_array_properties, held.text_array_properties, held.int_array_properties):
        for entry in group:
            found[entry.prop_name] = list(entry.values)
    for entry in held.number_array_properties:
        data = np.frombuffer(entry.values_bytes, "<f8").tolist() if entry.values_bytes else list(entry.values)
        found[entry.prop_name] = data
    for entry in held.object_properties:
        found[entry.prop_name] = _properties(entry.value)
    for entry in held.object_array_properties:
        found[entry.prop_name] = [_properties(part) for part in entry.values]
    found |= {name: [] for name in held.empty_list_props}
    return found


def _plain(value: Any) -> Any:
    """A value of a Struct; NaN and infinities turn into text, as in Go."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return number if np.isfinite(number) else {True: "NaN"}.get(number != number, "Infinity")
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return {key: _plain(item) for key, item in value.struct_value.fields.items()}
        case "list_value":
            return [_plain(item) for item in value.list_value.values]
        case _:
            return None


@contextlib.contextmanager
def served(front: Front, message_bytes: int) -> Generator[int, None, None]:
    """Run the gRPC server on a free loopback port, which is yielded."""
    options = [
        ("grpc.max_receive_message_length", message_bytes),
        ("grpc.max_send_message_length", message_bytes),
        ("grpc.so_reuseport", 0),
    ]
    pool = ThreadPoolExecutor(16, thread_name_prefix="weaviate-emulator-grpc")
    server = grpc.server(pool, options=options)
    server.add_generic_rpc_handlers(tuple(front.handlers()))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(0).wait()
        pool.shutdown()
