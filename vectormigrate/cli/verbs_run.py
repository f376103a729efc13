"""migrate, resume and stop: the verbs that move data or halt it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

import anyio
from rich.text import Text

from vectormigrate.cli.common import request_of, settings_of
from vectormigrate.cli.detach import is_detached, report_started
from vectormigrate.cli.inputs import Common, Comparison, Job, LiveFlags, Pace, Place, What
from vectormigrate.cli.next_command import next_commands, show_next
from vectormigrate.cli.render.console import document, notice, show
from vectormigrate.cli.render.documents import plan_document, status_document
from vectormigrate.cli.render.plan import show_plan, show_short_plan
from vectormigrate.cli.render.progress import display
from vectormigrate.cli.render.report import show_report
from vectormigrate.cli.render.status import done, status_view
from vectormigrate.cli.signals import stop_on_signal
from vectormigrate.config.redaction import keep_secret
from vectormigrate.config.references import is_reference
from vectormigrate.engine.events import Event, Listener, PhaseChanged
from vectormigrate.errors import ConfigError, Interrupted, LookupFailed, VectorMigrateError
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.plan import MigrationPlan, RunOptions
from vectormigrate.model.status import MigrationStatus, Phase, Status
from vectormigrate.service import Service, open_service


async def migrate(
    common: Common,
    migration_id: str,
    source: Place,
    target: Place,
    what: What,
    pace: Pace,
    flags: LiveFlags,
    job: Job,
    *,
    dry_run: bool,
) -> int:
    """Plan and copy, and compare if that is asked for; or with `dry_run` plan only."""
    settings = settings_of(common)
    request = request_of(settings, migration_id, source, target, what)
    if not flags.live and (flags.changes() or flags.journal):
        raise ConfigError("the flags of a live migration need --live")
    live = LiveOptions(**flags.changes()) if flags.live else None
    async with open_service(settings) as service:
        if dry_run:
            with display(as_json=common.as_json) as shown:
                plan = await service.plan(request, shown.listen)
            if common.as_json:
                document(plan_document(plan))
            else:
                show_plan(plan)
            return 0
        options = replace(RunOptions(), **pace.changes())
        on_plan = _ignore_plan if common.as_json else show_short_plan
        typed = _typed_flags(source, target)
        with _running(common, service, migration_id, typed, on_plan=on_plan) as listen:
            status = await service.migrate(request, options, listen, live=live, folder=flags.journal, wait=job.wait)
        if job.validate is None or status.status is not Status.COMPLETED:
            return await _ended(common, service, status, typed)
        return await _compared(common, service, status, job.validate, (source.key, target.key))


async def _compared(
    common: Common,
    service: Service,
    status: MigrationStatus,
    asked: Comparison,
    keys: tuple[str | None, str | None],
) -> int:
    """Compare a completed migration, and print how it ended with the verdict. 3 when the sides differ."""
    source_key, target_key = keys
    with display(log=is_detached(), as_json=common.as_json) as shown:
        verdict = await service.validate(
            status.id,
            full=asked.full,
            sample_size=asked.sample_size,
            listener=shown.listen,
            source_key=source_key,
            target_key=target_key,
        )
    status = await service.status(status.id)
    codes = await service.reject_counts(status.id)
    if common.as_json:
        document(status_document(status, codes, verdict))
    else:
        show(status_view(status, codes))
        show_report(verdict, (await service.stored_plan(status.id)).losses, details=False)
        show_next(next_commands(common, status, validation=verdict))
    return 0 if verdict.passed else 3


async def resume(common: Common, migration_id: str, pace: Pace, source_key: str | None, target_key: str | None) -> int:
    """Resume."""
    for key in (source_key, target_key):
        if key and not is_reference(key):
            keep_secret(key)
    async with open_service(settings_of(common)) as service:
        before = await service.status(migration_id)
        changes = pace.changes()
        options = replace(await service.stored_options(migration_id), **changes) if changes else None
        settled = before.migrated_records + before.rejected_records
        typed = [flag for flag, key in (("--source-api-key", source_key), ("--target-api-key", target_key)) if key]
        with _running(common, service, migration_id, typed, total=before.total_records, settled=settled) as listen:
            status = await service.resume(migration_id, options, listen, source_key=source_key, target_key=target_key)
        return await _ended(common, service, status, typed)


async def stop(common: Common, migration_id: str, timeout: float) -> int:
    """Ask the runner to stop, and wait until it has."""
    async with open_service(settings_of(common)) as service:
        status = await service.stop(migration_id, timeout)
        planning = status.phase is Phase.PLANNING
        if common.as_json:
            document(status_document(status, {} if planning else await service.reject_counts(migration_id)))
        elif planning:
            show(f"{migration_id} is no longer being planned; nothing was written")
        else:
            show(Text(f"{migration_id} is {status.status} at {done(status)}"))
            show_next(next_commands(common, status))
        return 0


def _ignore_plan(plan: MigrationPlan) -> None:
    """With --json the only document is the final one."""


def _typed_flags(source: Place, target: Place) -> list[str]:
    """Flags whose key is stored nowhere, so that a resume needs them again."""
    places = (("--source-api-key", source), ("--target-api-key", target))
    return [flag for flag, place in places if place.key and not is_reference(place.key)]


def _resume_command(common: Common, migration_id: str, typed: list[str]) -> str:
    return " ".join([common.command("resume", migration_id), *(f"{flag} KEY" for flag in typed)])


@contextmanager
def _running(
    common: Common,
    service: Service,
    migration_id: str,
    typed: list[str],
    *,
    on_plan: Callable[[MigrationPlan], None] = _ignore_plan,
    total: int | None = None,
    settled: int = 0,
) -> Generator[Listener]:
    """Progress on screen and signals caught while a run goes; its errors get the next command to type."""
    loop = asyncio.get_running_loop()
    begun = False
    scope = anyio.CancelScope()
    with display(log=is_detached(), as_json=common.as_json, on_plan=on_plan, total=total, settled=settled) as shown:

        def listen(event: Event) -> None:
            nonlocal begun
            shown.listen(event)
            if isinstance(event, PhaseChanged):
                begun = True
                report_started()

        def stop() -> None:
            if begun:
                shown.say("stopping after the batch in flight… (once more to leave at once)")
                service.stop_now()
            else:
                scope.cancel()

        def first() -> None:
            loop.call_soon_threadsafe(stop)

        try:
            with stop_on_signal(first, shown.close), scope:
                yield listen
            if scope.cancelled_caught:
                raise Interrupted("stopped before the copy began; nothing was written")
        except Interrupted as error:
            if not begun:
                raise
            # The service names the bare command; the note has the flags that lead to the same state file.
            again = Interrupted("stopped; everything that the target acknowledged is kept")
            again.add_note(f"resume with:  {_resume_command(common, migration_id, typed)}")
            raise again from error
        except VectorMigrateError as error:
            if begun and not isinstance(error, LookupFailed | ConfigError):
                error.add_note(f"look at it:  {common.command('status', migration_id)}")
                error.add_note(f"resume with:  {_resume_command(common, migration_id, typed)}")
            raise


async def _ended(common: Common, service: Service, status: MigrationStatus, typed: list[str]) -> int:
    """Print how a run ended and what to do next."""
    codes = await service.reject_counts(status.id)
    if common.as_json:
        document(status_document(status, codes))
    else:
        show(status_view(status, codes))
        show_next(next_commands(common, status, typed=typed))
    if status.status is Status.STOPPED:
        notice("stopped on request from another process")
    return 0 if status.status in (Status.COMPLETED, Status.STOPPED) else 1
