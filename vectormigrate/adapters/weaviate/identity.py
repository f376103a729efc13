"""Whether REST and gRPC lead to one server: classes are made over REST, records go over gRPC, and Weaviate invents a
class (and tenants, where a class allows it) for a record that comes to the wrong place.

No interface names its server, but every object carries the milliseconds at which its own server got it. Where there is
no object yet, something new is made over REST and looked for over gRPC: the class itself when we make it, else a tenant
or a class of ours, which is removed at once. Sources are only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import anyio
import grpc

from vectormigrate.adapter.one_server import Differs, Interfaces
from vectormigrate.adapter.vendor_errors import grpc_code, grpc_details
from vectormigrate.adapters.weaviate.client import Client, class_path
from vectormigrate.adapters.weaviate.config import WeaviateConfig
from vectormigrate.adapters.weaviate.errors import NAME, RestError, inactive_tenant, meaning, unknown_tenant
from vectormigrate.adapters.weaviate.filters import ids_filter
from vectormigrate.adapters.weaviate.layout import Layout, layout_of
from vectormigrate.adapters.weaviate.proto import aggregate, search, tenants
from vectormigrate.errors import CollectionNotFound, option

SAMPLE = 25
TENANTS = 8
NEIGHBOURS = 3
PROBE = "VectormigrateProbe"


class Identity:
    """Questions to both interfaces. `known`: they are one server. Every method raises TerminalError when they are
    two."""

    def __init__(self, client: Client, config: WeaviateConfig) -> None:
        self.known = False
        self._client = client
        self._lock = anyio.Lock()
        self._interfaces = Interfaces(
            adapter=NAME,
            rest=config.rest().removesuffix("/v1"),
            grpc=config.grpc()[0],
            advice=f"Give the gRPC address of the REST server with {option('endpoint.options.grpc_port')} or "
            f"{option('endpoint.options.grpc_url')}",
        )

    async def shared(self, layout: Layout, tenant: str = "") -> None:
        """Compare the class, which exists on the REST side, and what it holds: of many tenants the one that is named,
        else a few. Nothing is known afterwards where there is nothing on either side."""
        if not self.known:
            self.known = await self._interfaces.compared(lambda: self._compare(layout, tenant))

    async def fresh(self, name: str) -> None:
        """Before the class is made: gRPC must not know it, and must know what other classes hold."""
        await self._interfaces.compared(lambda: self._absent(name))
        if not self.known:
            self.known = await self._interfaces.compared(self._compare_others)

    async def made(self, name: str) -> None:
        """After the class was made over REST, which gRPC did not know before."""
        self.known = await self._interfaces.compared(lambda: self._present(name))

    async def marked(self, layout: Layout) -> None:
        """Before anything is written: make sure, by something new where the class holds nothing."""
        async with self._lock:
            if self.known:
                return
            if layout.divided:
                await self._by_tenant(layout)
                return
            try:
                await self._by_class()
            except RestError as error:
                if error.status not in (401, 403, 422, 429):
                    raise
                # The role may be about this one class.
                await self._by_object(layout)

    async def _compare(self, layout: Layout, tenant: str = "") -> bool:
        names = [tenant]
        if layout.divided and not tenant:
            names = (await self._tenants(layout))[:TENANTS]
        for name in names:
            params = {"class": layout.name, "limit": str(SAMPLE), **({"tenant": name} if name else {})}
            found: Any = await self._client.rest("GET", "/objects", params=params)
            if found["objects"]:
                await self._same_objects(layout, name, found["objects"])
                return True
            request = aggregate.AggregateRequest(collection=layout.name, tenant=name, objects_count=True)
            answer = await self._ask(layout.name, "Aggregate", request, aggregate.AggregateReply)
            if answer.single_result.objects_count:
                raise Differs(f"its class {layout.name!r} holds records, this one none")
        return False

    async def _tenants(self, layout: Layout) -> list[str]:
        """The active tenants; all of them must be the same ones on both sides."""
        listed: Any = await self._client.rest("GET", class_path(layout.name, "tenants"))
        request = tenants.TenantsGetRequest(collection=layout.name)
        answer = await self._ask(layout.name, "TenantsGet", request, tenants.TenantsGetReply)
        here, there = {item["name"] for item in listed or ()}, {item.name for item in answer.tenants}
        if here != there:
            raise Differs(f"only one of them has tenant {min(here ^ there)!r} of class {layout.name!r}")
        return [item["name"] for item in listed or () if item.get("activityStatus", "HOT") in ("HOT", "ACTIVE")]

    async def _same_objects(self, layout: Layout, tenant: str, objects: Sequence[Any]) -> None:
        """Most must have the same times; some may change while we look."""
        here = {UUID(item["id"]): (item["creationTimeUnix"], item["lastUpdateTimeUnix"]) for item in objects}
        request = self._search(layout, tenant, list(here))
        request.metadata.creation_time_unix = request.metadata.last_update_time_unix = True
        answer = await self._ask(layout.name, "Search", request, search.SearchReply)
        there = {
            UUID(item.metadata.id): (item.metadata.creation_time_unix, item.metadata.last_update_time_unix)
            for item in answer.results
        }
        same = sum(there.get(key) == times for key, times in here.items())
        if not same or 2 * same < len(here.keys() & there.keys()):
            raise Differs(f"records of class {layout.name!r} came there at other times")

    def _search(self, layout: Layout, tenant: str, ids: Sequence[UUID]) -> search.SearchRequest:
        texts = [str(item) for item in ids]
        return search.SearchRequest(
            collection=layout.name,
            tenant=tenant,
            limit=2 * len(ids),
            # Weaviate finds ids by the text they were written with.
            filters=ids_filter([*texts, *(text.upper() for text in texts)]),
            metadata=search.MetadataRequest(uuid=True),
            properties=search.PropertiesRequest(),
            uses_123_api=True,
            uses_125_api=True,
            uses_127_api=True,
        )

    async def _ask(self, name: str, rpc: str, request: Any, answer: Any) -> Any:
        """A call that fails as Differs when gRPC does not know the class, or its tenant that REST shows as active."""
        try:
            return await self._client.call(rpc, request, answer)
        except grpc.RpcError as error:
            if _unknown_class(error):
                raise Differs(f"it has no class {name!r}") from error
            if unknown_tenant(error) or inactive_tenant(error):
                raise Differs(f"a tenant of its class {name!r} is missing or not active") from error
            raise

    async def _has(self, name: str, tenant: str = "") -> bool:
        """Whether gRPC knows the class, and its tenant if one is named."""
        request = tenants.TenantsGetRequest(collection=name)
        if tenant:
            request.names.values.append(tenant)
        try:
            answer = await self._client.call("TenantsGet", request, tenants.TenantsGetReply)
        except grpc.RpcError as error:
            if _unknown_class(error):
                return False
            if "multi-tenancy is not enabled" not in grpc_details(error):
                raise
            return True
        return not tenant or bool(answer.tenants)

    async def _absent(self, name: str) -> bool:
        if await self._has(name):
            raise Differs(f"it has a class {name!r}")
        return True

    async def _present(self, name: str, tenant: str = "") -> bool:
        if not await self._has(name, tenant):
            raise Differs(f"it does not have what was just made ({tenant or name})")
        return True

    async def _compare_others(self) -> bool:
        """Some other class that holds records tells both servers apart before anything is made."""
        try:
            found: Any = await self._client.rest("GET", "/schema")
            layouts = [layout_of(item) for item in found["classes"] or ()]
            for layout in [item for item in layouts if not item.divided][:NEIGHBOURS]:
                if await self._compare(layout):
                    return True
        except (RestError, grpc.RpcError):
            # Others' classes may be closed to us, or going.
            pass
        return False

    async def _by_tenant(self, layout: Layout) -> None:
        name = f"vectormigrate-probe-{uuid4().hex}"
        path = class_path(layout.name, "tenants")
        await self._client.rest("POST", path, [{"name": name}])
        try:
            self.known = await self._interfaces.compared(lambda: self._present(layout.name, name))
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.rest("DELETE", path, [name])

    async def _by_class(self) -> None:
        name = PROBE + uuid4().hex
        await self._client.rest("POST", "/schema", {"class": name, "vectorizer": "none"})
        try:
            await self.made(name)
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.rest("DELETE", class_path(name))

    async def _by_object(self, layout: Layout) -> None:
        key = uuid4()

        async def there() -> bool:
            answer = await self._ask(layout.name, "Search", self._search(layout, "", [key]), search.SearchReply)
            if not answer.results:
                raise Differs("it does not have the object that was just made")
            return True

        await self._client.rest("POST", "/objects", {"class": layout.name, "id": str(key), "properties": {}})
        try:
            self.known = await self._interfaces.compared(there)
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.rest("DELETE", f"/objects/{layout.name}/{key}")


def _unknown_class(error: grpc.RpcError) -> bool:
    found = meaning(grpc_details(error)) if grpc_code(error) in ("UNKNOWN", "NOT_FOUND") else None
    return found is not None and found[0] is CollectionNotFound
