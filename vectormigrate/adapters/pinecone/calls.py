"""The calls that read: pages of ids, records by id, namespaces, statistics."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapters.pinecone.capabilities import NOTE_NAMESPACE
from vectormigrate.adapters.pinecone.errors import NAME, HttpError
from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.adapters.pinecone.session import NamespaceMissing, Session, documents_path, namespace_of
from vectormigrate.errors import InvalidRequest

PAGE = 100
"""Most ids (and namespaces) in one listing."""

FETCH_IDS = 1_000
"""Most ids in one fetch."""

URL_BYTES = 6_000
"""Longest query of a fetch, which is a GET: the service's own limit is not documented, proxies stop at 8 KB."""

ANSWER_BYTES = 4_000_000
"""What one fetch should answer at most."""

FETCHES = 8
"""Fetches at once, per scan and per call."""

Raw = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of ids in byte order, and the token that it was asked with."""

    ids: list[str]
    token: str | None


async def list_ids(session: Session, namespace: str, token: str | None, last: str) -> AsyncGenerator[Listing, None]:
    """Pages of ids above `last`, the first one asked with `token`. A token that is refused (how long they
    live is not documented) is given up: the listing starts again and skips what it had. Raises when that leads
    nowhere."""
    refused_at: str | None = None
    listed = ""
    while True:
        try:
            ids, following = await _list(session, namespace, token)
        except NamespaceMissing:
            return
        except HttpError as error:
            if token is None or error.status not in (400, 410, 422) or refused_at == last:
                raise
            token, refused_at, listed = None, last, ""
            continue
        require_ascending(ids, listed)
        listed = ids[-1] if ids else listed
        kept = [item for item in ids if item > last]
        if kept:
            yield Listing(kept, token)
            last = kept[-1]
        if not following:
            return
        token = following


def require_ascending(ids: Sequence[str], listed: str) -> None:
    """Raises InvalidRequest for a page in another order than the documented one, or that goes back before `listed`, the
    end of the page before: ids below the last one read are skipped as known, so records would be left out without a
    word."""
    if any(first >= second for first, second in pairwise(ids)) or (ids and ids[0] < listed):
        raise InvalidRequest("the service lists ids in another order than that of their bytes", adapter=NAME)


async def _list(session: Session, namespace: str, token: str | None) -> tuple[list[str], str | None]:
    if (await session.layout()).documents:
        body = {"limit": PAGE} if token is None else {"limit": PAGE, "pagination_token": token}
        data = (await session.post(documents_path(namespace, "list"), body)).json
        ids = [item["_id"] for item in data.get("documents", [])]
    else:
        query = f"limit={PAGE}" + _given("namespace", namespace) + _given("paginationToken", token or "")
        data = (await session.get(f"/vectors/list?{query}")).json
        ids = [item["id"] for item in data.get("vectors", [])]
    return ids, (data.get("pagination") or {}).get("next")


def _given(name: str, value: str) -> str:
    return f"&{name}={quote(value, safe='')}" if value else ""


async def fetch(session: Session, namespace: str, ids: Sequence[str]) -> Raw:
    """What the service holds under these different ids; a missing one is left out."""
    layout = await session.layout()
    parts = list(chunks(ids, layout, namespace))
    found = await gather([lambda part=part: _fetch(session, layout, namespace, part) for part in parts], FETCHES)
    return {key: row for part in found for key, row in part.items()}


async def _fetch(session: Session, layout: Layout, namespace: str, ids: Sequence[str]) -> Raw:
    try:
        if layout.documents:
            return (await session.post(documents_path(namespace, "fetch"), {"ids": ids})).json["documents"]
        query = "&".join(f"ids={quote(item, safe='')}" for item in ids)
        return (await session.get(f"/vectors/fetch?{query}{_given('namespace', namespace)}")).json["vectors"]
    except NamespaceMissing:
        return {}


def chunks(ids: Sequence[str], layout: Layout, namespace: str) -> Iterator[list[str]]:
    """The ids of each fetch: few enough for its answer, and for a vector index short enough for a URL."""
    dim = 0 if layout.dense is None else layout.dense.dim or 0
    most = max(20, min(FETCH_IDS, ANSWER_BYTES // (12 * dim + 2_000)))
    room = FETCH_IDS * 2_000 if layout.documents else URL_BYTES - len(quote(namespace, safe=""))
    part: list[str] = []
    size = 0
    for item in ids:
        length = len(quote(item, safe="")) + len("&ids=")
        if part and (len(part) == most or size + length > room):
            yield part
            part, size = [], 0
        part.append(item)
        size += length
    if part:
        yield part


async def list_namespaces(session: Session) -> dict[str, int]:
    """Our names of all namespaces that hold or held records, with the service's counts, which lag."""
    found: dict[str, int] = {}
    token = ""
    while True:
        data = (await session.get(f"/namespaces?limit={PAGE}{_given('paginationToken', token)}")).json
        for item in data.get("namespaces", []):
            if item["name"] != NOTE_NAMESPACE:
                found[namespace_of(item["name"])] = int(item.get("record_count") or 0)
        token = (data.get("pagination") or {}).get("next") or ""
        if not token:
            return found


async def stats_counts(session: Session) -> dict[str, int]:
    """Records per namespace according to the index statistics, which lag."""
    data = (await session.post("/describe_index_stats", {})).json
    return {namespace_of(name): int(item.get("vectorCount") or 0) for name, item in data.get("namespaces", {}).items()}


async def listed_count(session: Session, namespace: str) -> int:
    """Records of the namespace, by listing their ids."""
    return sum([len(page.ids) async for page in list_ids(session, namespace, None, "")])
