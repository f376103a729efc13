"""The command `sync`: a pass that brings a finished copy up to date."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vectormigrate.cli import options as opt
from vectormigrate.cli.inputs import Common
from vectormigrate.cli.run import run_verb
from vectormigrate.config.references import is_reference

if TYPE_CHECKING:
    from vectormigrate.model.answers import SyncResult


def sync(
    migration_id: opt.Id,
    source_api_key: opt.SourceKey = None,
    target_api_key: opt.TargetKey = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Bring a finished copy up to date: compare everything, then write or remove what differs.

    Repeat it while the application writes; the last pass needs a maintenance window, in which nobody does.
    """
    common = Common(state=state, config=config, as_json=as_json)
    return run_verb(partial(_sync, common, migration_id, source_api_key, target_api_key))


async def _sync(common: Common, migration_id: str, source_key: str | None, target_key: str | None) -> int:
    """1 when something is left that differs, or could not be read."""
    from vectormigrate.cli.common import settings_of
    from vectormigrate.cli.render.console import document
    from vectormigrate.cli.render.progress import display
    from vectormigrate.config.redaction import keep_secret
    from vectormigrate.service import open_service

    for key in (source_key, target_key):
        if key and not is_reference(key):
            keep_secret(key)
    async with open_service(settings_of(common)) as service:
        with display(as_json=common.as_json) as shown:
            result = await service.sync(
                migration_id, listener=shown.listen, source_key=source_key, target_key=target_key
            )
    if common.as_json:
        document(_document(result))
    else:
        _show(result)
    return 0 if result.complete else 1


def _document(result: SyncResult) -> dict[str, Any]:
    from dataclasses import asdict

    figures = {"read_per_second": result.read_per_second, "window_seconds": result.window_seconds}
    return {**asdict(result), "complete": result.complete, **figures}


def _show(result: SyncResult) -> None:
    from rich.text import Text

    from vectormigrate.cli.render.console import clean, pairs, show
    from vectormigrate.cli.render.plan import heading
    from vectormigrate.figures import counted, duration, plural

    show(heading(f"Sync of {result.migration_id}"))
    rate = f"{counted(round(result.read_per_second))} a second"
    rows = [
        ("added", plural(result.added, "record")),
        ("changed", plural(result.changed, "record")),
        ("removed", plural(result.removed, "record")),
        ("compared", f"{plural(result.read, 'record')} of both sides in {duration(result.compare_seconds)} ({rate})"),
        ("applied", f"{counted(result.written + result.deleted)} in {duration(result.apply_seconds)}"),
        ("window", f"a last pass, while nobody writes, would take about {duration(result.window_seconds)}"),
    ]
    if result.foreign:
        rows.append(("others'", f"{plural(result.foreign, 'record')} that this migration did not write, left alone"))
    if result.left:
        rows.append(("left", f"{plural(result.left, 'record')} that differ still"))
    show(pairs(rows))
    for text in (*result.refused, *result.problems):
        show(Text(f"error: {clean(text)}", style="red"))
