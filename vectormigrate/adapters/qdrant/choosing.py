"""Which points a filter chooses: the same filter in a scroll, without payloads and vectors.

Not for a collection with several replicas: a read of one may miss what another has, and a read of all returns only
what each of them has. And not for a request that does not wait: what was written before may be as late as itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

import orjson

from vectormigrate.adapter.choosing import Listed, Question
from vectormigrate.adapter.json_walker import member
from vectormigrate.adapter.operations import Request, path_collection
from vectormigrate.adapter.wire_walker import BYTES, VARINT, Unreadable, below, fields, parts, text
from vectormigrate.adapter.wire_writer import number, piece
from vectormigrate.adapters.qdrant.request_ids import json_id, wire_id

SCROLL = "/qdrant.Points/Scroll"


def by_filter(request: Request, most: int) -> Question | None:
    """Of a REST request with `filter`, and perhaps `shard_key`."""
    collection = path_collection(request)
    value = _whole(request)
    if collection is None or _replicated(request, collection) or request.parameter("wait") != "true":
        return None
    asked = {name: value[name] for name in ("filter", "shard_key") if member(value, name) is not None}
    body = {**asked, "limit": most + 1, "with_payload": False, "with_vector": False}
    path = f"/collections/{quote(collection, safe='')}/points/scroll"
    return Question(method="POST", path=path, body=orjson.dumps(body), read=partial(_listed, most))


def _whole(request: Request) -> dict[str, object]:
    """With every number in it, in exactly the form in which it is sent again."""
    try:
        value = orjson.loads(request.body)
    except ValueError as error:
        raise Unreadable("a filter that cannot be read exactly") from error
    if not isinstance(value, dict):
        raise Unreadable("something else where an object belongs")
    return value


def _listed(most: int, answer: bytes) -> Listed:
    try:
        result = orjson.loads(answer)["result"]
        found = [json_id(point["id"]) for point in result["points"]]
        more = result.get("next_page_offset") is not None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable("an answer that is no page of points") from error
    return Listed(found, complete=not more and len(found) <= most)


@dataclass(frozen=True, slots=True)
class Selected:
    """Of a message with collection_name (1) and wait (2), whose PointsSelector {filter (2)} and ShardKeySelector are
    in these fields. Its question is ScrollPoints: collection_name (1), filter (2), limit (4), with_payload (6),
    with_vectors (7), shard_key_selector (9)."""

    selector: int
    shard: int

    def __call__(self, request: Request, most: int) -> Question | None:
        """The question."""
        data = request.body
        collection, waits, chosen, shards = "", False, list[bytes](), list[bytes]()
        for key, kind, first, last in fields(data, 0, len(data)):
            if key == 2 and kind == VARINT:
                waits = bool(first)
            elif kind != BYTES:
                continue
            elif key == 1:
                collection = text(data, first, last)
            elif key == self.selector:
                chosen += [data[start:end] for start, end in parts(data, first, last, 2)]
            elif key == self.shard:
                shards.append(data[first:last])
        if not waits or len(chosen) != 1 or len(shards) > 1 or _replicated(request, collection):
            return None
        nothing = number(1, 0)
        body = piece(1, collection.encode()) + piece(2, chosen[0]) + number(4, most + 1)
        body += piece(6, nothing) + piece(7, nothing) + b"".join(piece(9, shard) for shard in shards)
        return Question(method="POST", path=SCROLL, body=body, grpc=True, read=partial(_wire_listed, most))


def _wire_listed(most: int, answer: bytes) -> Listed:
    """ScrollResponse: next_page_offset (1), result (2) {id (1)}."""
    found = [wire_id(answer, *place) for place in below(answer, 0, len(answer), (2, 1))]
    more = bool(parts(answer, 0, len(answer), 1))
    return Listed(found, complete=not more and len(found) <= most)


def _replicated(request: Request, collection: str) -> bool:
    """Also where nothing is known of it."""
    known = request.facts.get(collection)
    return known is None or known.replicated
