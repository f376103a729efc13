"""The report as JSON and as a page."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest

from tests.validation.support import batch_of, pair, plan_of, rules_of, with_metadata
from vectormigrate.model.plan import Loss, Outcome
from vectormigrate.model.status import (
    DiffCheck,
    Difference,
    DifferenceKind,
    SearchCheck,
    ValidationReport,
    VectorCheck,
)
from vectormigrate.validation.counts import count_check
from vectormigrate.validation.recall import search_parity
from vectormigrate.validation.report import html_report, report_from_json, report_to_json

pytestmark = pytest.mark.anyio

NASTY = "</td><script>alert('x')</script>&\"'\ud800"


async def report_of(*, damaged: bool) -> ValidationReport:
    async with pair(rows=40) as both:
        if damaged:
            await both.edit(1, with_metadata(**{NASTY.replace("\ud800", ""): 1}))
            await both.target.delete(["3"], "b")
            assert not await both.target.upsert(replace(batch_of([1], "a"), ids=["<b>extra</b>"]))
        arguments = both.arguments()
        search = {key: arguments[key] for key in ("source", "target", "mapper", "plan")}
        return ValidationReport(
            migration_id="m<1>",
            started_at="2026-01-01T00:00:00Z",
            ended_at="2026-01-01T00:00:01Z",
            source="memory://a/s",
            target="memory://a/t",
            min_similarity=0.98,
            counts=await count_check(**arguments),
            diff=await both.diff(),
            search=await search_parity(**search, queries=5),
            errors=() if not damaged else ("a page could not be read: <timeout>",),
        )


class Page(HTMLParser):
    """Checks nesting and collects text, tags and attributes."""

    VOID = frozenset({"meta"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(page)
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_report_survives_json(damaged: bool) -> None:
    report = await report_of(damaged=damaged)
    text = json.dumps(report_to_json(report), allow_nan=False)
    assert report_from_json(json.loads(text)) == report
    assert json.loads(text)["passed"] is not damaged


def test_ids_and_errors_that_json_does_not_have_survive_it() -> None:
    difference = Difference(
        kind=DifferenceKind.EXTRA,
        namespace="a",
        source_id=UUID(int=5),
        target_id="00000000-0000-0000-0000-000000000005",
        similarity=0.5,
    )
    report = _empty(differences=(difference,), worst_error=math.inf)
    text = json.dumps(report_to_json(report), allow_nan=False)
    assert report_from_json(json.loads(text)) == report


def _empty(**changes: Any) -> ValidationReport:
    vector = VectorCheck(
        name="v",
        compare="exact",
        compared=1,
        exact=0,
        within_bound=0,
        below_floor=1,
        worst_similarity=0.0,
        worst_error=changes.pop("worst_error", 0.0),
        histogram=((1.0, 0), (0.0, 1)),
    )
    diff = DiffCheck(
        full=True,
        compared=1,
        identical=0,
        within_bound=0,
        missing=0,
        extra=1,
        different=1,
        unreadable=0,
        population=1,
        statement="",
        vectors=(vector,),
        **changes,
    )
    return ValidationReport(
        migration_id="m", started_at="", ended_at="", source="", target="", min_similarity=0.98, counts=(), diff=diff
    )


async def test_the_page_is_well_formed_self_contained_and_leads_with_the_verdict() -> None:
    report = await report_of(damaged=False)
    losses = (
        Loss(name="vector-length", outcome=Outcome.REVERSIBLE, count=12345, detail="kept in the sidecar"),
        Loss(name="metric", outcome=Outcome.LOSSY, count=None, detail="no such metric"),
    )
    plan = replace(plan_of(rules_of(), {"a": 40}, accepted_losses=("metric",)), losses=losses)
    text = html_report(report, None, plan, {"source server": "memory 1.0"})
    page = Page(text)
    assert not page.tags & {"script", "link", "img", "iframe", "a", "object"}
    assert not page.attributes & {"href", "src", "onclick", "onload"}
    assert not re.search(r"https?:|//[a-z]+\.|url\(|@import", text.replace("memory://a/", ""))
    assert page.tags >= {"svg", "rect", "table", "style"}
    assert text.index("Passed") < text.index("<h2>")
    shown = " ".join(page.words)
    assert report.diff is not None
    assert report.diff.statement in shown
    for wanted in ("12,345", "reversible", "memory 1.0", "memory://a/s", "recall@10 target", "bit-exact"):
        assert wanted in shown


async def test_whatever_the_data_holds_is_text_on_the_page() -> None:
    report = await report_of(damaged=True)
    assert report.diff is not None
    nasty = replace(report.diff.differences[0], target_id=NASTY, namespace=NASTY, fields=(NASTY,))
    report = replace(report, diff=replace(report.diff, differences=(*report.diff.differences, nasty)))
    text = html_report(report)
    text.encode()
    page = Page(text)
    assert not page.tags & {"script", "b", "timeout"}
    shown = " ".join(page.words)
    assert "Failed" in shown
    assert "a page could not be read: <timeout>" in shown
    assert "s:<b>extra</b>" in shown
    assert "<script>alert('x')</script>" in shown


def test_a_side_that_was_not_searched_shows_its_reason_and_no_figures() -> None:
    check = SearchCheck(
        vector="v",
        namespace="",
        queries=0,
        k=10,
        recall_source=0,
        recall_target=0,
        overlap=0,
        overlap_exact=0,
        worst_overlap=0,
        note="the target cannot search this field",
    )
    text = html_report(replace(_empty(), search=(check,)))
    assert "the target cannot search this field" in text
    assert "0.0000" not in text
