"""Looking: migrations, what servers hold, connections. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread

from vectormigrate import registry
from vectormigrate.advice.recommend import decide_for, sample_source
from vectormigrate.config.settings import (
    Endpoint,
    complete_endpoint,
)
from vectormigrate.engine.connect import configure, open_endpoint
from vectormigrate.engine.retry import RetryPolicy
from vectormigrate.errors import JournalError
from vectormigrate.model.answers import (
    CollectionReport,
    DoctorCheck,
    Holdings,
    Observation,
    OptionLine,
    RejectRow,
)
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.status import MigrationStatus, Status, ValidationReport
from vectormigrate.service.base import Base
from vectormigrate.service.collections import holdings
from vectormigrate.service.doctor import examine
from vectormigrate.service.live_look import look_at_live
from vectormigrate.service.options import option_lines
from vectormigrate.validation.report import report_from_json


class LookVerbs(Base):
    """The verbs that read the state file and the databases."""

    async def status(self, migration_id: str, owner: str | None = None) -> MigrationStatus:
        """One migration. Raises MigrationNotFound; with `owner`, a caller of a server, also for what others began::

        found = await service.status("orders")
        print(found.status, found.percentage, found.error)
        """
        async with self._store(read_only=True) as store:
            return await store.migrations.status(migration_id, owner)

    async def list(self, status: Status | None = None, owner: str | None = None) -> list[MigrationStatus]:
        """All migrations of the state file, or those of one status, or those that this caller of a server began,
        oldest first::

            failed = await service.list(Status.FAILED)
        """
        async with self._store(read_only=True) as store:
            return await store.migrations.list(status, owner)

    async def observe(self, most: int = 200) -> list[Observation]:
        """What a monitor wants to know, in one look at the state file: of the migrations in progress and the newest
        others, `most` in all."""
        async with self._store(read_only=True) as store:
            known = await store.migrations.list()
            known.sort(key=lambda found: (found.status is Status.IN_PROGRESS, found.created_at), reverse=True)
            figures = await store.migrations.observations()
            lives = await store.live.ids()
            seen: list[Observation] = []
            for found in known[:most]:
                report = await store.reports.last(found.id)
                size, last_commit = figures.get(found.id, (0, None))
                live, unreadable = None, False
                if found.id in lives:
                    try:
                        live = await look_at_live(store, found)
                    except JournalError:
                        unreadable = True
                seen.append(
                    Observation(
                        status=found,
                        bytes_per_record=size,
                        last_commit=last_commit,
                        validation=None if report is None else report_from_json(report),
                        live=live,
                        journal_unreadable=unreadable,
                    )
                )
            return seen

    async def rejects(self, migration_id: str, limit: int = 20, offset: int = 0) -> list[RejectRow]:
        """Records that were refused, oldest first. Raises MigrationNotFound::

        for row in await service.rejects("orders", limit=5):
            print(row.id, row.code, row.reason)
        """
        async with self._store(read_only=True) as store:
            await store.migrations.status(migration_id)
            rows = await store.rejects.read(migration_id, limit=limit, offset=offset)
            return [
                RejectRow(
                    id=id_key(row.reject.id),
                    namespace=row.reject.namespace,
                    code=row.reject.code,
                    reason=row.reject.reason,
                    attempts=row.attempts,
                )
                for row in rows
            ]

    async def reject_counts(self, migration_id: str) -> dict[str, int]:
        """Open rejects by code. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            await store.migrations.status(migration_id)
            return await store.rejects.counts(migration_id)

    async def last_validation(self, migration_id: str) -> ValidationReport | None:
        """The newest stored report. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            await store.migrations.status(migration_id)
            found = await store.reports.last(migration_id)
            return None if found is None else report_from_json(found)

    async def stored_options(self, migration_id: str) -> RunOptions:
        """How the migration last ran. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            return (await store.migrations.load(migration_id)).options

    async def stored_plan(self, migration_id: str) -> MigrationPlan:
        """The plan as it was fixed at the start. Raises MigrationNotFound."""
        async with self._store(read_only=True) as store:
            return (await store.migrations.load(migration_id)).plan

    def options(self, types: Sequence[str] = ()) -> Sequence[OptionLine]:
        """The settings of these database types, which go into `options` of an Endpoint or a connection (none: of all).
        Raises UnknownAdapter::

            names = [line.name for line in service.options(["milvus"])]
        """
        return [line for name in types or registry.offered() for line in option_lines(name)]

    async def collections(self, endpoint: Endpoint, wanted: Callable[[str], bool] = lambda _: True) -> Holdings:
        """What the server of this endpoint holds, of the names that are `wanted`; its collection is not looked at.
        Raises ConfigError where the adapter cannot list, and errors of the database::

            held = await service.collections(request.source)
            print([(item.name, item.records) for item in held.collections])
        """
        return await holdings(complete_endpoint(self.settings, endpoint), wanted)

    async def describe(self, endpoint: Endpoint, sample: int = 10_000) -> CollectionReport:
        """Shape, counts, and what `sample` records show about the fields. Raises CollectionNotFound::

        report = await service.describe(request.source)
        print(report.collection.vectors, sum(report.namespaces.values()))
        """
        endpoint = complete_endpoint(self.settings, endpoint)
        async with open_endpoint(endpoint, RetryPolicy()) as source:
            schema = await source.describe()
            namespaces = await source.counts(await source.namespaces())
            found = await sample_source(source, sample)
            # Seen through its own database: nothing needs converting, so the mappings say what the fields are.
            seen = await anyio.to_thread.run_sync(decide_for, endpoint.type, endpoint.type, schema, namespaces, found)
            return CollectionReport(
                location=configure(endpoint)[1].location(),
                server=await source.server(),
                collection=schema,
                namespaces=namespaces,
                sampled=found.profile.records,
                fields=seen.field_mappings,
            )

    async def doctor(self, endpoints: Sequence[Endpoint] = ()) -> Sequence[DoctorCheck]:
        """Check the state file, the packages, and these connections (none given: all of the connections file). What is
        wrong is a check with `ok` false, not an error::

            wrong = [check.detail for check in await service.doctor() if not check.ok]
        """
        return await examine(self.settings, endpoints)
