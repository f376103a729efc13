"""The origin note on an index: in records of a namespace of its own, because tags are too small.

The record `head` names a generation, its number of parts and their digest; the parts hold the note as compressed JSON
in base64. Parts are written before the head and old ones removed after it, so that a reader finds a whole note or none.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import zlib
from typing import Any

from vectormigrate.adapters.pinecone.calls import Raw, fetch, listed_count
from vectormigrate.adapters.pinecone.capabilities import NOTE_NAMESPACE
from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.adapters.pinecone.freshness import again, delete_ids, fresh_poll
from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.adapters.pinecone.session import NamespaceMissing, Session, documents_path, segment
from vectormigrate.errors import InvalidRequest, Unavailable
from vectormigrate.model.schema import Json

HEAD = "head"
PART_LENGTH = 32_000
"""Characters of base64 per part: with its key below the 40 KB that metadata may have."""

_TEXT, _HEAD = "vectormigrate_note", "vectormigrate_note_head"


async def read_note(session: Session) -> dict[str, Json] | None:
    """The note, None without one. Raises Unavailable while its parts do not fit together."""
    head = _field(await fetch(session, NOTE_NAMESPACE, [HEAD]), HEAD, _HEAD)
    if head is None:
        return None
    generation, parts, digest = str(head).split(":")
    ids = [f"{generation}-{number}" for number in range(int(parts))]
    found = await fetch(session, NOTE_NAMESPACE, ids)
    text = "".join(str(_field(found, item, _TEXT) or "") for item in ids)
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        message = (
            f"the origin note in the namespace {NOTE_NAMESPACE!r} is incomplete, as it is while it is being replaced; "
            "if this lasts, delete that namespace"
        )
        raise Unavailable(message, adapter=NAME)
    note = json.loads(zlib.decompress(base64.b64decode(text)))
    return note if isinstance(note, dict) else None


def _field(found: Raw, record_id: str, name: str) -> Json:
    row = found.get(record_id, {})
    return (row.get("metadata") or row).get(name)


async def write_note(session: Session, note: Json) -> None:
    """Replace the note and wait until it can be read; None removes it."""
    layout = await session.layout(fresh=True)
    poll, what = fresh_poll(session), "the origin note did not show up"
    if note is None:
        await _remove(session)
        while await listed_count(session, NOTE_NAMESPACE):
            await again(session, poll, what)
        return
    if not layout.vectors:
        message = f"the index {layout.name!r} takes no vectors of its own, so that the origin note has no place there"
        raise InvalidRequest(message, adapter=NAME, operation="set_note")
    old = _field(await fetch(session, NOTE_NAMESPACE, [HEAD]), HEAD, _HEAD)
    text = base64.b64encode(zlib.compress(json.dumps(note).encode(), 9)).decode()
    parts = [text[start : start + PART_LENGTH] for start in range(0, len(text), PART_LENGTH)]
    generation = secrets.token_hex(8)
    for number, part in enumerate(parts):
        await _put(session, layout, f"{generation}-{number}", {_TEXT: part})
    head = f"{generation}:{len(parts)}:{hashlib.sha256(text.encode()).hexdigest()}"
    await _put(session, layout, HEAD, {_HEAD: head})
    ids = [HEAD, *(f"{generation}-{number}" for number in range(len(parts)))]
    while True:
        found = await fetch(session, NOTE_NAMESPACE, ids)
        if len(found) == len(ids) and _field(found, HEAD, _HEAD) == head:
            break
        await again(session, poll, what)
    if old is not None:
        former, count, _ = str(old).split(":")
        await delete_ids(session, NOTE_NAMESPACE, [f"{former}-{number}" for number in range(int(count))])


async def _put(session: Session, layout: Layout, record_id: str, fields: dict[str, str]) -> None:
    """One record with a filler vector, which every record must have."""
    dense = None if layout.dense is None else [1.0] + [0.0] * ((layout.dense.dim or 1) - 1)
    sparse = {"indices": [0], "values": [1.0]} if dense is None else None
    record: dict[str, Any]
    if layout.documents:
        name = layout.vectors[0].name
        record = {"_id": record_id, name: sparse if dense is None else dense, **fields}
        await session.post(documents_path(NOTE_NAMESPACE, "upsert"), {"documents": [record]})
        return
    vector = {"values": dense} if dense is not None else {"sparseValues": sparse}
    record = {"id": record_id, **vector, "metadata": fields}
    await session.post("/vectors/upsert", {"vectors": [record], "namespace": NOTE_NAMESPACE})


async def _remove(session: Session) -> None:
    try:
        await session.delete(f"/namespaces/{segment(NOTE_NAMESPACE)}")
    except NamespaceMissing:
        return
