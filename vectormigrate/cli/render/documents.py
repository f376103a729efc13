"""The JSON documents of `--json`: the data as it is, with the figures that the data derives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from vectormigrate.model.answers import CollectionReport, DoctorCheck, RejectRow
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import MigrationStatus, ValidationReport
from vectormigrate.validation.report import report_to_json

Document = dict[str, Any]


def plan_document(plan: MigrationPlan) -> Document:
    """A plan, and the losses that still have to be accepted."""
    return {**plan.to_json(), "unaccepted": plan.unaccepted}


def status_document(
    status: MigrationStatus,
    codes: Mapping[str, int],
    validation: ValidationReport | None = None,
    rejects: Sequence[RejectRow] | None = None,
) -> Document:
    """A migration; `rejects` only when asked for."""
    made: Document = {**status.to_json(), "reject_codes": dict(codes)}
    made["validation"] = None if validation is None else report_to_json(validation)
    if rejects is not None:
        made["rejects"] = [asdict(row) for row in rejects]
    return made


def list_document(migrations: Sequence[MigrationStatus]) -> Document:
    """All migrations."""
    return {"migrations": [item.to_json() for item in migrations]}


def collection_document(report: CollectionReport) -> Document:
    """A described collection."""
    return {**asdict(report), "collection": report.collection.to_json()}


def checks_document(checks: Sequence[DoctorCheck]) -> Document:
    """The checks of `doctor`."""
    return {"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]}
