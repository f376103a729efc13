"""References that have to wait, kept durably in a companion class of the collection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from vectormigrate.adapters.weaviate.client import class_path
from vectormigrate.adapters.weaviate.decode import id_of
from vectormigrate.adapters.weaviate.errors import RestError, TextError
from vectormigrate.adapters.weaviate.filters import ids_filter
from vectormigrate.adapters.weaviate.proto import batch as pb
from vectormigrate.adapters.weaviate.proto import removal, search
from vectormigrate.adapters.weaviate.session import Session

PREFIX = "VectormigratePending_"
_IDS = UUID("6b7f2a0e-6a51-5c38-8f4b-0d8c1b0c4c11")
PER_CALL = 1_000

_TEXTS = ("tenant", "object", "property")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """All references that one property of one object is to have."""

    tenant: str
    owner: UUID
    name: str
    beacons: tuple[str, ...]

    @property
    def id(self) -> UUID:
        return pending_id(self.tenant, self.owner, self.name)


def pending_id(tenant: str, item: UUID, name: str) -> UUID:
    """The id under which references of this property wait."""
    return uuid5(_IDS, f"{tenant}/{item}/{name}")


class Pending:
    """The companion class; it is made when something has to wait and removed when nothing does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def name(self) -> str:
        """Short names are part of it, long ones as a hash."""
        collection = self._session.config.collection
        return PREFIX + (collection if len(collection) < 200 else uuid5(_IDS, collection).hex)

    async def exists(self) -> bool:
        """Whether anything waits, or did until now."""
        try:
            await self._session.client.rest("GET", class_path(self.name))
        except RestError as error:
            if error.status != 404:
                raise
            return False
        return True

    async def _create(self) -> None:
        column = {"indexFilterable": False, "indexSearchable": False, "tokenization": "field"}
        body = {
            "class": self.name,
            "description": "References that vectormigrate will write when their targets exist. Do not remove.",
            "vectorizer": "none",
            "vectorIndexType": "hnsw",
            "vectorIndexConfig": {"skip": True, "skipDefaultQuantization": True},
            "properties": [
                *({"name": name, "dataType": ["text"], **column} for name in _TEXTS),
                {"name": "beacons", "dataType": ["text[]"], **column},
            ],
        }
        try:
            await self._session.client.rest("POST", "/schema", body)
        except RestError as error:
            # Another writer may have been faster.
            if error.status != 422 or not await self.exists():
                raise

    async def add(self, waiting: Sequence[Waiting]) -> None:
        """Keep them, replacing what waited for the same properties."""
        if not waiting:
            return
        if not await self.exists():
            await self._create()
        for start in range(0, len(waiting), PER_CALL):
            request = pb.BatchObjectsRequest(consistency_level=self._session.consistency)
            for item in waiting[start : start + PER_CALL]:
                entry = request.objects.add(collection=self.name, uuid=str(item.id))
                fields = entry.properties.non_ref_properties.fields
                fields["tenant"].string_value = item.tenant
                fields["object"].string_value = str(item.owner)
                fields["property"].string_value = item.name
                entry.properties.text_array_properties.add(prop_name="beacons", values=item.beacons)
            answer = await self._session.client.call("BatchObjects", request, pb.BatchObjectsReply)
            if answer.errors:
                raise TextError(answer.errors[0].error)

    async def remove(self, ids: Iterable[UUID]) -> None:
        """Forget these; missing ones are fine."""
        texts = [str(item) for item in ids]
        for start in range(0, len(texts), PER_CALL):
            request = removal.BatchDeleteRequest(
                collection=self.name,
                filters=ids_filter(texts[start : start + PER_CALL]),
                consistency_level=self._session.consistency,
            )
            answer = await self._session.client.call("BatchDelete", request, removal.BatchDeleteReply)
            if answer.failed:
                raise TextError(f"{answer.failed} of {answer.matches} waiting references could not be removed")

    async def find(self, ids: Sequence[UUID]) -> list[Waiting]:
        """Those of these ids that wait."""
        found: list[Waiting] = []
        for start in range(0, len(ids), PER_CALL):
            part = [str(item) for item in ids[start : start + PER_CALL]]
            request = self._request(len(part))
            request.filters.CopyFrom(ids_filter(part))
            answer = await self._session.client.call("Search", request, search.SearchReply)
            found += [_waiting(result) for result in answer.results]
        return found

    async def all(self) -> AsyncIterator[list[Waiting]]:
        """Everything that waits, in pages; what was looked at may be removed meanwhile."""
        after = ""
        while True:
            request = self._request(PER_CALL)
            if after:
                request.after = after
            answer = await self._session.client.call("Search", request, search.SearchReply)
            if not answer.results:
                return
            after = str(id_of(answer.results[-1]))
            yield [_waiting(result) for result in answer.results]

    def _request(self, limit: int) -> search.SearchRequest:
        return search.SearchRequest(
            collection=self.name,
            limit=limit,
            properties=search.PropertiesRequest(non_ref_properties=[*_TEXTS, "beacons"]),
            metadata=search.MetadataRequest(uuid=True),
            consistency_level=self._session.consistency,
            uses_123_api=True,
            uses_125_api=True,
            uses_127_api=True,
        )

    async def drop(self) -> None:
        """Remove the companion class; a missing one is fine, and one that the role may not touch is not ours."""
        try:
            await self._session.client.rest("DELETE", class_path(self.name))
        except RestError as error:
            if error.status != 403:
                raise


def _waiting(result: object) -> Waiting:
    fields = result.properties.non_ref_props.fields  # pyright: ignore[reportAttributeAccessIssue]
    return Waiting(
        tenant=fields["tenant"].text_value,
        owner=UUID(fields["object"].text_value),
        name=fields["property"].text_value,
        beacons=tuple(fields["beacons"].list_value.text_values.values),
    )
