"""Reading: counts, partitions, scans in the order of ids, fetch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any
from uuid import UUID

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapters.weaviate.decode import batch_of, id_of, request_of
from vectormigrate.adapters.weaviate.dims import held, known_dims
from vectormigrate.adapters.weaviate.errors import too_large, window_of
from vectormigrate.adapters.weaviate.filters import ids_filter
from vectormigrate.adapters.weaviate.layout import Layout
from vectormigrate.adapters.weaviate.proto import search as pb
from vectormigrate.adapters.weaviate.references import References
from vectormigrate.adapters.weaviate.search import search
from vectormigrate.adapters.weaviate.session import Session
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import VectorKind

WINDOW = 10_000
"""Default of the server's QUERY_MAXIMUM_RESULTS."""

ANSWER_BYTES = 16 * 2**20
"""What we ask for at once."""

META_GUESS = 1_024
"""Bytes of metadata per record, as long as no page told better."""

MULTI_GUESS = 32
"""Vectors per multi-vector, likewise."""

FETCH_IDS = 1_000

PROBES = 32
"""Points of the id space at which the density is looked at."""

SPREAD = 64
"""Ids count as uniform when no gap at a probe is so many times the mean."""

SPACE = 2**128


class Reader:
    """Everything that reads; raises vendor errors, which `classify` turns into ours."""

    def __init__(self, session: Session, references: References) -> None:
        self._session = session
        self._references = references
        self._row_bytes = META_GUESS
        self._window = WINDOW

    async def namespaces(self) -> list[str]:
        """The tenants that can be read."""
        return await self._session.namespaces()

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        """Top-k per query by the collection's index."""
        return await search(self._session, vector, queries, k, namespace)

    async def count(self, namespace: str | None = None) -> int:
        """Records of the namespace, or of all that can be read."""
        if namespace is not None:
            return await self._session.count(namespace)
        return sum((await self.counts(await self._session.namespaces())).values())

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """Records of each of these namespaces."""
        return await self._session.counts(namespaces)

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        """Ranges of the id space, each with about as many records."""
        wanted = await self._session.namespaces() if namespaces is None else sorted(set(namespaces))
        counts = namespaces if isinstance(namespaces, Mapping) else await self.counts(wanted)
        total = sum(counts.values()) or 1
        found: list[Partition] = []
        for name in wanted:
            parts = max(1, round(target_n * counts[name] / total))
            cuts = await self._cuts(name, counts[name], parts) if parts > 1 and await self._session.has(name) else []
            bounds = [None, *(str(cut) for cut in cuts), None]
            count = len(cuts) + 1
            found += [
                Partition(
                    id=f"{name}/{part}",
                    namespace=name,
                    bounds={"after": bounds[part], "upto": bounds[part + 1]},
                    rows=counts[name] * (part + 1) // count - counts[name] * part // count,
                )
                for part in range(count)
            ]
        return found

    async def _cuts(self, namespace: str, rows: int, parts: int) -> list[UUID]:
        """Up to `parts - 1` ids that cut the namespace evenly: equal steps for ids that are spread evenly, as random
        and hashed ones are, else existing ids found by walking over all of them."""
        if rows >= parts * PROBES and await self._uniform(namespace, rows):
            return [UUID(int=SPACE * part // parts) for part in range(1, parts)]
        per_part = max(1, -(-rows // parts))
        cuts: list[UUID] = []
        last: UUID | None = None
        seen = 0
        while len(cuts) < parts - 1:
            room = per_part * (len(cuts) + 1) - seen
            results = await self._search(namespace, last, min(room, self._window), ids_only=True, vectors=False)
            if not results:
                break
            last = id_of(results[-1])
            seen += len(results)
            if seen >= per_part * (len(cuts) + 1):
                cuts.append(last)
        return cuts

    async def _uniform(self, namespace: str, rows: int) -> bool:
        for number in range(PROBES):
            point = SPACE * number // PROBES
            results = await self._search(namespace, UUID(int=point), 1, ids_only=True, vectors=False)
            if not results or id_of(results[0]).int - point > SPREAD * SPACE // rows:
                return False
        return True

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        """Pages in the order of ids. `after` of a request need not exist and is itself left out; only an empty answer
        is the end."""
        layout = await self._session.layout()
        start = partition.bounds["after"] if after is None else after["last"]
        last = None if start is None else UUID(start)
        upto = None if partition.bounds["upto"] is None else UUID(partition.bounds["upto"])
        if not await self._session.has(partition.namespace):
            return
        while last is None or last != upto:
            batch, end = await self._page(layout, partition.namespace, last, upto, page_rows, vectors=vectors)
            if len(batch):
                yield Page(batch, {"last": str(batch.ids[-1])})
            if end is None:
                return
            last = end

    async def _page(
        self, layout: Layout, namespace: str, last: UUID | None, upto: UUID | None, rows: int, *, vectors: bool
    ) -> tuple[RecordBatch, UUID | None]:
        """The next records up to `upto`, and the last id that was looked at (None: the range is done)."""
        asked = await self._rows(layout, rows, vectors=vectors)
        results = await self._search(namespace, last, asked, vectors=vectors)
        inside = [result for result in results if upto is None or id_of(result) <= upto]
        batch = await self._batch(layout, inside, namespace, vectors=vectors)
        if layout.by_rest and inside:
            batch = await self._references.added(layout, batch, last, len(results))
        end = id_of(inside[-1]) if inside and len(inside) == len(results) else None
        return batch, end

    async def _batch(self, layout: Layout, results: Sequence[Any], namespace: str, *, vectors: bool) -> RecordBatch:
        """With a column for every vector that any record is known to hold."""
        if not vectors:
            return batch_of(results, layout, {}, namespace, vectors=False)
        dims = await known_dims(self._session)
        unknown = {name for name, dim in dims.items() if dim is None}
        if unknown:
            for result in results:
                for name, dim in held(result.metadata, layout).items():
                    self._session.dims.setdefault(name, dim)
            dims = await known_dims(self._session)
        return batch_of(results, layout, dims, namespace, vectors=True)

    async def _search(
        self, namespace: str, after: UUID | None, rows: int, *, vectors: bool, ids_only: bool = False
    ) -> Sequence[Any]:
        """Records after this id; fewer when they are large."""
        layout = await self._session.layout()
        while True:
            request = self._request(layout, namespace, vectors=vectors, metadata=not ids_only)
            request.limit = rows
            if after is not None:
                request.after = str(after)
            try:
                answer = await self._session.ask(namespace, "Search", request, pb.SearchReply)
                break
            except Exception as error:
                self._window = min(self._window, window_of(error) or self._window)
                if rows == 1 or not (too_large(error) or rows > self._window):
                    raise
                rows = max(1, min(rows // 2, self._window))
        if answer.results:
            await self._session.held(namespace)
        if answer.results and not ids_only:
            # Half the old guess stays, so that a run of small records does not lead to a page too large.
            self._row_bytes = max(256, answer.ByteSize() // len(answer.results), self._row_bytes // 2)
        return answer.results

    def _request(self, layout: Layout, namespace: str, *, vectors: bool, metadata: bool = True) -> pb.SearchRequest:
        wanted = pb.MetadataRequest(uuid=True)
        if vectors:
            wanted.vector = any(not item.name for item in layout.vectors)
            wanted.vectors.extend(item.name for item in layout.vectors if item.name)
        return pb.SearchRequest(
            collection=layout.name,
            tenant=namespace,
            properties=request_of(layout, metadata=metadata),
            metadata=wanted,
            consistency_level=self._session.consistency,
            uses_123_api=True,
            uses_125_api=True,
            uses_127_api=True,
        )

    async def _rows(self, layout: Layout, wanted: int, *, vectors: bool) -> int:
        """How many records to ask for. A legacy vector comes twice in an answer: as bytes and as numbers."""
        size = 0
        if vectors:
            for name, dim in (await known_dims(self._session)).items():
                item = layout.vector(name)
                many = MULTI_GUESS if item is not None and item.kind is VectorKind.MULTI else 1
                size += 4 * (dim or 0) * many * (1 if name else 2)
        return max(1, min(wanted, self._window, ANSWER_BYTES // max(self._row_bytes, size, 1)))

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        """The records that exist, in the order asked. Weaviate finds ids by their text: as Python and every vendor's
        client write them, and those stored in upper case too."""
        layout = await self._session.layout()
        wanted = list(dict.fromkeys(item for item in ids if isinstance(item, UUID)))
        results = await self._results(layout, wanted, namespace, vectors=vectors)
        present = [item for item in wanted if item in results]
        batch = await self._batch(layout, [results[item] for item in present], namespace, vectors=vectors)
        if layout.by_rest and present:
            batch = await self._references.added_each(layout, batch)
        row_of = {record_id: row for row, record_id in enumerate(batch.ids)}
        rows = [row_of[item] for item in ids if isinstance(item, UUID) and item in row_of]
        return batch if rows == list(range(len(batch))) else batch.take(rows)

    async def _results(
        self, layout: Layout, wanted: Sequence[UUID], namespace: str, *, vectors: bool
    ) -> dict[UUID, Any]:
        """What the server returns for these ids; those that it does not hold are left out."""
        results: dict[UUID, Any] = {}
        if not wanted or not await self._session.has(namespace):
            return results
        step = await self._rows(layout, FETCH_IDS, vectors=vectors)
        for start in range(0, len(wanted), step):
            part = wanted[start : start + step]
            found = await self._among(layout, namespace, [str(item) for item in part], vectors=vectors)
            missing = [str(item).upper() for item in part if item not in found]
            if missing:
                found |= await self._among(layout, namespace, missing, vectors=vectors)
            results |= found
        return results

    async def _among(self, layout: Layout, namespace: str, texts: Sequence[str], *, vectors: bool) -> dict[UUID, Any]:
        """The records whose id is stored as one of these texts."""
        request = self._request(layout, namespace, vectors=vectors)
        request.limit = len(texts)
        request.filters.CopyFrom(ids_filter(texts))
        try:
            answer = await self._session.ask(namespace, "Search", request, pb.SearchReply)
        except Exception as error:
            if len(texts) == 1 or not (too_large(error) or window_of(error)):
                raise
            middle = len(texts) // 2
            found = await self._among(layout, namespace, texts[:middle], vectors=vectors)
            return found | await self._among(layout, namespace, texts[middle:], vectors=vectors)
        if answer.results:
            await self._session.held(namespace)
        return {id_of(result): result for result in answer.results}
