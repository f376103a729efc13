"""The JSON documents of `--json`: the data as it is, with the figures that the data derives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vectormigrate.model.answers import CollectionReport, DoctorCheck, Recommendation, RejectRow
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import MigrationStatus, ValidationReport

Document = dict[str, Any]


def plan_document(plan: MigrationPlan) -> Document:
    """A plan, and the losses that still have to be accepted."""
    return {**plan.to_json(), "unaccepted": plan.unaccepted}


def status_document(
    status: MigrationStatus,
    codes: Mapping[str, int],
    validation: Document | None = None,
    rejects: Sequence[RejectRow] | None = None,
) -> Document:
    """A migration; `rejects` only when asked for."""
    made: Document = {**asdict(status), "percentage": status.percentage, "reject_codes": dict(codes)}
    made["validation"] = validation
    if rejects is not None:
        made["rejects"] = [asdict(row) for row in rejects]
    return made


def list_document(migrations: Sequence[MigrationStatus]) -> Document:
    """All migrations."""
    return {"migrations": [{**asdict(item), "percentage": item.percentage} for item in migrations]}


def report_document(report: ValidationReport) -> Document:
    """A verdict. Ids are typed texts (`i:7`, `s:007`, `u:…`), for JSON has no form of its own for 2^60 or a UUID."""
    made: Document = {**asdict(report), "passed": report.passed}
    made["counts"] = [{**asdict(check), "passed": check.passed} for check in report.counts]
    if report.diff:
        made["diff"]["passed"] = report.diff.passed
        made["diff"]["differences"] = [
            {
                **asdict(item),
                "source_id": None if item.source_id is None else id_key(item.source_id),
                "target_id": id_key(item.target_id),
            }
            for item in report.diff.differences
        ]
    return made


def collection_document(report: CollectionReport) -> Document:
    """A described collection."""
    return {**asdict(report), "collection": report.collection.to_json()}


def recommendation_document(answer: Recommendation, *, details: bool) -> Document:
    """A recommended schema in the original tool's shape, or with all that it rests on."""
    return answer.details() if details else answer.to_json()


def checks_document(checks: Sequence[DoctorCheck]) -> Document:
    """The checks of `doctor`."""
    return {"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]}
