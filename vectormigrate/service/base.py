"""What all groups of verbs need: one set of settings, hence one state file and one connections file."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import (
    Endpoint,
    Settings,
    complete_endpoint,
    endpoint_from_ref,
    endpoint_ref,
)
from vectormigrate.engine.connect import configure
from vectormigrate.errors import ConfigError, LeaseHeld, remedy
from vectormigrate.model.ids import MIGRATION_ID, MIGRATION_ID_RULE
from vectormigrate.model.plan import MigrationSpec
from vectormigrate.state.shared_reader import SharedReader
from vectormigrate.state.store import Store, open_store


class Base:
    """Bound to settings; what every verb needs of them."""

    def __init__(
        self, settings: Settings, reader: SharedReader | None = None, *, patience: float | None = None
    ) -> None:
        """`reader`: read the state file through it, instead of opening the file for each verb. `patience`: seconds to
        wait for the lock of another process on it, default a minute; then StateBusy."""
        self.settings = settings
        self._patience = patience
        self._reader = reader
        self._stop_now = False

    def _stopping(self) -> bool:
        return self._stop_now

    def stop_now(self) -> None:
        """Ask the run of this service to end after the batches in flight. Safe to call from a signal handler."""
        self._stop_now = True

    def _spec(self, request: MigrationRequest) -> tuple[MigrationSpec, Endpoint, Endpoint]:
        if not MIGRATION_ID.fullmatch(request.id):
            raise ConfigError(f"{request.id!r} cannot be the id of a migration: {MIGRATION_ID_RULE}")
        source = complete_endpoint(self.settings, request.source, "source")
        target = complete_endpoint(self.settings, request.target, "target")
        source_location, target_location = (configure(end)[1].location() for end in (source, target))
        if source_location == target_location:
            raise ConfigError(f"source and target are the same collection: {source_location}")
        spec = MigrationSpec(
            id=request.id,
            source=endpoint_ref(source, source_location),
            target=endpoint_ref(target, target_location),
            **request.copy_options(),
        )
        return spec, source, target

    def _store(self, *endpoints: Endpoint, read_only: bool = False) -> AbstractAsyncContextManager[Store]:
        if read_only and self._reader is not None:
            return self._reader.store()
        secrets = [end.api_key.get_secret_value() for end in endpoints if end.api_key is not None]
        return open_store(self.settings.state, read_only=read_only, secrets=secrets, patience=self._patience)

    def _stored_endpoints(
        self, spec: MigrationSpec, store: Store, source_key: str | None, target_key: str | None
    ) -> tuple[Endpoint, Endpoint]:
        source = endpoint_from_ref(self.settings, spec.source, "source", source_key)
        target = endpoint_from_ref(self.settings, spec.target, "target", target_key)
        forbid_keys(store, source, target)
        return source, target


def forbid_keys(store: Store, *endpoints: Endpoint) -> None:
    """From here on the store refuses text that holds the keys of these endpoints."""
    for endpoint in endpoints:
        if endpoint.api_key is not None:
            store.forbid(endpoint.api_key.get_secret_value())


async def refuse_running(store: Store, migration_id: str) -> None:
    """Refuse before the databases are opened, which an embedded one's runner holds; the lease decides in the end."""
    if (await store.migrations.status(migration_id)).runner_alive:
        raise LeaseHeld(
            f"migration {migration_id!r} is being run by another process; watch it with: "
            f"{remedy('status', migration_id)}, or end it with: {remedy('stop', migration_id)}"
        )
