"""Whatever comes, nothing that may change a record is taken for a read, and nothing raises."""

from __future__ import annotations

import gzip
import posixpath
import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.classify import json_bodies, wire_bodies
from tests.capture import tables
from tests.capture.requests import FACTS, GRPC, frame, said
from vectormigrate.adapter.operations import Change, Effect, Found, Operation, Operations, Request
from vectormigrate.adapters.qdrant.operations import FORMS
from vectormigrate.capture.classify import (
    Head,
    Touch,
    classify,
    reads,
    touched_by_answer,
    touched_by_message,
)

ROWS = [(name, row) for name in tables.DATABASES for row in tables.operations(name).rows]
CHANGES = [(name, row) for name, row in ROWS if row.effect not in (Effect.READ, Effect.NONE)]
DRY = {"DELETE /v1/batch/objects", "/weaviate.v1.Weaviate/BatchDelete"}
"""Which a body can turn into a read."""

rows = st.sampled_from(ROWS)
headers = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            ["application/json", "application/grpc", "application/grpc-web-text", "\0", ""]
        ),
        "content-encoding": st.sampled_from(["gzip", "deflate", "br", "identity", "", "GZIP", "gzip,gzip"]),
        "grpc-encoding": st.sampled_from(["gzip", "identity", "snappy", ""]),
        "dbname": st.text(max_size=3),
    },
)


def path_of(row: Operation) -> str:
    return re.sub(r"\{\w+\+?\}", "5d1f0c22-92aa-4d6b-8a3e-1f3b1a5e7a10", row.path)


def judged(name: str, row: Operation, touch: Touch) -> None:
    """A change stays a change."""
    if touch.effect is Effect.READ:
        assert row.effect is Effect.READ or row.name in DRY, row.name
    if row.effect in (Effect.SCHEMA, Effect.WHOLE):
        assert touch.effect is row.effect, row.name
        assert touch.scopes, row.name


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *("points", "id", "_id", "ids", "filter", "batch", "operations", "upsert", "objects", "class"),
                    *("tenant", "match", "where", "dryRun", "vectors", "namespace", "collectionName", "data", "pk"),
                    "documents",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
).map(lambda value: orjson.dumps(value, default=str) if not _too_large(value) else b"")


def _too_large(value: object) -> bool:
    if isinstance(value, dict):
        return any(_too_large(item) for item in value.values())
    if isinstance(value, list):
        return any(_too_large(item) for item in value)
    return isinstance(value, int) and value >= 2**63


bodies = st.one_of(
    st.binary(max_size=60), json_like, st.binary(max_size=40).map(frame), json_like.map(partial(gzip.compress, mtime=0))
)


@given(rows, bodies, headers, st.text(max_size=10))
def test_no_body_and_no_header_makes_a_read_of_a_change(
    chosen: tuple[str, Operation], body: bytes, extra: dict[str, str], query: str
) -> None:
    name, row = chosen
    operations = tables.operations(name)
    head = Head(row.method, f"{path_of(row)}?{query}", extra)
    touch = classify(operations, head, body, FACTS)
    judged(name, row, touch)
    assert touch.effect not in (Effect.KEYS, Effect.SCOPE) or touch.keys or touch.scopes or touch.stream
    touched_by_message(operations, head, body, FACTS)
    answered = touched_by_answer(operations, head, body, extra, body, FACTS)
    assert answered.keys or answered.scopes or row.effect in (Effect.READ, Effect.NONE)


samples = [
    *((name, *item) for name, item in json_bodies(2, 16).items()),
    *((name, head, frame(message.SerializeToString())) for name, (head, message) in wire_bodies(2, 16).items()),
    (
        "qdrant",
        Head("POST", "/collections/c/points/batch"),
        b'{"operations":[{"upsert":{"points":[{"id":1}]}},{"delete":{"filter":{}}}]}',
    ),
    ("pinecone", Head("POST", "/records/namespaces/n/upsert"), b'{"_id":"a"}\n{"_id":"b"}'),
    ("pinecone", Head("POST", "/vectors/delete"), b'{"ids":["a"],"deleteAll":true}'),
    ("weaviate", Head("DELETE", "/v1/batch/objects"), b'{"match":{"class":"A","where":{}},"dryRun":false}'),
    ("milvus", Head("POST", "/v2/vectordb/entities/delete"), b'{"collectionName":"numbers","filter":"pk in [1]"}'),
]


@pytest.mark.parametrize(("name", "head", "body"), samples, ids=[f"{name}{head.path}" for name, head, _ in samples])
def test_a_request_that_is_cut_off_anywhere_is_a_change(name: str, head: Head, body: bytes) -> None:
    operations = tables.operations(name)
    for end in range(len(body)):
        touch = classify(operations, head, body[:end], FACTS)
        assert touch.effect in (Effect.KEYS, Effect.SCOPE), end
        assert touch.scopes or (b"\n" in body and touch.keys), end  # a line of its own is complete


@pytest.mark.parametrize(("name", "head", "body"), samples, ids=[f"{name}{head.path}" for name, head, _ in samples])
def test_a_request_with_a_damaged_byte_is_a_change(name: str, head: Head, body: bytes) -> None:
    operations = tables.operations(name)
    for at in range(len(body)):
        for byte in (0, 34, 93, 255):
            touch = classify(operations, head, body[:at] + bytes([byte]) + body[at + 1 :], FACTS)
            assert touch.effect is not Effect.READ, (at, byte)


def _lenient(path: str) -> str:
    """The path as a server sees it that decodes before it looks, folds dots and double slashes, and is not strict
    about a slash at the end."""
    return posixpath.normpath(unquote(path).replace("\\", "/").replace("//", "/"))


pieces = st.sampled_from(
    [
        *("..", ".", "%2e%2e", "%2E", "a", "points", "search", "upsert", "delete", "objects", "batch", "v1"),
        *("namespaces", "documents", "a%2Fb", "..%2f..", "%5c..%5C", "a%00", "vectors", "collections", "scroll"),
        *("", "%", "%zz", "c;d"),
    ]
)


@given(rows, st.lists(st.tuples(st.integers(0, 8), pieces), max_size=4), st.sampled_from(["POST", "PUT", "DELETE"]))
def test_no_path_is_a_read_that_a_less_strict_server_could_take_for_a_change(
    chosen: tuple[str, Operation], changes: list[tuple[int, str]], method: str
) -> None:
    name, row = chosen
    segments = path_of(row).split("/")[1:]
    for at, piece in changes:
        at %= len(segments) + 1
        segments[at : at + len(piece) % 2] = [piece]
    path = "/" + "/".join(segments)
    operations = tables.operations(name)
    touch = classify(operations, Head(method, path), b"\xff")
    fits = any(route.method == method and re.fullmatch(route.regex, path) for route in reads(operations))
    assert (touch.effect is Effect.READ) is fits
    if fits:
        seen = classify(operations, Head(method, _lenient(path)), b"\xff")
        assert seen.effect is Effect.READ or seen.operation == "", path


def variants(path: str) -> Iterator[str]:
    """Other spellings of a path, none of which is exactly it."""
    yield from (path + "/", "/" + path, path.replace("/", "//", 1), path.upper(), path + "%20", path + ";a", path[1:])
    yield from (
        path.replace("/", "/./", 1),
        f"/x/..{path}",
        path.replace("/", "%2F"),
        path[:-1] + f"%{ord(path[-1]):x}",
    )
    yield from (path + "#a", path + "\0", path + "\n", " " + path, "http://h" + path, path.replace("/", "\\"))


@pytest.mark.parametrize("name", tables.DATABASES)
def test_only_the_exact_path_of_a_read_is_a_read(name: str) -> None:
    operations = tables.operations(name)
    for row in operations.rows:
        if row.effect is not Effect.READ:
            continue
        path = row.path.replace("{", "").replace("+}", "").replace("}", "")
        assert classify(operations, Head(row.method, path), b"").effect is Effect.READ
        for other in variants(path):
            touch = classify(operations, Head(row.method, other), b"")
            last = row.path.rpartition("/")[2]
            if not last.startswith("{") or other[1:].count("/") != path[1:].count("/"):
                assert touch.effect is not Effect.READ, other


@pytest.mark.parametrize("name", tables.DATABASES)
def test_a_method_of_another_spelling_never_reads(name: str) -> None:
    operations = tables.operations(name)
    for method in ("get", "Get", "GET ", "", "POST", "post", "PROPFIND", "CONNECT", "TRACE", "PATCH", "\0"):
        for path in ("/", "/tomorrow", "/collections", "/v1/meta", "/v1/vector/collections", "/namespaces"):
            touch = classify(operations, Head(method, path), b"")
            assert touch.effect is not Effect.READ, (method, path)


def test_long_paths_are_read_and_not_kept() -> None:
    operations = tables.operations("qdrant")
    name = "ab." * 50_000
    body = b'{"points":[{"id":1}]}'
    assert said(classify(operations, Head("PUT", f"/collections/{name}/points"), body)) == [f"replace {name}/*: 1"]
    for strange in ("." * 100_000, "a" * 100_000 + "%", "%2e" * 100_000, "/" * 100_000):
        touch = classify(operations, Head("POST", f"/collections/{strange}/points/scroll"), b"")
        assert touch.effect is Effect.SCOPE


NESTED = b'{"points":' + b"[" * 10_000 + b"1.5" + b"]" * 10_000 + b"}"


@pytest.mark.parametrize(("name", "row"), CHANGES, ids=[f"{name} {row.name}" for name, row in CHANGES])
def test_ten_thousand_levels_are_a_change_of_unknown_scope(name: str, row: Operation) -> None:
    for body in (NESTED, NESTED.replace(b"[", b'{"a":').replace(b"]", b"}"), frame(b"\x1a\x7f" * 10_000)):
        head = Head(row.method, path_of(row), GRPC if row.grpc else {})
        judged(name, row, classify(tables.operations(name), head, body, FACTS))


def test_the_ids_of_a_body_of_64_mb_are_found() -> None:
    numbers = b"0.5," * (16 * 2**20) + b"0.5"
    body = b'{"points":[{"vector":[' + numbers + b'],"id":7}]}'
    operations = tables.operations("qdrant")
    assert said(classify(operations, Head("PUT", "/collections/c/points"), body)) == ["replace c/*: 7"]
    vector = b"\x1a\x80\x80\x80\x20" + bytes(64 * 2**20)
    point = b"\x0a\x02\x08\x07\x22\x85\x80\x80\x20" + vector
    size = bytes([len(point) & 127 | 128, len(point) >> 7 & 127 | 128, len(point) >> 14 & 127 | 128])
    size += bytes([len(point) >> 21 & 127 | 128, len(point) >> 28])
    message = b"\x0a\x01c\x1a" + size + point
    touch = classify(operations, Head("POST", "/qdrant.Points/Upsert", GRPC), frame(message))
    assert said(touch) == ["replace c/*: 7"]


def test_a_body_that_is_too_large_may_change_everything() -> None:
    body = b'{"points":[' + b"1," * (17 * 2**20) + b"1]}"
    touch = classify(tables.operations("qdrant"), Head("POST", "/collections/c/points/delete"), body)
    assert said(touch) == ["unknown part c/*"]


def test_a_mistake_in_a_rule_lets_no_change_through() -> None:
    def broken(request: Request, found: Found) -> None:
        found.add("c", "", Change.REPLACE, [1])
        raise ZeroDivisionError

    row = Operation(effect=Effect.KEYS, method="POST", path="/{collection}/x", rule=broken)
    qdrant = tables.operations("qdrant")
    operations = Operations(rows=(row,), forms=FORMS, facts=qdrant.facts, address=qdrant.address)
    touch = classify(operations, Head("POST", "/c/x"), b"")
    assert (touch.effect, said(touch), touch.reason) == (
        Effect.SCOPE,
        ["unknown part c/*"],
        "ZeroDivisionError while it was read",
    )
