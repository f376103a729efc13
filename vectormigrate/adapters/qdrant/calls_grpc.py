"""Records over the gRPC interface; what gRPC cannot carry goes over REST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from vectormigrate.adapter import Hits, Queries
from vectormigrate.adapters.qdrant import decode, encode, encode_points
from vectormigrate.adapters.qdrant import ids as wire
from vectormigrate.adapters.qdrant.calls import Records, check_status
from vectormigrate.adapters.qdrant.calls_rest import RestPoints
from vectormigrate.adapters.qdrant.client_grpc import Channels
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.filters import Where
from vectormigrate.adapters.qdrant.proto import pb
from vectormigrate.adapters.qdrant.rejects import fits_grpc
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import VectorField, VectorKind

CONSISTENCY = {"majority": 0, "quorum": 1, "all": 2}
STATUSES = {0: "unknown", 1: "acknowledged", 2: "completed", 3: "clock_rejected", 4: "wait_timeout"}
ORDERING = {"weak": 0, "medium": 1, "strong": 2}


class GrpcPoints:
    """Implements Transport."""

    def __init__(self, channels: Channels, rest: RestPoints, config: QdrantConfig) -> None:
        self._channels = channels
        self._rest = rest
        self._name = config.collection
        self._ordering = pb.WriteOrdering(type=ORDERING[config.ordering])  # pyright: ignore[reportArgumentType]

    @property
    def _read(self) -> dict[str, Any]:
        wanted = self._rest.consistency
        if wanted is None:
            return {"collection_name": self._name}
        if isinstance(wanted, int):
            consistency = pb.ReadConsistency(factor=wanted)
        else:
            consistency = pb.ReadConsistency(type=CONSISTENCY[wanted])  # pyright: ignore[reportArgumentType]
        return {"collection_name": self._name, "read_consistency": consistency}

    async def scroll(
        self, where: Where, offset: RecordId | None, limit: int, fields: Sequence[VectorField], *, payload: bool = True
    ) -> Records:
        request = pb.ScrollPoints(
            **self._read,
            filter=where.grpc_filter(),
            offset=None if offset is None else wire.message(offset),
            limit=limit,
            with_payload=pb.WithPayloadSelector(enable=payload),
            with_vectors=_vectors(fields),
            **where.grpc_shard(),
        )
        raw = await self._channels.raw("Scroll", request)
        try:
            answer = pb.ScrollResponse.FromString(raw)
            following = None
            if answer.HasField("next_page_offset"):
                following = wire.from_message(answer.next_page_offset)
            return _records(answer.result, fields, following)
        except (decode.Ambiguous, DecodeError):
            return await self._rest.scroll(where, offset, limit, fields, payload=payload)

    async def retrieve(self, where: Where, ids: Sequence[RecordId], fields: Sequence[VectorField]) -> Records:
        request = pb.GetPoints(
            **self._read,
            ids=[wire.message(item) for item in ids],
            with_payload=pb.WithPayloadSelector(enable=True),
            with_vectors=_vectors(fields),
            **where.grpc_shard(),
        )
        raw = await self._channels.raw("Get", request)
        try:
            return _records(pb.GetResponse.FromString(raw).result, fields, None)
        except (decode.Ambiguous, DecodeError):
            return await self._rest.retrieve(where, ids, fields)

    async def count(self, where: Where) -> int:
        request = pb.CountPoints(**self._read, filter=where.grpc_filter(), exact=True, **where.grpc_shard())
        return (await self._channels.call("Count", request, pb.CountResponse)).result.count

    async def facet(self, where: Where, limit: int) -> dict[str, int]:
        request = pb.FacetCounts(
            **self._read, key=where.field, filter=where.grpc_filter(), limit=limit, exact=True, **where.grpc_shard()
        )
        answer = await self._channels.call("Facet", request, pb.FacetResponse)
        return {hit.value.string_value: hit.count for hit in answer.hits}

    async def upsert(
        self, where: Where, batch: RecordBatch, rows: list[int], payloads: Mapping[int, Metadata], *, single: bool
    ) -> None:
        good = [row for row in rows if fits_grpc(payloads[row])]
        if len(good) < len(rows):
            other = sorted(set(rows).difference(good))
            await self._rest.upsert(where, batch, other, payloads, single=single)
        if not good:
            return
        head = pb.UpsertPoints(collection_name=self._name, wait=True, ordering=self._ordering, **where.grpc_shard())
        points = encode_points.points(batch, good, payloads, single=single)
        await self._change("Upsert", head.SerializeToString() + points)

    async def delete(self, where: Where) -> None:
        if where.namespace is None:
            chosen = pb.PointsIdsList(ids=[wire.message(item) for item in where.ids or ()])
            selector = pb.PointsSelector(points=chosen)
        else:
            selector = pb.PointsSelector(filter=where.grpc_filter())
        request = pb.DeletePoints(
            collection_name=self._name, wait=True, ordering=self._ordering, points=selector, **where.grpc_shard()
        )
        await self._change("Delete", request)

    async def _change(self, name: str, request: Any) -> None:
        status = (await self._channels.call(name, request, pb.PointsOperationResponse)).result.status
        check_status(STATUSES.get(status, str(status)))

    async def query(self, where: Where, field: VectorField, queries: Queries, k: int) -> list[Hits]:
        batch = pb.QueryBatchPoints(**self._read)
        fill = encode.filler(_column(field, queries))
        for row in range(len(queries)):
            one = batch.query_points.add(collection_name=self._name, limit=k, **where.grpc_shard())
            condition = where.grpc_filter()
            if condition is not None:
                one.filter.CopyFrom(condition)
            if field.name:
                one.using = field.name
            fill(one.query.nearest, row)
        answer = await self._channels.call("QueryBatch", batch, pb.QueryBatchResponse)
        return [
            Hits([wire.from_message(hit.id) for hit in one.result], [hit.score for hit in one.result])
            for one in answer.result
        ]


def _column(field: VectorField, queries: Queries) -> DenseColumn | SparseColumn | MultiColumn:
    if field.kind is not VectorKind.SPARSE:
        rows = np.ascontiguousarray(queries, np.float32)
        if field.kind is VectorKind.DENSE:
            return DenseColumn(rows)
        return MultiColumn(np.arange(len(rows) + 1, dtype=np.int64), rows)
    lengths = [len(indices) for indices, _ in queries]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    places = np.concatenate([np.empty(0, np.uint32), *(np.asarray(indices, np.uint32) for indices, _ in queries)])
    numbers = np.concatenate([np.empty(0, np.float32), *(np.asarray(values, np.float32) for _, values in queries)])
    return SparseColumn(offsets, places, numbers)


def _vectors(fields: Sequence[VectorField]) -> Any:
    names = [item.name for item in fields]
    if not names or "" in names:
        return pb.WithVectorsSelector(enable=bool(names))
    return pb.WithVectorsSelector(include=pb.VectorsSelector(names=names))


def _records(points: Any, fields: Sequence[VectorField], following: RecordId | None) -> Records:
    return Records(
        ids=decode.ids_of(points),
        payloads=[decode.payload(point.payload) for point in points],
        columns=decode.columns(points, fields),
        following=following,
    )
