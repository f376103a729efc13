"""A validation report as JSON, and back, and as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from vectormigrate.model.schema import Json
from vectormigrate.model.status import CountCheck, DiffCheck, SearchCheck, ValidationReport, VectorCheck
from vectormigrate.validation.html import html_report
from vectormigrate.validation.tally import difference_from_json, difference_to_json

__all__ = ["html_report", "report_from_json", "report_to_json"]


def report_to_json(report: ValidationReport) -> dict[str, Json]:
    """A JSON object that `report_from_json` reads back, with the verdict of each part spelled out. Ids are typed text
    (`i:7`, `s:a`, `u:…`); an error that is not finite (nothing was comparable) is null."""
    data: dict[str, Json] = asdict(report)
    data["passed"] = report.passed
    data["counts"] = [{**asdict(check), "passed": check.passed} for check in report.counts]
    data["search"] = [{**asdict(check), "per_query_overlap": list(check.per_query_overlap)} for check in report.search]
    data["errors"] = list(report.errors)
    if report.diff is not None:
        data["diff"] = {
            **asdict(report.diff),
            "passed": report.diff.passed,
            "vectors": [_vector_to_json(check) for check in report.diff.vectors],
            "metadata_fields": {name: list(pair) for name, pair in report.diff.metadata_fields.items()},
            "differences": [difference_to_json(item) for item in report.diff.differences],
        }
    return data


def _vector_to_json(check: VectorCheck) -> dict[str, Json]:
    error = check.worst_error if math.isfinite(check.worst_error) else None
    return {**asdict(check), "worst_error": error, "histogram": [list(item) for item in check.histogram]}


def report_from_json(data: Mapping[str, Any]) -> ValidationReport:
    """The report that `report_to_json` wrote."""
    fixed = _without_verdict(data)
    fixed["counts"] = tuple(CountCheck(**_without_verdict(item)) for item in data["counts"])
    fixed["search"] = tuple(map(_search_from_json, data["search"]))
    fixed["errors"] = tuple(data["errors"])
    fixed["diff"] = None if data["diff"] is None else _diff_from_json(data["diff"])
    return ValidationReport(**fixed)


def _diff_from_json(data: Mapping[str, Any]) -> DiffCheck:
    fixed = _without_verdict(data)
    fixed["vectors"] = tuple(_vector_from_json(item) for item in data["vectors"])
    fixed["metadata_fields"] = {name: (held, equal) for name, (held, equal) in data["metadata_fields"].items()}
    fixed["differences"] = tuple(difference_from_json(item) for item in data["differences"])
    return DiffCheck(**fixed)


def _search_from_json(data: Mapping[str, Any]) -> SearchCheck:
    fixed: dict[str, Any] = dict(data)
    fixed["per_query_overlap"] = tuple(data["per_query_overlap"])
    return SearchCheck(**fixed)


def _vector_from_json(data: Mapping[str, Any]) -> VectorCheck:
    fixed: dict[str, Any] = dict(data)
    fixed["worst_error"] = math.inf if data["worst_error"] is None else data["worst_error"]
    fixed["histogram"] = tuple((edge, count) for edge, count in data["histogram"])
    return VectorCheck(**fixed)


def _without_verdict(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "passed"}
