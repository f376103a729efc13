"""The child process: holds one shard and answers frames (frames.py) from the parent's socket.

Started as `python -m … FD`. The engine keeps the interpreter lock during its calls, hence a process of its own. On the
wire ids are numbers or UUID text, payloads JSON, vectors raw numbers.
"""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Callable
from typing import Any
from uuid import UUID

import orjson
import qdrant_edge as edge

from vectormigrate.adapter import child_process
from vectormigrate.adapters.qdrant.edge import child_points, frames
from vectormigrate.adapters.qdrant.edge.child_params import edge_config, index_params
from vectormigrate.adapters.qdrant.edge.frames import NAMESPACE_FIELD

Answer = tuple[dict[str, Any], list[frames.Buffer]]

UPSERT_ROWS = 500
"""Points per engine call: larger calls are slower (measured 68 000/s at 500, 55 000/s at 2000)."""

SAMPLE_IDS = 20_000
SCROLL_IDS = 50_000


class Worker:
    """The open shard. `_divided`: whether any record was ever given a namespace, which the index on its field shows."""

    def __init__(self) -> None:
        self._shard: Any = None
        self._divided = False

    def open(self, head: frames.Head, _: list[bytearray]) -> Answer:
        self._close()
        self._shard = edge.EdgeShard.load(head["path"])
        self._divided = NAMESPACE_FIELD in self._shard.info().payload_schema
        return {}, []

    def create(self, head: frames.Head, _: list[bytearray]) -> Answer:
        self._close()
        self._shard = edge.EdgeShard.create(head["path"], edge_config(head["config"]))
        self._divided = False
        for index in head["indexes"]:
            kind = index_params(index["data_type"], index["params"])
            self._shard.update(edge.UpdateOperation.create_field_index(index["path"], kind))
        self._shard.flush()
        return {}, []

    def close(self, _head: frames.Head, _: list[bytearray]) -> Answer:
        self._close()
        return {}, []

    def _close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def upsert(self, head: frames.Head, buffers: list[bytearray]) -> Answer:
        if head["namespace"] and not self._divided:
            index = edge.KeywordIndexParams(is_tenant=True)
            self._shard.update(edge.UpdateOperation.create_field_index(NAMESPACE_FIELD, index))
            self._divided = True
        rows = child_points.build(head, buffers)
        for start in range(0, len(rows), UPSERT_ROWS):
            self._shard.update(edge.UpdateOperation.upsert_points(rows[start : start + UPSERT_ROWS]))
        return {}, []

    def scroll(self, head: frames.Head, _: list[bytearray]) -> Answer:
        """`[after offset, end)` of one namespace, at most `limit` records."""
        filter_, nothing = self._in_namespace(head["namespace"])
        if nothing:
            return child_points.pack([], head["fields"])
        request = edge.ScrollRequest(
            offset=child_points.native_id(head["offset"]),
            limit=head["limit"],
            filter=filter_,
            with_payload=True,
            with_vector=bool(head["fields"]),
        )
        records, _next = self._shard.scroll(request)
        end = head["end"]
        if end is not None and records:
            bound = child_points.order(child_points.native_id(end))
            if child_points.order(records[-1].id) >= bound:
                records = [record for record in records if child_points.order(record.id) < bound]
        return child_points.pack(records, head["fields"])

    def fetch(self, head: frames.Head, _: list[bytearray]) -> Answer:
        ids = [child_points.native_id(item) for item in head["ids"]]
        found = self._shard.retrieve(ids, True, bool(head["fields"]))
        if self._divided or head["namespace"]:
            wanted = head["namespace"] or None
            found = [record for record in found if record.payload.get(NAMESPACE_FIELD) == wanted]
        return child_points.pack(found, head["fields"])

    def count(self, head: frames.Head, _: list[bytearray]) -> Answer:
        if head["namespace"] is None:
            return {"count": self._shard.count(edge.CountRequest(exact=True))}, []
        filter_, nothing = self._in_namespace(head["namespace"])
        return {"count": 0 if nothing else self._shard.count(edge.CountRequest(exact=True, filter=filter_))}, []

    def namespaces(self, _head: frames.Head, _: list[bytearray]) -> Answer:
        """Records per namespace, the default one under ""."""
        total = self._shard.count(edge.CountRequest(exact=True))
        if not self._divided:
            return {"counts": {"": total}}, []
        hits = self._shard.facet(edge.FacetRequest(NAMESPACE_FIELD, limit=total + 1, exact=True)).hits
        counts = {hit.value: hit.count for hit in hits}
        counts[""] = total - sum(counts.values())
        return {"counts": counts}, []

    def sample(self, head: frames.Head, _: list[bytearray]) -> Answer:
        """Ids of a namespace in order: all of them, or a share that depends only on the ids (the engine's slices)."""
        filter_, nothing = self._in_namespace(head["namespace"])
        if nothing:
            return {"ids": []}, []
        share = max(1, head["rows"] // SAMPLE_IDS)
        if share > 1:
            part: Any = edge.SliceCondition(share, 0)  # pyright: ignore[reportAttributeAccessIssue]  # not in the stubs
            conditions = [part, *([filter_] if filter_ is not None else [])]
            filter_ = edge.Filter(must=conditions)
        ids: list[int | str] = []
        offset: int | UUID | None = None
        while True:
            request = edge.ScrollRequest(offset=offset, limit=SCROLL_IDS, filter=filter_, with_payload=False)
            records, offset = self._shard.scroll(request)
            ids.extend(child_points.wire_id(record.id) for record in records)
            if offset is None:
                return {"ids": ids}, []

    def search(self, head: frames.Head, buffers: list[bytearray]) -> Answer:
        filter_, nothing = self._in_namespace(head["namespace"])
        queries = child_points.queries(head, buffers)
        if nothing:
            return {"hits": [[[], []] for _query in queries]}, []
        requests = [
            edge.QueryRequest(
                limit=head["k"],
                query=edge.Query.Nearest(query, using=head["field"]["name"]),
                filter=filter_,
                with_payload=False,
                with_vector=False,
            )
            for query in queries
        ]
        answers = self._shard.query_batch(edge.QueryBatchRequest(requests)) if requests else []
        hits = [[[child_points.wire_id(hit.id) for hit in one], [hit.score for hit in one]] for one in answers]
        return {"hits": hits}, []

    def delete(self, head: frames.Head, _: list[bytearray]) -> Answer:
        ids = [child_points.native_id(item) for item in head["ids"]]
        filter_, nothing = self._in_namespace(head["namespace"])
        if nothing:
            return {}, []
        if filter_ is None:
            self._shard.update(edge.UpdateOperation.delete_points(ids))
        else:
            both = edge.Filter(must=[edge.HasIdCondition(set(ids)), filter_])
            self._shard.update(edge.UpdateOperation.delete_points_by_filter(both))
        return {}, []

    def flush(self, _head: frames.Head, _: list[bytearray]) -> Answer:
        self._shard.flush()
        return {"count": self._shard.count(edge.CountRequest(exact=True))}, []

    def optimize(self, _head: frames.Head, _: list[bytearray]) -> Answer:
        changed = self._shard.optimize()
        self._shard.flush()
        return {"changed": changed}, []

    def _in_namespace(self, namespace: str) -> tuple[Any, bool]:
        """A filter (None: every record), and whether the namespace cannot hold anything."""
        if not self._divided:
            return None, bool(namespace)
        if not namespace:
            return edge.Filter(must=[edge.IsEmptyCondition(NAMESPACE_FIELD)]), False
        match = edge.FieldCondition(NAMESPACE_FIELD, match=edge.MatchValue(namespace))
        return edge.Filter(must=[match]), False


def main(descriptor: int) -> None:
    """Serve until the parent closes the socket."""
    child_process.exit_when_parent_dies()
    gc.disable()  # nothing here makes cycles, and records are many small objects
    worker = Worker()
    with socket.socket(fileno=descriptor) as sock:
        while True:
            try:
                head, buffers = frames.receive(sock)
            except EOFError:
                return
            operation: Callable[[frames.Head, list[bytearray]], Answer] = getattr(worker, head["op"])
            try:
                answer, parts = operation(head, buffers)
            except BaseException as error:  # the engine's panics are not Exceptions
                answer, parts = {"error": str(error) or repr(error)}, []
            try:
                frames.send(sock, answer, parts)
            except orjson.JSONEncodeError as error:
                frames.send(sock, {"error": str(error)})


if __name__ == "__main__":
    main(int(sys.argv[1]))
