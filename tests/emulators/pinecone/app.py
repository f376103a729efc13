"""The HTTP side: routes on the raw path, headers, faults, error replies."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.emulators.pinecone import documents, rules, vectors
from tests.emulators.pinecone.control import Control
from tests.emulators.pinecone.errors import Refusal, invalid
from tests.emulators.pinecone.faults import Fault
from tests.emulators.pinecone.openapi import Checker
from tests.emulators.pinecone.state import Index
from tests.emulators.pinecone.view import View

API_VERSION = "2026-07"

Handler = Callable[[View, Index, Any], Any]

POSTS: dict[str, tuple[str, Handler]] = {
    "/vectors/upsert": ("upsert", vectors.upsert),
    "/vectors/update": ("update", vectors.update),
    "/vectors/delete": ("delete", vectors.delete),
    "/vectors/fetch_by_metadata": ("fetch_by_metadata", vectors.fetch_by_metadata),
    "/query": ("query", vectors.query),
    "/describe_index_stats": ("stats", vectors.stats),
    "/namespaces": ("create_namespace", vectors.create_namespace),
}
GETS: dict[str, tuple[str, Handler]] = {
    "/vectors/fetch": ("fetch", vectors.fetch),
    "/vectors/list": ("list", vectors.list_ids),
    "/namespaces": ("namespaces", vectors.namespaces),
}
DOCUMENTS: dict[str, tuple[str, Callable[[View, Index, str, Any], Any], int]] = {
    "upsert": ("upsert", documents.upsert, 202),
    "update": ("update", documents.update, 202),
    "delete": ("delete", documents.delete, 202),
    "fetch": ("fetch", documents.fetch, 200),
    "list": ("list", documents.list_ids, 200),
    "search": ("query", documents.search, 200),
}


class Call:
    """One request: where it goes and what it holds. `op` is the operation that faults and rates are keyed by."""

    def __init__(self, scope: Scope, body: bytes, headers: MutableMapping[str, str]) -> None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        path = raw.decode("ascii").split("?")[0]
        self.method: str = scope["method"]
        self.query = parse_qs(scope["query_string"].decode("ascii"), keep_blank_values=True)
        self.index_name: str | None = None
        if path.startswith("/i/"):
            _, _, name, *rest = path.split("/")
            self.index_name, path = unquote(name), "/" + "/".join(rest)
        self.path = path
        self.raw = body
        self.headers = headers
        self.json: Any = None

    def parse(self) -> None:
        """Read the body as JSON, unless it is NDJSON."""
        if self.headers.get("content-type", "").startswith("application/x-ndjson") or not self.raw:
            return
        try:
            self.json = orjson.loads(self.raw)
        except orjson.JSONDecodeError as error:
            raise invalid(f"invalid JSON: {error}") from None


class App:
    """The ASGI application of one emulator."""

    def __init__(self, control: Control, api_key: str, checker: Checker | None) -> None:
        self.control = control
        self.api_key = api_key
        self.checker = checker
        self.log: list[tuple[str, int, int]] = []
        """(operation, status, request bytes) of every request; the URL's bytes where there is no body."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        call = Call(scope, await request.body(), {key.lower(): value for key, value in request.headers.items()})
        view = View(self.control.knobs)
        op, fault = "", None
        try:
            op, work = self._route(call)
            self._admit(call, op)
            fault = self.control.knobs.strike(op)
            if fault is not None and fault.kind == "refuse":
                raise fault.refusal()
            if fault is not None and fault.kind == "reset":
                await _drop(send)
                return
            status, answer = work(view)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body(control=call.index_name is None)
            view.headers = refusal.headers
        self.log.append((op, status, len(call.raw) or len(scope["query_string"])))
        if fault is not None and status < 300 and await _hidden(fault, receive, send):
            return
        payload = b"" if answer is None else orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        if self.checker is not None and answer is not None:
            self.checker.check(call.method, call.path, call.query, call.json, status, orjson.loads(payload))
        await Response(payload, status, view.headers, "application/json")(scope, receive, send)

    def _admit(self, call: Call, op: str) -> None:
        """Key, version, size and rate."""
        if call.headers.get("api-key") != self.api_key:
            raise Refusal(401, "Invalid API Key")
        if call.headers.get("x-pinecone-api-version") != API_VERSION:
            raise invalid(f"the header X-Pinecone-Api-Version must be {API_VERSION}")
        if len(call.raw) > rules.MAX_BODY:
            raise Refusal(413, f"Request size {len(call.raw)} bytes exceeds the maximum of {rules.MAX_BODY} bytes")
        self.control.knobs.throttle(op)
        call.parse()

    def _route(self, call: Call) -> tuple[str, Callable[[View], tuple[int, Any]]]:
        if call.index_name is None:
            return self._control_route(call)
        name = call.index_name
        table = POSTS if call.method == "POST" else GETS if call.method == "GET" else {}
        if call.path in table:
            op, handler = table[call.path]

            def simple(view: View) -> tuple[int, Any]:
                index = self.control.data_plane(name)
                if index.documents and not call.path.startswith(("/describe_index_stats", "/namespaces")):
                    raise invalid("This index holds documents: use the documents API")
                if index.kind == "pod" and op in ("list", "namespaces"):
                    raise invalid("Not supported for pod-based indexes")
                return 200, handler(view, index, call.json if call.method == "POST" else call.query)

            return op, simple
        parts = [unquote(part) for part in call.path.strip("/").split("/")]
        match call.method, parts:
            case "POST", ["namespaces", namespace, "documents", action] if action in DOCUMENTS:
                op, work, status = DOCUMENTS[action]

                def document(view: View) -> tuple[int, Any]:
                    index = self.control.data_plane(name)
                    if not index.documents:
                        raise invalid("This index holds vectors: use the vectors API")
                    if not isinstance(call.json, dict):
                        raise invalid("the body must be a JSON object")
                    return status, work(view, index, namespace, call.json)

                return op, document
            case "GET", ["namespaces", namespace]:
                return "describe_namespace", lambda view: (
                    200,
                    vectors.describe_namespace(view, self.control.data_plane(name), namespace),
                )
            case "DELETE", ["namespaces", namespace]:
                return "delete_namespace", lambda view: (
                    200,
                    vectors.delete_namespace(view, self.control.data_plane(name), namespace),
                )
            case "POST", ["records", "namespaces", namespace, "upsert"]:
                return "upsert", lambda view: (
                    201,
                    vectors.upsert_records(view, self.control.data_plane(name), namespace, call.raw),
                )
            case _:
                raise Refusal(404, f"no such route: {call.method} {call.path}")

    def _control_route(self, call: Call) -> tuple[str, Callable[[View], tuple[int, Any]]]:
        control = self.control
        match call.method, [unquote(part) for part in call.path.strip("/").split("/")]:
            case "GET", ["indexes"]:
                return "list_indexes", lambda _: (200, control.list())
            case "POST", ["indexes"]:
                return "create", lambda _: (201, control.create(call.json))
            case "POST", ["indexes", "create-for-model"]:
                return "create", lambda _: (201, control.create_for_model(call.json))
            case "GET", ["indexes", name]:
                return "describe", lambda _: (200, control.describe(name))
            case "PATCH", ["indexes", name]:
                return "configure", lambda _: (202, control.configure(name, call.json))
            case "DELETE", ["indexes", name]:
                return "drop", lambda _: (202, control.delete(name))
            case _:
                raise Refusal(404, f"no such route: {call.method} {call.path}")


async def _hidden(fault: Fault, receive: Receive, send: Send) -> bool:
    """Keep the answer from a client whose request was carried out."""
    if fault.kind == "lose":
        await _drop(send)
        return True
    if fault.kind == "stall":
        while (await receive())["type"] != "http.disconnect":
            pass
        return True
    return False


async def _drop(send: Send) -> None:
    """Begin a reply and break off: uvicorn closes the connection."""
    headers = [(b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})
