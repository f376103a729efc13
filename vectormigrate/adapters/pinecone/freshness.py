"""Waiting until writes can be read.

The service is eventually consistent. A write returns its LSN, and a query the LSN up to which it saw writes of the same
namespace; fetch, list and statistics return none. So "fresh" here means that queries see the write, which is as strong
as the service allows; fetch and list have no promise of their own.
"""

from __future__ import annotations

from typing import Any

from vectormigrate.adapter.polling import Poll
from vectormigrate.adapters.pinecone.calls import listed_count, stats_counts
from vectormigrate.adapters.pinecone.client import Reply
from vectormigrate.adapters.pinecone.errors import NAME, HttpError
from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.adapters.pinecone.session import NamespaceMissing, Session, documents_path
from vectormigrate.errors import TimedOut
from vectormigrate.figures import duration

BARRIER_ID = "_vm_barrier"
"""Deleted, though it never exists: the LSN of that delete lies above all earlier writes of the namespace."""

FIRST = 0.02
"""Seconds until the second question: most writes are indexed at once."""


async def settle(session: Session, namespace: str, *, by_counts: bool = False) -> None:
    """Wait until queries see our writes to the namespace. `by_counts`: where the service returns no LSN, wait until the
    statistics count what a listing finds. Raises TimedOut."""
    if namespace not in session.pending:
        return
    target = session.pending[namespace]
    poll, what = fresh_poll(session), f"writes to namespace {namespace!r} did not show up"
    while True:
        seen = await _indexed(session, namespace) if target is not None else None
        if seen is None:
            break
        if target is not None and seen >= target:
            _done(session, namespace, target)
            return
        await again(session, poll, what)
    if by_counts:
        while (await stats_counts(session)).get(namespace, 0) != await listed_count(session, namespace):
            await again(session, poll, what)
        _done(session, namespace, target)


def fresh_poll(session: Session) -> Poll:
    """For as long as a write may take to show up."""
    return Poll(session.config.fresh_timeout, first=FIRST)


async def again(session: Session, poll: Poll, what: str) -> None:
    """Wait before the next look. Raises TimedOut, saying `what` did not happen."""
    if not await poll.again():
        raise TimedOut(f"{what} within {duration(session.config.fresh_timeout)}", adapter=NAME)


def _done(session: Session, namespace: str, target: int | None) -> None:
    """Nothing is pending, unless something was written meanwhile."""
    if session.pending.get(namespace) == target:
        session.pending.pop(namespace, None)
        session.settled.add(namespace)


async def barrier(session: Session, namespace: str) -> None:
    """Make the next `settle` wait for every write to the namespace so far, whoever made it."""
    if namespace in session.settled or namespace in session.pending:
        return
    try:
        session.wrote(namespace, (await delete_ids(session, namespace, [BARRIER_ID])).written)
    except NamespaceMissing:
        return


async def see_all(session: Session, namespace: str) -> None:
    """Wait until queries see every write to the namespace so far, whoever made it. A key that may not write cannot ask
    for that; then only what this object wrote is waited for. Raises TimedOut."""
    try:
        session.wrote(namespace, (await delete_ids(session, namespace, [BARRIER_ID])).written)
    except NamespaceMissing:
        return
    except HttpError as error:
        if error.status not in (401, 403):
            raise
    await settle(session, namespace)


async def delete_ids(session: Session, namespace: str, ids: list[str]) -> Reply:
    """Delete at most 1,000 ids. Raises NamespaceMissing."""
    if (await session.layout()).documents:
        return await session.post(documents_path(namespace, "delete"), {"ids": ids})
    return await session.post("/vectors/delete", {"ids": ids, "namespace": namespace})


async def _indexed(session: Session, namespace: str) -> int | None:
    """The LSN up to which a query sees writes; None when the service does not tell, 0 for no such namespace yet."""
    layout = await session.layout()
    try:
        if layout.documents:
            body = {"score_by": [clause(layout, filler(layout))], "top_k": 1}
            return (await session.post(documents_path(namespace, "search"), body)).indexed
        body = {"topK": 1, "namespace": namespace, **filler(layout)}
        return (await session.post("/query", body)).indexed
    except NamespaceMissing:
        return 0


def filler(layout: Layout) -> dict[str, Any]:
    """A vector that any query of the index takes, as the query's own keys."""
    if layout.dense is not None:
        return {"vector": [1.0] + [0.0] * ((layout.dense.dim or 1) - 1)}
    return {"sparseVector": {"indices": [0], "values": [1.0]}}


def clause(layout: Layout, query: dict[str, Any]) -> dict[str, Any]:
    """The `score_by` clause of a document search for such a query."""
    if "vector" in query:
        assert layout.dense is not None
        return {"type": "dense_vector", "field": layout.dense.name, "values": query["vector"]}
    name = layout.sparse.name if layout.sparse is not None else ""
    return {"type": "sparse_vector", "field": name, "sparse_values": query["sparseVector"]}
