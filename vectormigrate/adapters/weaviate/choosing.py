"""Which objects a filter chooses: the same delete as a trial (`dryRun`) that lists them.

Not for a class with several replicas: the trial may be answered by another one than the delete.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from uuid import UUID

import orjson

from vectormigrate.adapter.choosing import Listed, Question
from vectormigrate.adapter.json_walker import member
from vectormigrate.adapter.operations import Request, named
from vectormigrate.adapter.wire_walker import VARINT, Unreadable, fields, parts, text
from vectormigrate.adapter.wire_writer import number
from vectormigrate.adapters.weaviate.request_ids import collection_of, uuid_of

DRY_RUN, VERBOSE = 4, 3


def by_filter(request: Request, most: int) -> Question | None:
    """Of `DELETE /v1/batch/objects`, whose body may have `dryRun` and `output`."""
    try:
        value = orjson.loads(request.body)
    except ValueError as error:
        raise Unreadable("a filter that cannot be read exactly") from error
    if _replicated(request, named(request, member(member(value, "match"), "class"))):
        return None
    body = orjson.dumps({**value, "dryRun": True, "output": "verbose"})
    path = f"/v1/batch/objects?{request.query}" if request.query else "/v1/batch/objects"
    return Question(method="DELETE", path=path, body=body, read=partial(_listed, most))


def _listed(most: int, answer: bytes) -> Listed:
    """The server lists no more than its own limit, and counts all."""
    try:
        results = orjson.loads(answer)["results"]
        matches = int(results["matches"])
        found = [uuid_of(item["id"]) for item in results.get("objects") or []]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable("an answer that lists no objects") from error
    return _all(found, matches, most)


def wire_by_filter(request: Request, most: int) -> Question | None:
    """Of BatchDeleteRequest: collection (1), verbose (3), dry_run (4). Of a field that comes twice the last one
    counts."""
    names = [text(request.body, *place) for place in parts(request.body, 0, len(request.body), 1)]
    if not names or _replicated(request, collection_of(names[-1])):
        return None
    body = request.body + number(VERBOSE, 1) + number(DRY_RUN, 1)
    path = "/weaviate.v1.Weaviate/BatchDelete"
    return Question(method="POST", path=path, body=body, grpc=True, read=partial(_wire_listed, most))


def _wire_listed(most: int, answer: bytes) -> Listed:
    """BatchDeleteReply: matches (3), objects (5) {uuid (1), 16 bytes}."""
    matches = 0
    for key, kind, first, _ in fields(answer, 0, len(answer)):
        if key == 3 and kind == VARINT:
            matches = first
    found: list[UUID] = []
    for place in parts(answer, 0, len(answer), 5):
        for first, last in parts(answer, *place, 1):
            if last - first != 16:
                raise Unreadable("an object without a UUID")
            found.append(UUID(bytes=answer[first:last]))
    return _all(found, matches, most)


def _all(found: Sequence[UUID], matches: int, most: int) -> Listed:
    return Listed(found, complete=len(found) == matches and matches <= most)


def _replicated(request: Request, collection: str) -> bool:
    """Also where nothing is known of it."""
    known = request.facts.get(collection)
    return known is None or known.replicated
