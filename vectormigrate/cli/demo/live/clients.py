"""The application's use of each vendor's own client: one class per database, with the same methods.

No client retries: every call is one attempt, so that what is known of its outcome is known of the write.
"""

from __future__ import annotations

import importlib
from typing import Any, Protocol

from vectormigrate.cli.demo.live.collection import PLAIN
from vectormigrate.cli.demo.live.history import Outcome
from vectormigrate.cli.demo.live.records import COLLECTION, FIELDS, Row

MILVUS_TIMEOUT = 20.0
QDRANT_TIMEOUT = 5
"""The client's own default."""

HITS = 10


class Client(Protocol):
    """Methods raise the vendor's errors, of which `outcome` is what a write's is known to be."""

    partial: bool
    """Whether one field of a record can be changed; else it is read, changed and written back."""

    async def put(self, row: Row) -> None:
        """Write a whole record."""
        ...

    async def note(self, key: int, note: int) -> None:
        """Change one field."""
        ...

    async def delete(self, key: int) -> None:
        """Remove a record, if there is one."""
        ...

    async def delete_group(self, group: int) -> None:
        """Remove every record of a group."""
        ...

    async def get(self, key: int) -> Row | None:
        """The scalar fields of a record."""
        ...

    async def search(self, vector: list[float]) -> int:
        """How many of the nearest records were found."""
        ...

    async def close(self) -> None:
        """End the connection."""
        ...

    def outcome(self, error: Exception) -> Outcome:
        """Of a write that raised this."""
        ...


class MilvusSide:
    """pymilvus."""

    partial = False

    def __init__(self, address: str) -> None:
        pymilvus: Any = importlib.import_module("pymilvus")
        self._client: Any = pymilvus.AsyncMilvusClient(_url(address), grpc_options=PLAIN)
        self._once: dict[str, Any] = {"timeout": MILVUS_TIMEOUT, "retry_times": 0}

    async def put(self, row: Row) -> None:
        await self._client.upsert(COLLECTION, [row], **self._once)

    async def note(self, key: int, note: int) -> None:
        raise AssertionError("Milvus 2.3 changes whole records only, see `partial`")

    async def delete(self, key: int) -> None:
        await self._client.delete(COLLECTION, ids=[key], **self._once)

    async def delete_group(self, group: int) -> None:
        await self._client.delete(COLLECTION, filter=f"grp == {group}", **self._once)

    async def get(self, key: int) -> Row | None:
        names = ["id", *FIELDS]
        found = await self._client.get(COLLECTION, ids=[key], output_fields=names, **self._once)
        return dict(found[0]) if found else None

    async def search(self, vector: list[float]) -> int:
        found = await self._client.search(
            COLLECTION, data=[vector], anns_field="embedding", limit=HITS, output_fields=["op"], **self._once
        )
        return len(found[0])

    async def close(self) -> None:
        await self._client.close()

    def outcome(self, error: Exception) -> Outcome:
        code = getattr(error, "code", None)
        code = code() if callable(code) else code
        return Outcome.REFUSED if getattr(code, "name", "") in REFUSALS else Outcome.UNKNOWN


REFUSALS = frozenset({"FAILED_PRECONDITION", "PERMISSION_DENIED"})
"""gRPC codes of a fence, which forwards nothing."""


class QdrantSide:
    """qdrant-client."""

    partial = True

    def __init__(self, address: str) -> None:
        qdrant: Any = importlib.import_module("qdrant_client")
        self._models: Any = qdrant.models
        self._client: Any = qdrant.AsyncQdrantClient(
            url=_url(address), timeout=QDRANT_TIMEOUT, check_compatibility=False
        )

    async def put(self, row: Row) -> None:
        fields = {name: row[name] for name in FIELDS}
        point = self._models.PointStruct(id=row["id"], vector={"embedding": row["embedding"]}, payload=fields)
        await self._client.upsert(COLLECTION, [point], wait=True)

    async def note(self, key: int, note: int) -> None:
        await self._client.set_payload(COLLECTION, {"note": note}, [key], wait=True)

    async def delete(self, key: int) -> None:
        await self._client.delete(COLLECTION, self._models.PointIdsList(points=[key]), wait=True)

    async def delete_group(self, group: int) -> None:
        match = self._models.FieldCondition(key="grp", match=self._models.MatchValue(value=group))
        where = self._models.FilterSelector(filter=self._models.Filter(must=[match]))
        await self._client.delete(COLLECTION, where, wait=True)

    async def get(self, key: int) -> Row | None:
        found = await self._client.retrieve(COLLECTION, [key])
        return {"id": key, **{name: found[0].payload.get(name) for name in FIELDS}} if found else None

    async def search(self, vector: list[float]) -> int:
        found = await self._client.query_points(COLLECTION, vector, using="embedding", limit=HITS)
        return len(found.points)

    async def close(self) -> None:
        await self._client.close()

    def outcome(self, error: Exception) -> Outcome:
        known = {404: Outcome.ABSENT, 409: Outcome.REFUSED, 403: Outcome.REFUSED}
        return known.get(getattr(error, "status_code", 0) or 0, Outcome.UNKNOWN)


def _url(address: str) -> str:
    return address if "://" in address else f"http://{address}"


def connect(side: str, address: str) -> Client:
    """The client of a side of the demo."""
    return MilvusSide(address) if side == "source" else QdrantSide(address)
