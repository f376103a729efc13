"""One opened collection: its layout, its tenants and the dimensions of its vectors, as far as this process knows."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import anyio
import grpc

from vectormigrate.adapter.concurrency import gather
from vectormigrate.adapter.polling import Poll
from vectormigrate.adapters.weaviate.capabilities import TENANT_NAME, narrowed
from vectormigrate.adapters.weaviate.client import Client, class_path
from vectormigrate.adapters.weaviate.config import WeaviateConfig
from vectormigrate.adapters.weaviate.errors import NAME, RestError, inactive_tenant, unknown_tenant
from vectormigrate.adapters.weaviate.identity import Identity
from vectormigrate.adapters.weaviate.layout import Layout, layout_of
from vectormigrate.adapters.weaviate.proto import aggregate, tenants
from vectormigrate.errors import CollectionNotFound, InvalidRequest, TimedOut
from vectormigrate.figures import duration

R = TypeVar("R")

HOT = "HOT"
TENANTS_PER_CALL = 100
COUNTS = 8
"""Tenants counted at once."""

FRESH_SECONDS = 1.0
"""How old the layout may be that a write relies on. Weaviate invents a class that is gone for a record that comes, so a
writer must not rely on it for long; asking for each batch would cost as much as a small batch."""

SWITCHABLE = frozenset({"COLD", "FROZEN", "UNFREEZING", "FREEZING", "INACTIVE", "OFFLOADED"})
"""States that `activate_tenants` turns into HOT."""

STATES = {"ACTIVE": HOT, "INACTIVE": "COLD", "OFFLOADED": "FROZEN", "OFFLOADING": "FREEZING", "ONLOADING": "UNFREEZING"}
"""New names of the states -> those that every server takes."""


class Session:
    """State shared by reader and writer. Nothing here is remembered across `forget`. `dims`: vector name -> dimension,
    as far as it is known (dims.py). `_hot`: tenants that were active when the server was last asked; `_empty`: those
    that held nothing on both interfaces when they were compared."""

    def __init__(self, client: Client, config: WeaviateConfig) -> None:
        self.client = client
        self.config = config
        self.identity = Identity(client, config)
        self.capabilities = narrowed(client.server, activate_tenants=config.activate_tenants)
        self.consistency = f"CONSISTENCY_LEVEL_{config.consistency.value}"
        self._layout: Layout | None = None
        self._asked = 0.0
        self._hot: set[str] = set()
        self._empty: set[str] = set()
        self._was: dict[str, str] = {}
        self.dims: dict[str, int] = {}
        self._lock = anyio.Lock()

    def forget(self) -> None:
        """The collection changed: ask again."""
        self._layout = None
        self.forget_tenants()
        self._was.clear()
        self.dims.clear()

    async def layout(self, *, fresh: bool = False) -> Layout:
        """The collection's layout. Raises CollectionNotFound."""
        if self._layout is None or fresh:
            found = await self.find()
            if found is None:
                self.forget()
                message = f"no collection {self.config.collection!r}"
                raise CollectionNotFound(message, adapter=NAME, operation="describe")
            return found
        if not self._layout.divided:
            await self.identity.shared(self._layout)
        return self._layout

    async def to_write(self) -> Layout:
        """The layout for a write, which is not old. Raises CollectionNotFound when the class is gone, also when there
        is another one of its name by now."""
        known = self._layout
        if known is None or time.monotonic() - self._asked < FRESH_SECONDS:
            return await self.layout()
        found = await self.layout(fresh=True)
        if replaced(known, found):
            self.forget()
            message = (
                f"collection {found.name!r} was removed; there is another one of this name now, which Weaviate may "
                "have invented for a record that came too late"
            )
            raise CollectionNotFound(message, adapter=NAME, operation="upsert")
        return found

    async def find(self) -> Layout | None:
        """The layout, asked again and remembered; None for a collection that does not exist. Raises TerminalError where
        gRPC leads to another server."""
        try:
            found = layout_of(await self.client.rest("GET", class_path(self.config.collection)))
        except RestError as error:
            if error.status != 404:
                raise
            return None
        await self.identity.shared(found)
        self._layout, self._asked = found, time.monotonic()
        return found

    async def opened(self) -> None:
        """Ask for the class. Where there is none yet, raise TerminalError if gRPC is seen to lead to another server,
        rather than when a plan for it has been made and kept."""
        if await self.find() is None:
            with suppress(RestError, grpc.RpcError):
                await self.identity.fresh(self.config.collection)

    async def own(self, layout: Layout) -> None:
        """Before anything is written over gRPC: make sure that it leads to the same server."""
        if not self.identity.known:
            await self.identity.marked(layout)

    async def states(self, names: Sequence[str] | None = None) -> dict[str, str]:
        """Name -> state (HOT, COLD, FROZEN, …) of every tenant, or of those among `names` that exist."""
        layout = await self.layout()
        request = tenants.TenantsGetRequest(collection=layout.name)
        if names is not None:
            request.names.values.extend(names)
        answer = await self.client.call("TenantsGet", request, tenants.TenantsGetReply)
        label = tenants.TenantActivityStatus.Name
        prefix = "TENANT_ACTIVITY_STATUS_"
        texts: dict[str, str] = {item.name: label(item.activity_status).removeprefix(prefix) for item in answer.tenants}
        found: dict[str, str] = {name: STATES.get(state, state) for name, state in texts.items()}
        self._hot -= self._hot.copy() if names is None else set(names)
        self._hot |= {name for name, state in found.items() if state == HOT}
        return found

    async def namespaces(self) -> list[str]:
        """The tenants that can be read; `[""]` for a collection without multi-tenancy."""
        layout = await self.layout()
        if not layout.divided:
            return [""]
        states = await self.states()
        usable = {HOT, *SWITCHABLE} if self.config.activate_tenants else {HOT}
        return sorted(name for name, state in states.items() if state in usable)

    async def inactive(self) -> dict[str, str]:
        """Tenants that are left out, and their states."""
        if not (await self.layout()).divided:
            return {}
        usable = await self.namespaces()
        return {name: state for name, state in sorted((await self.states()).items()) if name not in usable}

    async def switched(self) -> dict[str, str]:
        """Tenants that are read although they are not active, and the states that they had before."""
        if not (self.config.activate_tenants and (await self.layout()).divided):
            return {}
        states = {**await self.states(), **self._was}
        return {name: state for name, state in sorted(states.items()) if state in SWITCHABLE}

    async def aliases(self) -> list[str] | None:
        """Aliases of the class; None where they may not be read. Servers before 1.32 have none."""
        if self.client.server.version < (1, 32):
            return []
        try:
            found = await self.client.rest("GET", "/aliases", params={"class": (await self.layout()).name})
        except RestError as error:
            if error.status != 403:
                raise
            return None
        return sorted(item["alias"] for item in found.get("aliases") or ())

    async def has(self, namespace: str) -> bool:
        """Whether the namespace exists. Its tenant is switched on when that is wanted; otherwise raises InvalidRequest
        for one that is off. Until a tenant showed that gRPC leads to the same server, each is compared before it is
        read."""
        layout = await self.layout()
        if not layout.divided or not namespace:
            return not layout.divided and not namespace
        if namespace not in self._hot:
            if re.fullmatch(TENANT_NAME, namespace) is None:
                return False
            state = (await self.states([namespace])).get(namespace)
            if state is None:
                return False
            if state != HOT:
                await self._activate(layout, namespace, state)
        if not self.identity.known and namespace not in self._empty:
            await self.identity.shared(layout, namespace)
            self._empty.add(namespace)
        return True

    async def ask(self, namespace: str, rpc: str, request: Any, answer: type[R]) -> R:
        """A call on one tenant that `has`, repeated when it had to be switched on again."""
        try:
            return await self.client.call(rpc, request, answer)
        except Exception as error:
            if not await self._again(namespace, error):
                raise
        return await self.client.call(rpc, request, answer)

    async def held(self, namespace: str) -> None:
        """An answer that holds records came from a tenant that was empty on both interfaces: now it shows whether they
        are one server."""
        if namespace in self._empty and not self.identity.known:
            await self.identity.shared(await self.layout(), namespace)

    async def count(self, namespace: str) -> int:
        """Records of the namespace, 0 when it does not exist."""
        if not await self.has(namespace):
            return 0
        request = aggregate.AggregateRequest(
            collection=(await self.layout()).name, tenant=namespace, objects_count=True
        )
        try:
            answer = await self.ask(namespace, "Aggregate", request, aggregate.AggregateReply)
        except grpc.RpcError as error:
            if not unknown_tenant(error):
                raise
            return 0
        if answer.single_result.objects_count:
            await self.held(namespace)
        return answer.single_result.objects_count

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """The same of many, several at a time."""
        found = await gather([lambda name=name: self.count(name) for name in namespaces], COUNTS)
        return dict(zip(namespaces, found, strict=True))

    async def make(self, namespaces: Sequence[str]) -> None:
        """Create those tenants that do not exist; a name that no tenant can have is left out."""
        layout = await self.layout()
        wanted = [name for name in namespaces if re.fullmatch(TENANT_NAME, name) and name not in self._hot]
        if wanted and layout.divided:
            existing = await self.states()
            await self.create([name for name in wanted if name not in existing])

    async def create(self, names: Sequence[str]) -> None:
        """Create tenants, many per call; the caller knows that the names are legal. Creating one that exists changes
        nothing."""
        path = class_path((await self.layout()).name, "tenants")
        for start in range(0, len(names), TENANTS_PER_CALL):
            part = names[start : start + TENANTS_PER_CALL]
            await self.client.rest("POST", path, [{"name": name} for name in part])
            self._hot |= set(part)

    def forget_tenants(self) -> None:
        """Somebody may have switched tenants off or removed them: ask again."""
        self._hot.clear()
        self._empty.clear()

    async def _again(self, namespace: str, error: BaseException) -> bool:
        """Whether a call that failed for its tenant is worth another one: somebody switched the tenant off, and we may
        switch it on."""
        if not namespace or not (inactive_tenant(error) or unknown_tenant(error)):
            return False
        self._hot.discard(namespace)
        return inactive_tenant(error) and self.config.activate_tenants and await self.has(namespace)

    async def _activate(self, layout: Layout, name: str, state: str) -> None:
        if not self.config.activate_tenants or state not in SWITCHABLE:
            message = (
                f"tenant {name!r} of {layout.name!r} is {state} and cannot be read; activate it, or let it be done "
                "with the option activate_tenants (it is switched off again at the end)"
            )
            raise InvalidRequest(message, adapter=NAME, operation="tenant")
        async with self._lock:
            self._was.setdefault(name, {"UNFREEZING": "FROZEN", "FREEZING": "FROZEN"}.get(state, state))
            await self._switch(layout.name, {name: HOT})
            poll = Poll(self.config.ready_timeout)
            while (await self.states([name])).get(name, HOT) != HOT:
                if not await poll.again():
                    message = (
                        f"tenant {name!r} was switched on over REST, but not active over gRPC within "
                        f"{duration(self.config.ready_timeout)}; do both lead to one server?"
                    )
                    raise TimedOut(message, adapter=NAME, operation="tenant")

    async def _switch(self, collection: str, wanted: dict[str, str]) -> None:
        body = [{"name": name, "activityStatus": state} for name, state in wanted.items()]
        for start in range(0, len(body), TENANTS_PER_CALL):
            part = body[start : start + TENANTS_PER_CALL]
            await self.client.rest("PUT", class_path(collection, "tenants"), part)

    async def switch_off(self, layout: Layout, wanted: Mapping[str, str]) -> None:
        """Give these tenants (as far as they exist) their states."""
        existing = await self.states()
        await self._switch(layout.name, {name: state for name, state in wanted.items() if name in existing})
        self._hot -= wanted.keys()

    def kept_on(self, names: Iterable[str]) -> None:
        """We write to these tenants, so they stay as they are now."""
        for name in names:
            self._was.pop(name, None)

    async def restore(self) -> None:
        """Give the tenants that were switched on for reading their old states back."""
        if self._was and self._layout is not None:
            existing = await self.states(list(self._was))
            wanted, self._was = {name: state for name, state in self._was.items() if name in existing}, {}
            await self._switch(self._layout.name, wanted)
            self._hot -= wanted.keys()


def replaced(known: Layout, found: Layout) -> bool:
    """Whether a class lost what no class loses: vectors, properties, tenants, or the dimensions in our marker."""
    vectors = {item.name for item in known.vectors} <= {item.name for item in found.vectors} | set(found.dropped)
    properties = known.properties.keys() <= found.properties.keys()
    marked = known.marker.dims is None or found.marker.dims is not None
    return not (vectors and properties and marked and known.divided == found.divided)
