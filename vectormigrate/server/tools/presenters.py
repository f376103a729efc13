"""From the model to what the tools answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vectormigrate.config.redaction import scrub
from vectormigrate.engine.lifecycle import Verb
from vectormigrate.engine.next_step import Why, next_step
from vectormigrate.model.ids import id_key
from vectormigrate.model.live import LiveStatus
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import DiffCheck, MigrationStatus, ValidationReport
from vectormigrate.server.runtime.jobs import Job
from vectormigrate.server.runtime.remedies import in_tool_words
from vectormigrate.server.tools import answers
from vectormigrate.server.tools.presenters_live import live_answer, next_live

if TYPE_CHECKING:
    from vectormigrate.model.answers import CollectionReport, Recommendation

MOST_FIELDS = 100
MOST_NAMESPACES = 50
MOST_CONVERTED = 20
MOST_DIFFERENCES = 10


def job_view(job: Job | None) -> answers.JobView | None:
    """What this process does for a migration."""
    if job is None:
        return None
    return answers.JobView(
        kind=job.kind, state=job.state, stage=job.stage, done=job.done, total=job.total, error=job.error
    )


def status_answer(status: MigrationStatus, job: Job | None, live: LiveStatus | None = None) -> answers.StatusAnswer:
    """One migration."""
    return answers.StatusAnswer.of(
        status,
        progress=answers.Progress(
            total_records=status.total_records,
            migrated_records=status.migrated_records,
            percentage=status.percentage,
        ),
        lag=None if live is None else live.lag,
        live=None if live is None else live_answer(live),
        error=scrub(in_tool_words(status.error)) if status.error else None,
        notices=[scrub(in_tool_words(notice)) for notice in status.notices],
        job=job_view(job),
        next_step=(live and status.runner_alive and next_live(status.id, live)) or next_tool(status, job),
    )


_STEPS: Mapping[Verb, str] = {
    Verb.MIGRATE: "plan_migration({id})",
    Verb.RESUME: "resume_migration({id})",
    Verb.RETRY: "resume_migration({id}, retry_rejects=true)",
    Verb.VALIDATE: "validate_migration({id}, full=true)",
    Verb.ROLLBACK: "rollback_migration({id})",
}


def next_tool(status: MigrationStatus, job: Job | None) -> str:
    """What an agent would call next, and why."""
    name = f"migration_id={status.id!r}"
    if job is not None and job.running:
        return f"wait_migration({name})"
    step = next_step(status)
    if step.verb is None:
        return f"wait_migration({name})" if step.why is Why.RUNS else f"{step.why}; plan_migration begins a new one"
    text = f"{_STEPS[step.verb].format(id=name)}: {step.why}"
    if step.why is Why.REJECTS:
        text = f"list_rejects({name}) shows the cause; then {text}"
    if step.undo:
        text = f"{text}; {_STEPS[Verb.ROLLBACK].format(id=name)} undoes it"
    if job is not None and job.error:
        text = f"{text}. The last {job.kind} failed: {job.error}"
    return text


def finished(status: MigrationStatus, job: Job | None) -> bool:
    """Nothing runs any more, here or in another process."""
    if job is not None and job.running:
        return False
    return not status.runner_alive


def list_item(status: MigrationStatus) -> answers.ListItem:
    """One line of the list."""
    return answers.ListItem(
        migration_id=status.id,
        status=str(status.status),
        created_at=status.created_at,
        progress=answers.ListProgress(
            total=status.total_records, current=status.migrated_records, percent=status.percentage
        ),
    )


def plan_summary(plan: MigrationPlan) -> answers.PlanSummary:
    """A plan in short."""
    converted = [line.source_field for line in plan.field_mappings if line.conversion_needed]
    return answers.PlanSummary(
        source=plan.spec.source.location,
        target=plan.spec.target.location,
        total_records=plan.total_records,
        namespaces=len(plan.namespaces),
        estimated_seconds=plan.seconds_estimate,
        target_exists=plan.target_exists,
        collisions=plan.collisions,
        losses=[answers.LossLine.of(loss) for loss in plan.losses],
        unaccepted_losses=plan.unaccepted,
        converted_fields=converted[:MOST_CONVERTED],
        warnings=[in_tool_words(text) for text in plan.warnings],
    )


_NOT_COMPARED = DiffCheck(
    full=False,
    compared=0,
    identical=0,
    within_bound=0,
    missing=0,
    extra=0,
    different=0,
    unreadable=0,
    population=0,
    statement="only the counts were compared",
)


def report_summary(report: ValidationReport) -> answers.ReportSummary:
    """A validation in short."""
    diff = report.diff or _NOT_COMPARED
    return answers.ReportSummary.of(
        report,
        diff,
        passed=report.passed,
        source_records=sum(check.source for check in report.counts),
        target_records=sum(check.target for check in report.counts),
        search=[answers.SearchLine.of(check) for check in report.search],
        differences=[
            answers.DifferenceLine.of(
                item,
                source_id=None if item.source_id is None else id_key(item.source_id),
                target_id=id_key(item.target_id),
            )
            for item in diff.differences[:MOST_DIFFERENCES]
        ],
        errors=[scrub(in_tool_words(text)) for text in report.errors],
    )


def schema_answer(found: Recommendation) -> answers.SchemaAnswer:
    """The original answer of schema_recommendation."""
    data = found.to_json()
    return answers.SchemaAnswer.model_validate({**data, "warnings": [in_tool_words(text) for text in data["warnings"]]})


def collection_answer(connection: str, found: CollectionReport) -> answers.CollectionAnswer:
    """A collection."""
    schema = found.collection
    declared = {field.name: field for field in schema.fields}
    seen = {line.source_field: line for line in found.fields}
    names = [*declared, *(name for name in seen if name not in declared)]
    return answers.CollectionAnswer(
        connection=connection,
        collection=schema.name,
        server=found.server,
        records=sum(found.namespaces.values()),
        namespaces=dict(sorted(found.namespaces.items())[:MOST_NAMESPACES]),
        namespaces_total=len(found.namespaces),
        id_kinds=sorted(str(kind) for kind in schema.id_kinds),
        vectors=[answers.VectorLine.of(field) for field in schema.vectors],
        fields=[
            answers.FieldLine(
                name=name,
                type=str(declared[name].type) if name in declared else seen[name].source_type,
                indexed=name in declared and declared[name].indexed,
                notes=seen[name].notes if name in seen else "",
            )
            for name in names[:MOST_FIELDS]
        ],
        fields_total=len(names),
        sampled=found.sampled,
    )


def by_code(counts: Mapping[str, int]) -> dict[str, int]:
    """Rejects by code, the most frequent first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
