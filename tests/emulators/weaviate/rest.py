"""The REST side, under `/v1`."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import numpy as np

from tests.emulators.weaviate import rules, work
from tests.emulators.weaviate.faults import Fault, Refusal
from tests.emulators.weaviate.openapi import Checker
from tests.emulators.weaviate.replies import rest_object
from tests.emulators.weaviate.store import HOT, Class, Object, Store
from tests.emulators.weaviate.values import BadValue, beacon_of, parse_uuid

Answer = tuple[int, Any]
STATES = {"ACTIVE": "HOT", "INACTIVE": "COLD", "OFFLOADED": "FROZEN"}
MISSING = (404, None)


class Rest:
    """An ASGI application over one store. `key`: the API key that is asked for; `log`: the requests."""

    def __init__(
        self, store: Store, key: str | None, message_bytes: int, version: str, stopping: threading.Event
    ) -> None:
        self._store = store
        self._key = key
        self._meta: dict[str, Any] = {
            "grpcMaxMessageSize": message_bytes,
            "hostname": "http://[::]:8080",
            "modules": {},
            "version": version,
        }
        self._stopping = stopping
        self.checker: Checker | None = None
        self.log: list[str] = []
        name, one = r"([^/]+)", r"([^/]+)"
        self._routes: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = [
            (method, re.compile(f"/v1{path}"), function)
            for method, path, function in (
                ("GET", "/meta", self._show_meta),
                ("GET", r"/\.well-known/(?:ready|live)", self._ready),
                ("GET", r"/\.well-known/openid-configuration", self._no_openid),
                ("GET", "/nodes", self._nodes),
                ("GET", "/schema", self._classes),
                ("POST", "/schema", self._create),
                ("GET", f"/schema/{name}", self._class),
                ("PUT", f"/schema/{name}", self._change),
                ("DELETE", f"/schema/{name}", self._drop),
                ("POST", f"/schema/{name}/properties", self._add_property),
                ("GET", f"/schema/{name}/shards", self._shards),
                ("PUT", f"/schema/{name}/shards/{one}", self._set_shard),
                ("GET", f"/schema/{name}/tenants", self._tenants),
                ("POST", f"/schema/{name}/tenants", self._add_tenants),
                ("PUT", f"/schema/{name}/tenants", self._set_tenants),
                ("DELETE", f"/schema/{name}/tenants", self._drop_tenants),
                ("GET", f"/schema/{name}/tenants/{one}", self._tenant),
                ("HEAD", f"/schema/{name}/tenants/{one}", self._tenant),
                ("GET", "/objects", self._page),
                ("POST", "/objects", self._insert),
                ("GET", f"/objects/{name}/{one}", self._object),
                ("HEAD", f"/objects/{name}/{one}", self._head),
                ("PUT", f"/objects/{name}/{one}", self._replace),
                ("PATCH", f"/objects/{name}/{one}", self._merge),
                ("DELETE", f"/objects/{name}/{one}", self._delete),
                ("PUT", f"/objects/{name}/{one}/references/{one}", self._put_links),
                ("POST", f"/objects/{name}/{one}/references/{one}", self._post_link),
                ("DELETE", f"/objects/{name}/{one}/references/{one}", self._delete_link),
                ("POST", "/batch/references", self._batch_links),
                ("POST", "/batch/objects", self._batch_objects),
                ("GET", "/aliases", self._aliases),
                ("POST", "/aliases", self._add_alias),
                ("GET", f"/aliases/{name}", self._alias),
                ("PUT", f"/aliases/{name}", self._set_alias),
                ("DELETE", f"/aliases/{name}", self._drop_alias),
            )
        ]

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        data, more = b"", True
        while more:
            message = await receive()
            data, more = data + message.get("body", b""), message.get("more_body", False)
        method, path = scope["method"], scope["path"]
        query = _query(scope["query_string"].decode())
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        parts = path.split("/")
        operation = f"{method} /{parts[2]}" if len(parts) > 2 else f"{method} {path}"
        self.log.append(operation)
        fault = self._store.knobs.strike(operation)
        if fault is not None and fault.kind == "refuse":
            await self._send(send, (fault.status, {"error": [{"message": fault.message}]}), method, fault)
            return
        if fault is not None and fault.kind == "reset":
            await _break(send)
            return
        answer = self._answer(method, path, query, data, headers)
        if fault is not None and fault.kind == "stall":
            await asyncio.to_thread(self._stopping.wait)
        if fault is not None and fault.kind == "lose":
            await _break(send)
            return
        if self.checker is not None:
            self.checker.check(method, path.removeprefix("/v1"), query, data, *answer)
        await self._send(send, answer, method, None)

    def _answer(self, method: str, path: str, query: dict[str, str], data: bytes, headers: dict[str, str]) -> Answer:
        if (
            self._key is not None
            and "/.well-known/" not in path
            and headers.get("authorization") != f"Bearer {self._key}"
        ):
            return 401, {"code": 401, "message": "unauthorized: invalid api key"}
        try:
            body = json.loads(data) if data else None
        except ValueError:
            return 400, {"code": 400, "message": "parsing body failed"}
        for wanted, pattern, function in self._routes:
            found = pattern.fullmatch(path)
            if wanted == method and found is not None:
                try:
                    with self._store.lock:
                        return function(query, body, *found.groups())
                except Refusal as error:
                    return error.status, {"error": [{"message": error.text}]}
        return 404, {"code": 404, "message": f"path {path} was not found"}

    async def _send(self, send: Any, answer: Answer, method: str, fault: Fault | None) -> None:
        status, body = answer
        data = b"" if body is None or method == "HEAD" else json.dumps(body, separators=(",", ":")).encode() + b"\n"
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
        if fault is not None and fault.retry_after is not None:
            headers.append((b"retry-after", fault.retry_after.encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": data})

    def _show_meta(self, query: dict[str, str], body: Any) -> Answer:
        return 200, self._meta

    def _ready(self, query: dict[str, str], body: Any) -> Answer:
        return 200, None

    def _no_openid(self, query: dict[str, str], body: Any) -> Answer:
        return MISSING

    # Schema

    def _create(self, query: dict[str, str], body: Any) -> Answer:
        return 200, self._store.create(body)

    def _own(self, name: str) -> Class | None:
        """A class by its own name: changes do not follow aliases."""
        return self._store.classes.get(rules.upper(name))

    def _nodes(self, query: dict[str, str], body: Any) -> Answer:
        stats = {"queueLength": 0, "ratePerSecond": 0}
        node = {"batchStats": stats, "name": "node1", "operationalMode": "ReadWrite", "shards": None}
        return 200, {"nodes": [{**node, "status": "HEALTHY", "version": self._meta["version"]}]}

    def _classes(self, query: dict[str, str], body: Any) -> Answer:
        return 200, {"classes": [item.raw for item in self._store.classes.values()]}

    def _class(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self._store.find(name)
        return MISSING if found is None else (200, found.raw)

    def _change(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self._own(name)
        if found is None:
            return MISSING
        found.raw = rules.changed_class(found.raw, body)
        return 200, found.raw

    def _drop(self, query: dict[str, str], body: Any, name: str) -> Answer:
        self._store.classes.pop(rules.upper(name), None)
        return 200, None

    def _add_property(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self._own(name)
        if found is None:
            raise Refusal(f'class "{name}": not found')
        try:
            item = rules.new_property(body, set(self._store.classes))
        except Refusal as error:
            raise Refusal(
                f"property '{body.get('name')}': invalid dataType: {body.get('dataType')}: {error.text}"
            ) from None
        rules.check_names(found.name, [*found.properties, item["name"]])
        found.raw["properties"] = [*(found.raw.get("properties") or []), item]
        return 200, item

    def _shards(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self._store.find(name)
        if found is None:
            return 404, {"error": [{"message": f"cannot get shards status for a non-existing index for {name}"}]}
        names = sorted(found.states) if found.divided else ["shard1"]
        status = "READY"
        if self._store.knobs.busy:
            self._store.knobs.busy -= 1
            status = "INDEXING"
        elif found.name in self._store.knobs.read_only:
            status = "READONLY"
        return 200, [{"name": item, "status": status, "vectorQueueSize": int(status == "INDEXING")} for item in names]

    def _set_shard(self, query: dict[str, str], body: Any, name: str, shard: str) -> Answer:
        found = self._own(name)
        if found is None:
            return MISSING
        if body["status"] == "READONLY":
            self._store.knobs.read_only.add(found.name)
        else:
            self._store.knobs.read_only.discard(found.name)
        return 200, {"status": body["status"]}

    # Tenants

    def _divided(self, name: str, action: str) -> Class:
        found = self._own(name)
        if found is None:
            raise Refusal(f"{action}class not found")
        if not found.divided:
            raise Refusal(f'{action}multi-tenancy is not enabled for class "{found.name}"')
        return found

    def _tenants(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self._divided(name, "failed to execute query: could not get tenants: could not get tenants: ")
        return 200, [{"activityStatus": state, "name": item} for item, state in sorted(found.states.items())]

    def _tenant(self, query: dict[str, str], body: Any, name: str, tenant: str) -> Answer:
        found = self._divided(name, "failed to execute query: could not get tenants: ")
        if tenant not in found.states:
            return MISSING
        return 200, {"activityStatus": found.states[tenant], "name": tenant}

    def _add_tenants(self, query: dict[str, str], body: Any, name: str) -> Answer:
        for number, item in enumerate(body):
            if not item["name"]:
                raise Refusal(f"tenant name at index {number}: empty tenant name")
            if rules.TENANT.fullmatch(item["name"]) is None:
                raise Refusal(
                    f"tenant name at index {number}:  '{item['name']}' is not a valid tenant name. should only contain "
                    "alphanumeric characters (a-z, A-Z, 0-9), underscore (_), and hyphen (-), with a length between 1 "
                    "and 64 characters"
                )
        found = self._divided(name, "updating schema: TYPE_ADD_TENANT: ")
        for item in body:
            state = str(item.get("activityStatus") or HOT)
            found.states.setdefault(str(item["name"]), STATES.get(state, state))
        return 200, body

    def _set_tenants(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self._divided(name, "updating schema: TYPE_UPDATE_TENANT: ")
        if len(body) > 100:
            raise Refusal(f"maximum number of tenants allowed to be updated simultaneously is 100, got {len(body)}")
        for item in body:
            state = STATES.get(item["activityStatus"], item["activityStatus"])
            if item["name"] not in found.states:
                raise Refusal(f"updating schema: TYPE_UPDATE_TENANT: shard not found: {item['name']}")
            if state == "FROZEN" and not self._store.knobs.offload:
                raise Refusal("can't offload tenants, because offload-s3 module is not enabled")
            if state not in ("HOT", "COLD", "FROZEN"):
                raise Refusal(f"invalid activity status '{state}' for tenant")
        for item in body:
            state = str(item["activityStatus"])
            found.states[str(item["name"])] = STATES.get(state, state)
        return 200, body

    def _drop_tenants(self, query: dict[str, str], body: Any, name: str) -> Answer:
        found = self._divided(name, "updating schema: TYPE_DELETE_TENANT: ")
        for tenant in body:
            found.states.pop(tenant, None)
            found.spaces.pop(tenant, None)
        return 200, None

    # Objects

    def _page(self, query: dict[str, str], body: Any) -> Answer:
        found = self._store.find(query.get("class", ""))
        if found is None:
            return MISSING
        knobs = self._store.knobs
        limit = int(query.get("limit") or 25)
        offset = int(query.get("offset") or 0)
        if limit + offset > knobs.query_maximum:
            raise Refusal(
                "msg:offset or limit code:400 err:query maximum results exceeded: the total limit calculated from the "
                f"provided offset '{offset}' and limit '{limit}' exceeds the configured value for "
                f"QUERY_MAXIMUM_RESULTS '{knobs.query_maximum}'."
            )
        try:
            after = parse_uuid(query["after"]) if query.get("after") else None
        except BadValue as error:
            raise Refusal(
                f"msg:cursor api: invalid 'after' parameter code:400 err:after parameter '{query['after']}' is not a "
                f"valid uuid: {error}"
            ) from None
        tenant = query.get("tenant", "")
        space = found.space(tenant, f"msg:search index {found.name.lower()} code:422 err:")
        items = list(self._store.visible(space.after(after)))[offset : offset + limit]
        vectors = "vector" in query.get("include", "")
        shown = [rest_object(found, item, "", vectors=vectors) for item in items]
        return 200, {"deprecations": [], "objects": shown, "totalResults": len(shown)}

    def _find(self, query: Mapping[str, str], name: str, key: str) -> tuple[Class, Object] | None:
        owner = self._store.find(name)
        if owner is None:
            return None
        space = owner.space(query.get("tenant") or "", "repo: object by id: ")
        try:
            held = space.objects.get(parse_uuid(key).int)
        except BadValue:
            raise Refusal(f'id in path must be of type uuid: "{key}"') from None
        hidden = held is None or str(held.id) in self._store.knobs.hidden
        return None if held is None or hidden else (owner, held)

    def _object(self, query: dict[str, str], body: Any, name: str, key: str) -> Answer:
        found = self._find(query, name, key)
        if found is None:
            return MISSING
        return 200, rest_object(*found, query.get("tenant", ""), vectors="vector" in query.get("include", ""))

    def _head(self, query: dict[str, str], body: Any, name: str, key: str) -> Answer:
        return MISSING if self._find(query, name, key) is None else (204, None)

    def _insert(self, query: dict[str, str], body: Any) -> Answer:
        body.setdefault("id", str(uuid4()))
        tenant = body.get("tenant") or ""
        owner = self._store.find(body["class"])
        if owner is None:
            raise Refusal(f"could not find class {body['class']} in schema")
        if self._find({"tenant": tenant}, owner.name, body["id"]) is not None:
            raise Refusal(f"id '{body['id']}' already exists")
        return 200, self._write(owner, tenant, body)

    def _write(
        self, owner: Class, tenant: str, body: Mapping[str, Any], before: Object | None = None
    ) -> dict[str, Any]:
        item = self._store.prepare(owner, tenant, {**body, "vectors": _vectors(body)}, check=self._store.must_exist)
        if before is not None:
            item.created = before.created
        owner.space(tenant).put(item)
        return rest_object(owner, item, tenant, vectors=True)

    def _replace(self, query: dict[str, str], body: Any, name: str, key: str) -> Answer:
        tenant = body.get("tenant") or ""
        found = self._find({"tenant": tenant}, name, key)
        if found is None:
            return MISSING
        return 200, self._write(found[0], tenant, {**body, "id": key}, found[1])

    def _merge(self, query: dict[str, str], body: Any, name: str, key: str) -> Answer:
        tenant = body.get("tenant") or ""
        found = self._find({"tenant": tenant}, name, key)
        if found is None:
            return MISSING
        owner, held = found
        given = body.get("properties") or {}
        changed = self._store.prepare(
            owner, tenant, {**body, "id": key, "vectors": _vectors(body)}, check=self._store.must_exist
        )
        for prop in (rules.lower(item) for item, value in given.items() if value is None):
            held.properties.pop(prop, None)
        held.properties |= changed.properties
        held.vectors |= changed.vectors
        held.updated = changed.updated
        return 204, None

    def _delete(self, query: dict[str, str], body: Any, name: str, key: str) -> Answer:
        owner = self._store.find(name)
        if owner is None:
            text = f"could not delete object from vector repo: delete from non-existing index for {name}"
            return 500, {"error": [{"message": text}]}
        if owner.name in self._store.knobs.read_only:
            return 500, {"error": [{"message": "store is read-only due to: manually set by user"}]}
        owner.space(query.get("tenant") or "").pop(parse_uuid(key))
        return 204, None

    # References

    def _put_links(self, query: dict[str, str], body: Any, name: str, key: str, prop: str) -> Answer:
        found = self._find(query, name, key)
        if found is None:
            return MISSING
        work.replace_links(self._store, *found, prop, body, query.get("tenant") or "")
        return 200, None

    def _post_link(self, query: dict[str, str], body: Any, name: str, key: str, prop: str) -> Answer:
        found = self._find(query, name, key)
        if found is None:
            return MISSING
        owner, held = found
        before = [{"beacon": text} for text in held.properties.get(rules.lower(prop), [])]
        work.replace_links(self._store, owner, held, prop, [*before, body], query.get("tenant") or "")
        return 200, None

    def _delete_link(self, query: dict[str, str], body: Any, name: str, key: str, prop: str) -> Answer:
        found = self._find(query, name, key)
        if found is None:
            return MISSING
        owner, held = found
        targets = owner.properties[rules.lower(prop)]["dataType"]
        target, to = beacon_of(body["beacon"], targets[0] if len(targets) == 1 else None)
        links = held.properties.get(rules.lower(prop), [])
        held.properties[rules.lower(prop)] = [text for text in links if text != f"weaviate://localhost/{target}/{to}"]
        return 204, None

    def _batch_links(self, query: dict[str, str], body: Any) -> Answer:
        answers: list[dict[str, Any]] = []
        for item in body:
            source = str(item["from"]).removeprefix("weaviate://localhost/").split("/")
            target, to = beacon_of(item["to"], None)
            error = work.link(self._store, source[0], source[1], source[2], target, to, item.get("tenant") or "")
            result: dict[str, Any] = {"status": "SUCCESS"}
            if error is not None:
                result = {"status": "FAILED", "errors": {"error": [{"message": error}]}}
            answers.append({**item, "result": result})
        return 200, answers

    def _batch_objects(self, query: dict[str, str], body: Any) -> Answer:
        items = [{**item, "id": item.get("id") or str(uuid4())} for item in body["objects"]]
        parsed = [(item["class"], item.get("tenant") or "", {**item, "vectors": _vectors(item)}) for item in items]
        errors = work.upsert(self._store, parsed)
        return 200, [
            {**item, "deprecations": None, "result": {"status": "SUCCESS"}}
            if index not in errors
            else {**item, "result": {"status": "FAILED", "errors": {"error": [{"message": errors[index]}]}}}
            for index, item in enumerate(items)
        ]

    # Aliases

    def _aliases(self, query: dict[str, str], body: Any) -> Answer:
        wanted = query.get("class")
        found = [{"alias": key, "class": name} for key, name in self._store.aliases.items()]
        return 200, {"aliases": [item for item in found if wanted in (None, item["class"])]}

    def _add_alias(self, query: dict[str, str], body: Any) -> Answer:
        alias = rules.upper(body["alias"])
        if alias in self._store.aliases or alias in self._store.classes:
            raise Refusal(f"create alias: alias {alias} already exists")
        if self._own(body["class"]) is None:
            raise Refusal(f"create alias: class {body['class']} does not exist")
        self._store.aliases[alias] = rules.upper(body["class"])
        return 200, {"alias": alias, "class": rules.upper(body["class"])}

    def _alias(self, query: dict[str, str], body: Any, alias: str) -> Answer:
        name = self._store.aliases.get(rules.upper(alias))
        return MISSING if name is None else (200, {"alias": rules.upper(alias), "class": name})

    def _set_alias(self, query: dict[str, str], body: Any, alias: str) -> Answer:
        if rules.upper(alias) not in self._store.aliases:
            return 404, {"error": [{"message": f"alias {alias} not found"}]}
        self._store.aliases[rules.upper(alias)] = rules.upper(body["class"])
        return 200, {"alias": rules.upper(alias), "class": rules.upper(body["class"])}

    def _drop_alias(self, query: dict[str, str], body: Any, alias: str) -> Answer:
        return MISSING if self._store.aliases.pop(rules.upper(alias), None) is None else (204, None)


def _query(text: str) -> dict[str, str]:
    return dict(parse_qsl(text, keep_blank_values=True))


def _vectors(body: Mapping[str, Any]) -> dict[str, tuple[bytes, bool]]:
    """The vectors of an object in JSON, as on the gRPC wire."""
    found: dict[str, tuple[bytes, bool]] = {}
    if body.get("vector"):
        found[""] = np.array(body["vector"], "<f4").tobytes(), False
    for name, value in (body.get("vectors") or {}).items():
        array = np.array(value, "<f4")
        multi = array.ndim == 2
        found[name] = (array.shape[-1].to_bytes(2, "little") if multi else b"") + array.tobytes(), multi
    return found


async def _break(send: Any) -> None:
    """Promise a body and end without it: the server closes the connection."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"', "more_body": True})
    raise ConnectionResetError
