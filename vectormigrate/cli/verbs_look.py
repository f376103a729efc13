"""The verbs that look at migrations and collections, check them, and take a migration back."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import anyio
from rich.console import Group
from rich.live import Live
from rich.prompt import Confirm

from vectormigrate.cli.common import endpoint_of, settings_of
from vectormigrate.cli.inputs import Common, Place
from vectormigrate.cli.mcp.install_check import host_checks
from vectormigrate.cli.next_command import next_commands, show_next
from vectormigrate.cli.remedies import in_commands
from vectormigrate.cli.render.console import document, err, is_terminal, notice, out, show
from vectormigrate.cli.render.documents import (
    checks_document,
    collection_document,
    holdings_document,
    list_document,
    recommendation_document,
    report_document,
    status_document,
)
from vectormigrate.cli.render.live import live_view
from vectormigrate.cli.render.plan import show_collection, show_holdings, show_options, show_recommendation
from vectormigrate.cli.render.progress import display
from vectormigrate.cli.render.report import show_report
from vectormigrate.cli.render.status import (
    removal,
    show_checks,
    show_list,
    show_rejects,
    show_rollback,
    status_view,
)
from vectormigrate.config.redaction import keep_secret
from vectormigrate.config.references import is_reference
from vectormigrate.errors import ConfigError
from vectormigrate.model.status import MigrationStatus, Status
from vectormigrate.service import Service, open_service
from vectormigrate.validation.report import html_report

WATCH_SECONDS = 1.0


async def status(common: Common, migration_id: str, *, watch: bool, rejects: int | None) -> int:
    """One migration, once or until it has ended."""
    async with open_service(settings_of(common)) as service:
        if watch:
            await _watch(service, migration_id, common.as_json)
        found = await service.status(migration_id)
        live = await service.live_status(migration_id)
        codes = await service.reject_counts(migration_id)
        validation = await service.last_validation(migration_id)
        rows = await service.rejects(migration_id, limit=rejects) if rejects else None
        if common.as_json:
            document(status_document(found, codes, validation, rows, live))
            return 0
        show(status_view(found, codes, validation))
        if live is not None:
            show(live_view(live))
        if rows:
            show_rejects(rows, found.rejected_records)
        show_next(next_commands(common, found, validation=validation))
        return 0


def _over(found: MigrationStatus) -> bool:
    """Nobody works on it any more."""
    return found.status is not Status.IN_PROGRESS or not found.runner_alive


async def _watch(service: Service, migration_id: str, as_json: bool) -> None:
    """Refresh on the terminal until the migration has ended; elsewhere wait only."""
    found = await service.status(migration_id)
    if as_json or not out().is_terminal:
        while not _over(found):
            await anyio.sleep(WATCH_SECONDS)
            found = await service.status(migration_id)
        return
    with Live(console=out(), auto_refresh=False, transient=True) as live:
        while not _over(found):
            codes = await service.reject_counts(migration_id)
            followed = await service.live_status(migration_id)
            view = status_view(found, codes)
            live.update(view if followed is None else Group(view, live_view(followed)), refresh=True)
            await anyio.sleep(WATCH_SECONDS)
            found = await service.status(migration_id)


async def list_all(common: Common, wanted: Status | None) -> int:
    """All migrations, or those in one status."""
    async with open_service(settings_of(common)) as service:
        found = await service.list(wanted)
    if common.as_json:
        document(list_document(found))
    else:
        show_list(found)
    return 0


async def validate(
    common: Common,
    migration_id: str,
    *,
    sample_size: int | None,
    full: bool,
    repair: bool,
    queries: int,
    min_similarity: float | None,
    report: Path | None,
    details: bool,
    source_key: str | None,
    target_key: str | None,
) -> int:
    """Compare source and target. 3 when they differ."""
    _keep(source_key, target_key)
    if report:
        _check_writable(report)
    async with open_service(settings_of(common)) as service:
        with display(as_json=common.as_json) as shown:
            verdict = await service.validate(
                migration_id,
                sample_size=sample_size,
                full=full,
                queries=queries,
                repair=repair,
                min_similarity=min_similarity,
                listener=shown.listen,
                source_key=source_key,
                target_key=target_key,
            )
        after = await service.status(migration_id)
        plan = await service.stored_plan(migration_id)
        if report:
            shown = replace(verdict, errors=tuple(map(in_commands, verdict.errors)))
            await anyio.Path(report).write_text(html_report(shown, after, plan), encoding="utf-8")
    if common.as_json:
        document(report_document(verdict))
    else:
        show_report(verdict, plan.losses, details=details)
        if report:
            show(f"report:  {report}")
        show_next(next_commands(common, after, validation=verdict))
    return 0 if verdict.passed else 3


def _check_writable(report: Path) -> None:
    """Before a long comparison, not after it."""
    if not report.absolute().parent.is_dir():
        raise ConfigError(f"cannot write {str(report)!r}: there is no such folder")


def _keep(*keys: str | None) -> None:
    for key in keys:
        if key and not is_reference(key):
            keep_secret(key)


async def rollback(common: Common, migration_id: str, *, force: bool, target_key: str | None) -> int:
    """Remove what a migration wrote, after a yes."""
    _keep(target_key)
    async with open_service(settings_of(common)) as service:
        what = removal(await service.stored_plan(migration_id), await service.status(migration_id))
        if not force:
            if common.as_json or not is_terminal():
                raise ConfigError(f"{what} Nobody can be asked here; confirm with --force")
            notice(what, "yellow")
            if not Confirm.ask("Go on?", console=err(), default=False):
                notice("nothing was removed")
                return 1
        with display(as_json=common.as_json) as shown:
            result = await service.rollback(migration_id, listener=shown.listen, target_key=target_key)
    if common.as_json:
        document(asdict(result))
    else:
        show_rollback(result)
    return 0


async def describe(common: Common, place: Place, sample: int) -> int:
    """The shape of a collection."""
    settings = settings_of(common)
    endpoint = endpoint_of(settings, place)
    async with open_service(settings) as service:
        report = await service.describe(endpoint, sample)
    if common.as_json:
        document(collection_document(report))
    else:
        show_collection(report)
    return 0


async def collections(common: Common, place: Place) -> int:
    """What a server holds."""
    settings = settings_of(common)
    endpoint = endpoint_of(settings, place, collection_needed=False)
    async with open_service(settings) as service:
        found = await service.collections(endpoint)
    if common.as_json:
        document(holdings_document(found))
    else:
        show_holdings(found)
    return 0


async def options(common: Common, types: Sequence[str]) -> int:
    """The settings of database types."""
    async with open_service(settings_of(common)) as service:
        found = service.options(types)
    if common.as_json:
        document({"options": [asdict(line) for line in found]})
    else:
        show_options(found)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What `--source-schema` and `--field` hold: a list of fields, or a whole call of the original tool."""

    source_type: str | None
    target_type: str | None
    fields: dict[str, str]


def read_call(text: str | None, pairs: Sequence[str]) -> Asked:
    """`{"field": "type"}`, or the call `{"source_type": …, "target_type": …, "source_schema": {"field": "type"}}`, as
    JSON or as the name of a file that holds it (`-`: standard input), and fields given as `NAME=TYPE`."""
    data = {} if text is None else _read_object(text)
    schema, types = data, (None, None)
    if "source_type" in data and "target_type" in data and not isinstance(data.get("source_schema", {}), str):
        schema, types = data.get("source_schema") or {}, (data["source_type"], data["target_type"])
    if not isinstance(schema, Mapping) or not all(isinstance(kind, str) for kind in schema.values()):
        raise ConfigError('--source-schema: must be a JSON object of texts: {"field": "type"}')
    fields = {str(name): str(kind) for name, kind in schema.items()}
    for pair in pairs:
        name, found, kind = pair.rpartition("=")
        if not (name and found and kind):
            raise ConfigError(f"--field {pair!r}: must be NAME=TYPE, such as year=integer")
        fields[name] = kind
    return Asked(source_type=types[0], target_type=types[1], fields=fields)


def _read_object(text: str) -> dict[str, Any]:
    inline = text.lstrip().startswith("{")
    if not inline:
        try:
            text = sys.stdin.read() if text == "-" else Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise ConfigError(f"--source-schema: cannot read {text!r}: {reason}") from error
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"--source-schema: line {error.lineno}: not valid JSON: {error.msg}") from error
    if not isinstance(found, dict):
        raise ConfigError('--source-schema: must be a JSON object of texts: {"field": "type"}')
    return found


async def recommend(
    common: Common,
    source: Place,
    target_type: str | None,
    *,
    schema: str | None,
    fields: Sequence[str],
    sample: int,
    details: bool,
) -> int:
    """The schema that a target should have: for a real collection, or for a list of fields."""
    settings = settings_of(common)
    asked = read_call(schema, fields)
    target = target_type or asked.target_type
    if not target:
        raise ConfigError("--target-type is missing")
    connects = source.connection or source.url or source.index
    async with open_service(settings) as service:
        if connects and (schema is not None or fields):
            raise ConfigError("--source-schema and --field are for a source that is not connected to; leave one out")
        if connects:
            answer = await service.recommend(endpoint_of(settings, source), target, sample)
        else:
            source_type = source.type or asked.source_type
            if not source_type:
                raise ConfigError("--source-schema needs --source-type")
            answer = service.recommend_offline(source_type, target, asked.fields)
    if common.as_json:
        document(recommendation_document(answer, details=details))
    else:
        show_recommendation(answer, details=details)
    return 0


async def outcome_table(common: Common, types: Sequence[str], also: Sequence[str]) -> int:
    """What is exact, reversible and lossy between databases."""
    async with open_service(settings_of(common)) as service:
        found = service.outcomes(types, also)
    if common.as_json:
        document({"outcomes": found.rows})
    else:
        out().print(found.markdown, end="", markup=False, highlight=False, soft_wrap=True)
    return 0


async def doctor(common: Common, places: list[Place]) -> int:
    """Check everything; 1 when something is wrong."""
    settings = settings_of(common)
    endpoints = [endpoint_of(settings, place, collection_needed=False) for place in places]
    async with open_service(settings) as service:
        checks = list(await service.doctor(endpoints))
    if not endpoints:
        checks += await anyio.to_thread.run_sync(host_checks)
    if common.as_json:
        document(checks_document(checks))
    else:
        show_checks(checks)
    return 0 if all(check.ok for check in checks) else 1
