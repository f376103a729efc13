"""The JSON documents of `--json`: the data as it is, with the figures that the data derives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vectormigrate.cli.remedies import in_commands
from vectormigrate.model.answers import CollectionReport, DoctorCheck, Holdings, Recommendation, RejectRow
from vectormigrate.model.live import LiveStatus
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import MigrationStatus, ValidationReport
from vectormigrate.validation.report import report_to_json

Document = dict[str, Any]


def _worded(texts: Sequence[str]) -> list[str]:
    return [in_commands(text) for text in texts]


def _status(status: MigrationStatus) -> Document:
    error = None if status.error is None else in_commands(status.error)
    return {**status.to_json(), "error": error, "notices": _worded(status.notices)}


def holdings_document(found: Holdings) -> Document:
    """What a server holds."""
    made: Document = asdict(found)
    for item in made["collections"]:
        item["problem"] = None if item["problem"] is None else in_commands(item["problem"])
    return made


def plan_document(plan: MigrationPlan) -> Document:
    """A plan, and the losses that still have to be accepted."""
    return {**plan.to_json(), "warnings": _worded(plan.warnings), "unaccepted": plan.unaccepted}


def status_document(
    status: MigrationStatus,
    codes: Mapping[str, int],
    validation: ValidationReport | None = None,
    rejects: Sequence[RejectRow] | None = None,
    live: LiveStatus | None = None,
) -> Document:
    """A migration; `rejects` only when asked for, `live` of one that is."""
    made: Document = {**_status(status), "reject_codes": dict(codes)}
    if live is not None:
        made["live"] = live.to_json()
    made["validation"] = None if validation is None else report_document(validation)
    if rejects is not None:
        made["rejects"] = [{**asdict(row), "reason": in_commands(row.reason)} for row in rejects]
    return made


def list_document(migrations: Sequence[MigrationStatus]) -> Document:
    """All migrations."""
    return {"migrations": [_status(item) for item in migrations]}


def report_document(report: ValidationReport) -> Document:
    """A verdict."""
    return {**report_to_json(report), "errors": _worded(report.errors)}


def collection_document(report: CollectionReport) -> Document:
    """A described collection."""
    return {**asdict(report), "collection": report.collection.to_json()}


def recommendation_document(answer: Recommendation, *, details: bool) -> Document:
    """A recommended schema in the original tool's shape, or with all that it rests on."""
    made: Document = answer.details() if details else answer.to_json()
    return {**made, "warnings": _worded(answer.warnings)}


def checks_document(checks: Sequence[DoctorCheck]) -> Document:
    """The checks of `doctor`."""
    return {
        "ok": all(check.ok for check in checks),
        "checks": [{**asdict(check), "detail": in_commands(check.detail)} for check in checks],
    }
