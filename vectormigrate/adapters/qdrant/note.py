"""Where our own texts about a collection are kept: in its metadata, or on servers before 1.16, which have none, in a
collection of ours that holds one record per collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

from vectormigrate.adapters.qdrant.client_rest import Rest, segment
from vectormigrate.adapters.qdrant.errors import HttpError
from vectormigrate.adapters.qdrant.layout import OWN_KEYS

RESERVED = "_vm_notes"
"""The collection for servers before 1.16."""

POINTS = UUID("0f4cbd21-6a6e-4f0c-9b39-3d1d9f5c70f1")
"""Name space of its ids."""

Changes = Mapping[str, str | None]
"""New texts by key; None removes one."""


class MetadataNotes:
    """In the collection's metadata, of which a PATCH replaces single keys and null removes one."""

    def __init__(self, rest: Rest, collection: str) -> None:
        self._rest = rest
        self._path = f"/collections/{segment(collection)}"

    async def read(self) -> dict[str, str]:
        """Nothing: the texts come with the collection's own description."""
        return {}

    async def write(self, changes: Changes, patch: Mapping[str, Any] | None = None, *, after: bool = False) -> None:
        """Store the texts, and change the settings by `patch`, in one request."""
        del after
        await self._rest.call("PATCH", self._path, {**(patch or {}), "metadata": dict(changes)})

    async def remove(self) -> None:
        """Nothing: they go with the collection."""


class ReservedNotes:
    """In the reserved collection, which is made when it is first needed and removed with its last record."""

    def __init__(self, rest: Rest, collection: str) -> None:
        self._rest = rest
        self._name = collection
        self._path = f"/collections/{RESERVED}"
        self._id = str(uuid5(POINTS, collection))

    async def read(self) -> dict[str, str]:
        try:
            body = {"ids": [self._id], "with_payload": True}
            found = await self._rest.call("POST", f"{self._path}/points", body)
        except HttpError as error:
            if error.status != 404:
                raise
            return {}
        texts: dict[str, Any] = found[0]["payload"] if found else {}
        return {key: text for key, text in texts.items() if key in OWN_KEYS and isinstance(text, str)}

    async def write(self, changes: Changes, patch: Mapping[str, Any] | None = None, *, after: bool = False) -> None:
        """Store the texts and change the settings by `patch`; two requests, the settings first only if `after`."""
        if patch and after:
            await self._patch(patch)
        texts = {key: text for key, text in {**await self.read(), **changes}.items() if text is not None}
        point = {"id": self._id, "vector": {}, "payload": {**texts, "collection": self._name}}
        for attempt in range(2):
            try:
                body = {"points": [point]}
                await self._rest.call("PUT", f"{self._path}/points", body, {"wait": "true"})
                break
            except HttpError as error:
                if error.status != 404 or attempt:
                    raise
            await self._make()
        if patch and not after:
            await self._patch(patch)

    async def _patch(self, patch: Mapping[str, Any]) -> None:
        await self._rest.call("PATCH", f"/collections/{segment(self._name)}", patch)

    async def _make(self) -> None:
        try:
            await self._rest.call("PUT", self._path, {"vectors": {"none": {"size": 1, "distance": "Dot"}}})
        except HttpError as error:
            if error.status != 409:
                raise

    async def remove(self) -> None:
        try:
            await self._rest.call("POST", f"{self._path}/points/delete", {"points": [self._id]}, {"wait": "true"})
            left = await self._rest.call("POST", f"{self._path}/points/count", {"exact": True})
            if not left["count"]:
                await self._rest.call("DELETE", self._path)
        except HttpError as error:
            if error.status != 404:
                raise


Notes = MetadataNotes | ReservedNotes
