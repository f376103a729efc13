"""The gateway of a live migration, as a process that is to run until it is ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import anyio

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.gateway.options import GatewayEvent, GatewayOptions, Listener, Migration
from vectormigrate.config.settings import endpoint_from_ref
from vectormigrate.errors import InvalidTransition, MigrationNotFound, MissingExtra
from vectormigrate.model.status import Phase
from vectormigrate.service.base import Base

POLL_SECONDS = 0.25

MODULES = ("grpc", "google.protobuf", "starlette", "uvicorn")


class GatewayVerbs(Base):
    """The verb that captures the application's writes."""

    async def gateway(
        self,
        migration_id: str,
        options: GatewayOptions | None = None,
        listener: Listener = lambda event: None,
        *,
        journal: Path | None = None,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> None:
        """Serve the gateway of a live migration until `stop_now`; before it is planned, wait for that. The listener
        hears of the addresses that the application is to use. `journal`: its folder, default as the migration began.

        Raises InvalidTransition for a migration that is not live, LeaseHeld when another gateway runs, ConfigError
        where Envoy or an address is missing, MissingExtra, errors of the source, and JournalError when the journal
        fails: then reads continue through Envoy, writes are refused, and the next gateway takes over::

            await service.gateway("orders", GatewayOptions(listen="0.0.0.0"), print)
        """
        for module in MODULES:
            if find_spec(module) is None:
                raise MissingExtra("gateway", "live", module)
        from vectormigrate.capture.gateway.run import Gateway

        self._stop_now = False
        options = options or GatewayOptions()
        migration = await self._awaited(migration_id, listener, journal, source_key, target_key)
        if migration is None:
            return
        gateway = Gateway(migration, options, listener)
        stopper = asyncio.create_task(self._stop_when_asked(gateway.stop))
        try:
            await gateway.run()
        finally:
            stopper.cancel()

    async def _stop_when_asked(self, stop: Callable[[], None]) -> None:
        while not self._stop_now:  # noqa: ASYNC110  set by a signal
            await anyio.sleep(POLL_SECONDS)
        stop()

    async def _awaited(
        self,
        migration_id: str,
        listener: Listener,
        journal: Path | None,
        source_key: str | None,
        target_key: str | None,
    ) -> Migration | None:
        """The live migration, once it is planned; None when stopped before."""
        waiting = False
        while not self._stop_now:
            found = await self._live_migration(migration_id, journal, source_key, target_key)
            if found is not None:
                return found
            if not waiting:
                waiting = True
                listener(GatewayEvent(kind="waiting", text=f"waiting for the plan of {migration_id}"))
            await anyio.sleep(POLL_SECONDS)
        return None

    async def _live_migration(
        self, migration_id: str, journal: Path | None, source_key: str | None, target_key: str | None
    ) -> Migration | None:
        async with self._store(read_only=True) as store:
            try:
                status = await store.migrations.status(migration_id)
            except MigrationNotFound:
                return None
            if status.phase is Phase.PLANNING:
                return None
            row = await store.live.find(migration_id)
            if row is None:
                raise InvalidTransition(f"migration {migration_id!r} is not live, so it has no gateway")
            spec = (await store.migrations.load(migration_id)).plan.spec
        return Migration(
            id=migration_id,
            folder=LiveFolder((journal or row.folder).absolute()),
            source=endpoint_from_ref(self.settings, spec.source, "source", source_key),
            target=endpoint_from_ref(self.settings, spec.target, "target", target_key),
            source_location=spec.source.location,
            target_location=spec.target.location,
            options=row.options,
            identity=row.journal,
            seen=row.seen,
        )
