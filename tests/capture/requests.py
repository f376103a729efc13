"""Short ways to say what is sent and what it touches."""

from __future__ import annotations

import json
from typing import Any

from tests.capture import tables
from vectormigrate.adapter.operations import CollectionFacts, Division
from vectormigrate.capture.classify import Head, Touch, classify

GRPC = {"content-type": "application/grpc"}

FACTS = {
    "numbers": CollectionFacts(id_field="pk", divided_by=Division.REQUEST),
    "texts": CollectionFacts(id_field="pk", text_ids=True, divided_by=Division.REQUEST),
    "made": CollectionFacts(id_field="pk", assigns_ids=True, divided_by=Division.REQUEST),
    "keyed": CollectionFacts(id_field="pk", divided_by=Division.NOTHING),
    "other/numbers": CollectionFacts(id_field="pk", text_ids=True, divided_by=Division.REQUEST),
    "shards": CollectionFacts(divided_by=Division.REQUEST),
}
"""Collections of the tests, by their address."""


def frame(message: bytes, flag: int = 0) -> bytes:
    """A gRPC frame."""
    return bytes([flag]) + len(message).to_bytes(4) + message


def rest(name: str, method: str, path: str, body: Any = None, **headers: str) -> Touch:
    """What a REST request touches; `body` is JSON, or bytes as they are."""
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    head = Head(method, path, {key.replace("_", "-"): value for key, value in headers.items()})
    return classify(tables.operations(name), head, raw, FACTS)


def grpc(name: str, path: str, message: Any, **metadata: str) -> Touch:
    """What a gRPC call touches."""
    raw = message if isinstance(message, bytes) else message.SerializeToString()
    return classify(tables.operations(name), Head("POST", path, GRPC | metadata), frame(raw), FACTS)


def said(touch: Touch) -> list[str]:
    """The touch as texts: `delete c/ns: 1 2`, `filter delete c/ns`, with `*` for any collection or namespace."""

    def place(collection: str | None, namespace: str | None) -> str:
        return f"{'*' if collection is None else collection}/{'*' if namespace is None else namespace}"

    found = [
        f"{keys.change} {place(keys.collection, keys.namespace)}: {' '.join(map(repr, keys.ids))}"
        for keys in touch.keys
    ]
    return found + [
        f"{scope.chosen} {scope.change} {place(scope.collection, scope.namespace)}" for scope in touch.scopes
    ]
