"""Status, lists, rejects, rollback and doctor as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vectormigrate.cli.render.console import clean, out, pairs, show, table, worded
from vectormigrate.cli.render.words import moment, namespace, place
from vectormigrate.figures import counted, duration, percent, plural, rate
from vectormigrate.model.answers import DoctorCheck, RejectRow, RollbackResult
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import MigrationStatus, Phase, Status, ValidationReport

STYLE = {
    Status.NOT_STARTED: "dim",
    Status.IN_PROGRESS: "cyan",
    Status.STOPPED: "yellow",
    Status.FAILED: "red",
    Status.COMPLETED: "green",
    Status.ROLLED_BACK: "dim",
}


def died(status: MigrationStatus) -> bool:
    """By the state it runs, but no process runs it."""
    return status.status is Status.IN_PROGRESS and not status.runner_alive


def _state(status: MigrationStatus) -> Text:
    text = Text(str(status.status), style=STYLE[status.status])
    if status.status is Status.IN_PROGRESS:
        text.append(f" ({status.phase})")
    if died(status):
        text.append(" – its process died", style="red")
    elif status.stop_requested and status.status is Status.IN_PROGRESS:
        text.append(" – asked to stop", style="yellow")
    return text


def done(status: MigrationStatus) -> str:
    """How much of it is settled, migrated or rejected."""
    if not status.total_records:
        return percent(float(status.status is Status.COMPLETED))
    return percent(min(status.migrated_records + status.rejected_records, status.total_records), status.total_records)


def _progress_line(status: MigrationStatus) -> str:
    if status.phase is Phase.PLANNING:
        return f"{counted(status.planned_records)} of {plural(status.total_records, 'record')} read for the plan"
    settled = status.migrated_records + status.rejected_records
    line = f"{done(status)}  {counted(settled)} of {plural(status.total_records, 'record')}"
    if status.rate and status.status is Status.IN_PROGRESS:
        line += f"  {rate(status.rate)}"
    if status.eta_seconds is not None and status.status is Status.IN_PROGRESS:
        line += f"  {duration(status.eta_seconds)} to go"
    return line


def _checks_line(status: MigrationStatus) -> str:
    return f"{plural(status.checked_records, 'record')} read back"


def _rejects_line(status: MigrationStatus, codes: Mapping[str, int]) -> str:
    line = plural(status.rejected_records, "record")
    if codes:
        line += ": " + ", ".join(f"{clean(code)} {counted(number)}" for code, number in codes.items())
    return line


def _validation_line(report: ValidationReport) -> str:
    word = "passed" if report.passed else "FAILED"
    scope = "counts only"
    if report.diff:
        scope = "every record" if report.diff.full else f"{counted(report.diff.compared)} sampled"
    return f"{word}, {scope}, {moment(report.ended_at)}"


def status_view(
    status: MigrationStatus, codes: Mapping[str, int], validation: ValidationReport | None = None
) -> RenderableType:
    """One migration."""
    rows = [
        ("source", clean(status.source)),
        ("target", clean(status.target)),
        ("progress", _progress_line(status)),
        ("batches", f"{counted(status.batches)}, {counted(status.retries)} retried"),
        ("rejects", _rejects_line(status, codes)),
        ("inline checks", _checks_line(status)),
        ("validation", _validation_line(validation) if validation else "never run"),
        ("started", moment(status.started_at)),
    ]
    if status.ended_at:
        rows.append(("ended", moment(status.ended_at)))
    if status.error:
        rows.append(("error", worded(status.error)))
    rows += [("notice", worded(notice)) for notice in status.notices]
    parts: list[RenderableType] = [Text(status.id, style="bold").append("  ").append_text(_state(status))]
    if out().is_terminal and status.total_records and status.status is Status.IN_PROGRESS:
        parts.append(ProgressBar(total=100, completed=status.percentage, width=60))
    parts.append(pairs(rows))
    if len(status.namespaces) > 1:
        parts += ["", _namespaces(status)]
    return Group(*parts)


def _namespaces(status: MigrationStatus) -> Table:
    made = table("Namespaces", "name", "records", "migrated", "rejected", right=("records", "migrated", "rejected"))
    for item in status.namespaces:
        made.add_row(
            clean(namespace(item.namespace)), counted(item.total), counted(item.migrated), counted(item.rejected)
        )
    return made


def show_rejects(rows: Sequence[RejectRow], total: int) -> None:
    """Refused records and why."""
    made = table(f"Rejects, {counted(len(rows))} of {counted(total)}", "id", "namespace", "code", "tries", "reason")
    for row in rows:
        made.add_row(
            clean(row.id), clean(namespace(row.namespace)), clean(row.code), str(row.attempts), worded(row.reason)
        )
    show("", made)


def show_list(migrations: Sequence[MigrationStatus]) -> None:
    """All migrations of the state file."""
    if not migrations:
        show("no migrations")
        return
    made = table("", "id", "status", "done", "records", "source", "target", "started", right=("done", "records"))
    for item in migrations:
        made.add_row(
            item.id,
            _state(item),
            done(item),
            counted(item.total_records),
            clean(item.source),
            clean(item.target),
            moment(item.started_at).removesuffix(" UTC"),
        )
    show(made)


def removal(plan: MigrationPlan, status: MigrationStatus) -> str:
    """What a rollback of this migration would remove."""
    target = clean(place(plan.spec.target))
    if not plan.target_exists:
        held = plural(status.migrated_records, "record")
        return f"This drops the collection {target}, which this migration created ({held})."
    most = counted(status.migrated_records)
    text = f"This deletes from {target} the records that this migration added (at most {most})."
    if plan.spec.overwrite:
        text += " Records that it overwrote stay as they are now: their former content is gone."
    return text


def show_rollback(result: RollbackResult) -> None:
    """What a rollback did."""
    what = (
        "dropped the collection" if result.dropped_collection else f"deleted {plural(result.deleted_records, 'record')}"
    )
    text = f"{result.migration_id}: {what}"
    if result.kept_records:
        text += f"; {plural(result.kept_records, 'overwritten record')} stay"
    if result.foreign_records:
        text += f"; the collection stays, with {plural(result.foreign_records, 'record')} of others in it"
    show(Text(text))


def show_checks(checks: Sequence[DoctorCheck]) -> None:
    """`doctor`."""
    made = table("", "check", "found")
    made.show_header = False
    made.box = None
    for check in checks:
        mark = ("ok    ", "green") if check.ok else ("FAIL  ", "bold red")
        made.add_row(Text.assemble(mark, clean(check.name)), worded(check.detail))
    show(made)
