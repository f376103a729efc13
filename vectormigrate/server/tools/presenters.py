"""From the model to what the tools answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vectormigrate.config.redaction import scrub
from vectormigrate.engine.lifecycle import Verb
from vectormigrate.engine.next_step import Why, next_step
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import MigrationStatus, ValidationReport
from vectormigrate.server.runtime.jobs import Job
from vectormigrate.server.runtime.tool_errors import in_tool_words
from vectormigrate.server.tools import answers

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


def status_answer(status: MigrationStatus, job: Job | None) -> answers.StatusAnswer:
    """One migration."""
    return answers.StatusAnswer(
        migration_id=status.id,
        status=str(status.status),
        progress=answers.Progress(
            total_records=status.total_records,
            migrated_records=status.migrated_records,
            percentage=status.percentage,
        ),
        batches_processed=status.batches,
        started_at=status.started_at,
        ended_at=status.ended_at,
        phase=str(status.phase),
        source=status.source,
        target=status.target,
        rate=status.rate,
        eta_seconds=status.eta_seconds,
        rejects=status.rejected_records,
        lag=None,
        runner_alive=status.runner_alive,
        stop_requested=status.stop_requested,
        error=scrub(in_tool_words(status.error)) if status.error else None,
        notices=[scrub(in_tool_words(notice)) for notice in status.notices],
        job=job_view(job),
        next_step=next_tool(status, job),
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
        losses=[
            answers.LossLine(name=loss.name, outcome=str(loss.outcome), records=loss.count, detail=loss.detail)
            for loss in plan.losses
        ],
        unaccepted_losses=plan.unaccepted,
        converted_fields=converted[:MOST_CONVERTED],
        warnings=[in_tool_words(text) for text in plan.warnings],
    )


def report_summary(report: ValidationReport) -> answers.ReportSummary:
    """A validation in short."""
    diff = report.diff
    return answers.ReportSummary(
        passed=report.passed,
        started_at=report.started_at,
        ended_at=report.ended_at,
        full=diff is not None and diff.full,
        statement=diff.statement if diff else "only the counts were compared",
        source_records=sum(check.source for check in report.counts),
        target_records=sum(check.target for check in report.counts),
        rejected_records=report.rejected,
        compared=diff.compared if diff else 0,
        identical=diff.identical if diff else 0,
        within_bound=diff.within_bound if diff else 0,
        missing=diff.missing if diff else 0,
        extra=diff.extra if diff else 0,
        different=diff.different if diff else 0,
        unreadable=diff.unreadable if diff else 0,
        search=[
            answers.SearchLine(
                vector=check.vector,
                namespace=check.namespace,
                queries=check.queries,
                k=check.k,
                recall_source=check.recall_source,
                recall_target=check.recall_target,
                overlap=check.overlap,
            )
            for check in report.search
        ],
        differences=[
            answers.DifferenceLine(
                kind=str(item.kind),
                namespace=item.namespace,
                source_id=None if item.source_id is None else id_key(item.source_id),
                target_id=id_key(item.target_id),
                fields=list(item.fields),
                similarity=item.similarity,
            )
            for item in (diff.differences[:MOST_DIFFERENCES] if diff else ())
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
        vectors=[
            answers.VectorLine(
                name=field.name,
                kind=str(field.kind),
                dim=field.dim,
                metric=str(field.metric),
                stored_as=str(field.dtype),
            )
            for field in schema.vectors
        ],
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
