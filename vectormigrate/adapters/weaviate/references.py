"""Cross-references: read as raw beacons, written after their objects, and kept aside where Weaviate refuses them.

- gRPC leaves out references whose target is gone, and members of objects whose name begins with a capital, so both are
  read over REST, a page of the same ids with each page.
- An object with a reference to a missing object is refused, so objects are written without, and their references are
  appended afterwards. An upsert erases old references, so doing both again after a crash gives the same.
- With multi-tenancy a reference needs its target at once, and a reference property needs its target class. What has to
  wait is kept in a companion class on the server (pending.py) until `settle`, which `finalize` calls: it is there
  before the batch counts as written, so no crash loses it, and reads show it as if it were in place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote
from uuid import UUID

from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapters.weaviate.beacons import START, links_of
from vectormigrate.adapters.weaviate.client import AT_ONCE, class_path
from vectormigrate.adapters.weaviate.config import Dangling
from vectormigrate.adapters.weaviate.decode import rest_values
from vectormigrate.adapters.weaviate.errors import NAME, RestError, TextError
from vectormigrate.adapters.weaviate.layout import Layout
from vectormigrate.adapters.weaviate.pending import Pending, Waiting, pending_id
from vectormigrate.adapters.weaviate.proto import batch as pb
from vectormigrate.adapters.weaviate.session import Session
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import Metadata, RecordBatch, Value

PER_CALL = 2_000

Links = Sequence[tuple[str, str | None, str]]

_MISSING = re.compile(
    r"not found for tenant|no object with id|target class .* not found|could not find class|class not found"
)


class References:
    """Reads and writes the references of one collection."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.pending = Pending(session)

    async def added(self, layout: Layout, batch: RecordBatch, after: UUID | None, asked: int) -> RecordBatch:
        """The batch of a scan, which asked for `asked` records after this id, with its references. A record that was
        deleted in between is left out."""
        params = self._params(layout, batch.namespace, limit=str(asked))
        # REST takes an empty `after` for the start.
        params["after"] = "" if after is None else str(after)
        answer = await self._session.client.rest("GET", "/objects", params=params)
        found = rest_values(answer["objects"], layout)
        return await self._joined(layout, batch, found)

    async def added_each(self, layout: Layout, batch: RecordBatch) -> RecordBatch:
        """The batch of a fetch, with its references."""
        return await self._joined(layout, batch, {})

    def _params(self, layout: Layout, namespace: str, **others: str) -> dict[str, str]:
        tenant = {"tenant": namespace} if namespace else {}
        return {"class": layout.name, **tenant, **others}

    async def _joined(self, layout: Layout, batch: RecordBatch, found: dict[UUID, dict[str, Value]]) -> RecordBatch:
        ids = [item for item in batch.ids if isinstance(item, UUID)]
        missing = [item for item in ids if item not in found]

        async def look(item: UUID) -> None:
            one = await self._one(layout, item, batch.namespace)
            if one is not None:
                found.update(one)

        await gather([lambda item=item: look(item) for item in missing], AT_ONCE)
        waiting = await self._waiting(layout, batch.namespace, ids)
        rows: list[int] = []
        metadata: list[Metadata] = []
        for row, record_id in enumerate(ids):
            if record_id in found:
                rows.append(row)
                metadata.append({**batch.metadata[row], **found[record_id], **waiting.get(record_id, {})})
        kept = batch if len(rows) == len(batch) else batch.take(rows)
        return RecordBatch(kept.namespace, kept.ids, kept.vectors, metadata)

    async def _one(self, layout: Layout, item: UUID, namespace: str) -> dict[UUID, dict[str, Value]] | None:
        path = f"/objects/{quote(layout.name)}/{item}"
        params = {"tenant": namespace} if namespace else None
        try:
            return rest_values([await self._session.client.rest("GET", path, params=params)], layout)
        except RestError as error:
            if error.status != 404:
                raise
            return None

    async def _waiting(self, layout: Layout, namespace: str, ids: Sequence[UUID]) -> dict[UUID, dict[str, Value]]:
        """Per id the references that wait."""
        found: dict[UUID, dict[str, Value]] = {}
        if ids and layout.references and await self.pending.exists():
            for item in await self.pending.find(self._pending_ids(layout, namespace, ids)):
                found.setdefault(item.owner, {})[item.name] = list(item.beacons)
        return found

    def _pending_ids(self, layout: Layout, namespace: str, ids: Sequence[UUID]) -> list[UUID]:
        return [pending_id(namespace, item, reference.name) for item in ids for reference in layout.references]

    async def forget(self, layout: Layout, namespace: str, ids: Sequence[UUID]) -> None:
        """These records are about to be replaced or removed, so nothing waits for them any more."""
        if layout.references and ids and await self.pending.exists():
            await self.pending.remove(self._pending_ids(layout, namespace, ids))

    async def write(self, layout: Layout, namespace: str, records: Sequence[tuple[UUID, Links]]) -> None:
        """Append the references of records that have just been written. Those that Weaviate refuses for now are kept
        aside; any other refusal raises."""
        later = {item.name for item in layout.later}
        flat = [(owner, *link) for owner, links in records for link in links if link[0] not in later]
        put_off = {(owner, link[0]) for owner, links in records for link in links if link[0] in later}
        put_off |= await self._send(layout, namespace, flat)
        if put_off:
            await self.pending.add(_grouped(namespace, records, put_off))

    async def _send(
        self, layout: Layout, namespace: str, flat: Sequence[tuple[UUID, str, str | None, str]]
    ) -> set[tuple[UUID, str]]:
        """Append references; (record, property) of those whose target is missing. Any other refusal raises."""
        put_off: set[tuple[UUID, str]] = set()
        for start in range(0, len(flat), PER_CALL):
            part = flat[start : start + PER_CALL]
            request = pb.BatchReferencesRequest(consistency_level=self._session.consistency)
            for owner, name, target, to in part:
                entry = request.references.add(
                    name=name, from_collection=layout.name, from_uuid=str(owner), to_uuid=to, tenant=namespace
                )
                if target is not None:
                    entry.to_collection = target
            answer = await self._session.client.call("BatchReferences", request, pb.BatchReferencesReply)
            for failure in answer.errors:
                if _MISSING.search(failure.error) is None:
                    raise TextError(failure.error)
                put_off.add(part[failure.index][:2])
        return put_off

    async def settle(self, layout: Layout) -> None:
        """Write what waits. Raises InvalidRequest when something still has no target, unless such is to be dropped;
        repeatable."""
        left: list[Waiting] = []
        if await self.pending.exists():
            async for page in self.pending.all():
                left += await self._settle_page(layout, page)
        if left:
            raise self._dangling(layout, left)
        await self.pending.drop()

    async def _settle_page(self, layout: Layout, page: Sequence[Waiting]) -> list[Waiting]:
        done: list[UUID] = []
        left: list[Waiting] = []

        async def one(item: Waiting) -> None:
            if await self._place(layout, item):
                done.append(item.id)
            else:
                left.append(item)

        await gather([lambda item=item: one(item) for item in page], AT_ONCE)
        await self.pending.remove(done)
        return left

    async def _place(self, layout: Layout, item: Waiting) -> bool:
        """Replace the references of one property; False when a target is still missing."""
        if item.name in {reference.name for reference in layout.later}:
            return self._session.config.dangling_references is Dangling.DROP
        if not layout.divided and item.beacons:
            return await self._append(layout, item)
        if await self._put(layout, item, item.beacons):
            return True
        if self._session.config.dangling_references is Dangling.FAIL:
            return False
        present = [text for text in item.beacons if await self._target_exists(item.tenant, text)]
        return await self._put(layout, item, present)

    async def _append(self, layout: Layout, item: Waiting) -> bool:
        """Without tenants: targets may be missing when references are appended, not when they are replaced. What an
        earlier try left is looked at first, so that nothing comes twice."""
        reference = layout.properties[item.name]
        found = await self._one(layout, item.owner, "")
        if found is None:
            return True
        held = found[item.owner].get(item.name)
        if held == list(item.beacons):
            return True
        if held is not None:
            path = f"/objects/{quote(layout.name)}/{item.owner}"
            body = {"class": layout.name, "id": str(item.owner), "properties": {item.name: None}}
            await self._session.client.rest("PATCH", path, body, params=self._levels(""))
        await self._send(layout, "", [(item.owner, *link) for link in links_of(list(item.beacons), reference)])
        return True

    async def _put(self, layout: Layout, item: Waiting, beacons: Sequence[str]) -> bool:
        path = f"/objects/{quote(layout.name)}/{item.owner}/references/{quote(item.name)}"
        params = self._levels(item.tenant)
        try:
            await self._session.client.rest("PUT", path, [{"beacon": text} for text in beacons], params=params)
        except RestError as error:
            if error.status == 404:
                # The record itself is gone.
                return True
            if error.status in (400, 422, 500) and _MISSING.search(error.text):
                return False
            raise
        return True

    def _levels(self, tenant: str) -> dict[str, str]:
        level = {"consistency_level": self._session.config.consistency.value}
        return {**level, "tenant": tenant} if tenant else level

    async def _target_exists(self, tenant: str, text: str) -> bool:
        target = text.removeprefix(START)
        if "/" not in target:
            return False
        for params in ({"tenant": tenant}, {}) if tenant else ({},):
            try:
                await self._session.client.rest("HEAD", f"/objects/{target}", params=params)
                return True
            except RestError as error:
                if error.status not in (404, 422, 500):
                    raise
        return False

    def _dangling(self, layout: Layout, left: Sequence[Waiting]) -> InvalidRequest:
        example = left[0]
        message = (
            f"{len(left)} reference lists of {layout.name!r} wait for targets that do not exist here, such as "
            f"{example.beacons[0]} in {example.name!r} of {example.owner}; they are kept in the class "
            f"{self.pending.name!r}: migrate the referenced collections and finish again, or leave such references "
            "out with the option dangling_references=drop"
        )
        return InvalidRequest(message, adapter=NAME, operation="finalize")

    async def add_later(self, layout: Layout) -> bool:
        """Make the reference properties whose classes exist by now; whether any was made."""
        made = False
        for item in layout.later:
            try:
                await self._session.client.rest(
                    "POST", class_path(layout.name, "properties"), {"name": item.name, **item.json}
                )
                made = True
            except RestError as error:
                if error.status != 422:
                    raise
        return made


def _grouped(namespace: str, records: Sequence[tuple[UUID, Links]], put_off: set[tuple[UUID, str]]) -> list[Waiting]:
    found: dict[tuple[UUID, str], list[str]] = {key: [] for key in put_off}
    for owner, links in records:
        for name, target, to in links:
            if to and (owner, name) in found:
                found[owner, name].append(f"{START}{target}/{to}" if target else f"{START}{to}")
    return [
        Waiting(tenant=namespace, owner=owner, name=name, beacons=tuple(beacons))
        for (owner, name), beacons in found.items()
    ]
