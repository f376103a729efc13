"""Proving: validate and repair."""

from __future__ import annotations

from vectormigrate.capture.live_validation import validate_live
from vectormigrate.engine.connect import open_ends
from vectormigrate.engine.events import Listener, ignore
from vectormigrate.engine.lifecycle import Verb, next_state
from vectormigrate.engine.runner import require_same_source
from vectormigrate.errors import InvalidTransition
from vectormigrate.model.status import Phase, ValidationReport
from vectormigrate.service.base import Base, refuse_running
from vectormigrate.state.live import LiveRow
from vectormigrate.state.records import StoredMigration
from vectormigrate.state.store import Store
from vectormigrate.validation.report import report_to_json
from vectormigrate.validation.validate import DEFAULT_SAMPLE, Validation, Wanted


class ValidateVerbs(Base):
    """The verb that compares source and target."""

    async def validate(
        self,
        migration_id: str,
        *,
        sample_size: int | None = None,
        full: bool = False,
        queries: int = 50,
        repair: bool = False,
        min_similarity: float | None = None,
        listener: Listener = ignore,
        source_key: str | None = None,
        target_key: str | None = None,
    ) -> ValidationReport:
        """Compare source and target: exact counts, contents (all with `full`, else `sample_size` records, by default
        1,000), and `queries` searches per vector field. With `repair`, put right what differs and judge again.

        A live migration is compared as it moves, without its runner, in the direction in which it is followed now: by
        contents only, and what the application is just writing is neither a difference nor verified.

        The report is stored; one that did not pass is an answer, not an error. Raises MigrationNotFound, LeaseHeld,
        InvalidTransition before everything is copied, and IncompatibleSchema when the source changed its shape::

            report = await service.validate("orders", full=True)
            if not report.passed:
                report = await service.validate("orders", full=True, repair=True)
        """
        async with self._store() as store:
            stored = await store.migrations.load(migration_id)
            plan = stored.plan
            live = await store.live.find(migration_id) if stored.phase is Phase.LIVE else None
            if live is not None:
                size = None if full else sample_size or DEFAULT_SAMPLE
                keys = (source_key, target_key)
                report = await self._validate_live(store, stored, live, keys, size, listener, repair=repair)
                await store.reports.save(migration_id, report_to_json(report))
                return report
            await refuse_running(store, migration_id)
            next_state(Verb.VALIDATE, migration_id, stored.status, stored.phase)
            source, target = self._stored_endpoints(plan.spec, store, source_key, target_key)
            floor = plan.spec.min_similarity if min_similarity is None else min_similarity
            wanted = Wanted(sample_size=sample_size, full=full, queries=queries, min_similarity=floor, repair=repair)
            # Under the lease, so that nobody removes or adds what is being compared.
            async with (
                store.leases.hold(migration_id) as lease,
                open_ends(source, target, stored.options, listener, self._stopping) as ends,
            ):
                await require_same_source(ends.source, plan)
                check = Validation(store, stored, ends, wanted, listener)
                report = await check.run()
                if repair and not report.passed:
                    report = await check.repair(lease, report)
            await store.reports.save(migration_id, report_to_json(report))
            return report

    async def _validate_live(
        self,
        store: Store,
        stored: StoredMigration,
        live: LiveRow,
        keys: tuple[str | None, str | None],
        sample_size: int | None,
        listener: Listener,
        *,
        repair: bool,
    ) -> ValidationReport:
        if repair:
            raise InvalidTransition(
                f"migration {stored.id!r} is live: its runner repairs what differs; compare it without a repair"
            )
        source, target = self._stored_endpoints(stored.plan.spec, store, *keys)
        async with open_ends(source, target, stored.options, listener, self._stopping) as ends:
            return await validate_live(store, stored, live, ends, sample_size, listener)
