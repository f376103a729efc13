"""The verdict of a validation as tables."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from vectormigrate.cli.console import clean, pairs, show, table
from vectormigrate.cli.render_plan import heading
from vectormigrate.cli.words import namespace
from vectormigrate.figures import counted, duration, percent, plural, rate, similarity
from vectormigrate.model.status import CountCheck, DiffCheck, Difference, SearchCheck, ValidationReport

SHOWN_DIFFERENCES = 20


def verdict(passed: bool) -> Text:
    """The word in its colour."""
    return Text("passed", style="bold green") if passed else Text("failed", style="bold red")


def _headline(report: ValidationReport) -> Text:
    """What was shown, in one line: only a comparison of every record proves anything about every record."""
    diff = report.diff
    if not report.passed or diff is None:
        return verdict(report.passed)
    right = f"{counted(diff.identical + diff.within_bound)} of {counted(diff.population)}"
    if diff.full:
        return Text(f"PROVED {right}", style="bold green")
    return Text.assemble(verdict(True), f", {counted(diff.compared)} of {counted(diff.population)} compared")


def _counts(checks: tuple[CountCheck, ...]) -> Table:
    made = table("Counts", "namespace", "source", "rejected", "target", "", right=("source", "rejected", "target"))
    for check in checks:
        name = clean(namespace(check.namespace))
        made.add_row(name, counted(check.source), counted(check.rejected), counted(check.target), verdict(check.passed))
    return made


def _contents(diff: DiffCheck) -> RenderableType:
    wrong = [
        f"{counted(number)} {word}"
        for number, word in (
            (diff.missing, "missing"),
            (diff.extra, "extra"),
            (diff.different, "different"),
            (diff.unreadable, "unreadable"),
        )
        if number
    ]
    scope = "every record, both directions" if diff.full else f"{counted(diff.compared)} of {counted(diff.population)}"
    rows = [
        ("contents", f"{scope}: {counted(diff.identical)} identical, {counted(diff.within_bound)} within bounds"),
        ("differences", ", ".join(wrong) or "none"),
    ]
    if diff.statement:
        rows.append(("this shows", clean(diff.statement)))
    if diff.seconds:
        rows.append(("took", f"{duration(diff.seconds)}, {rate(diff.compared / diff.seconds)}"))
    return pairs(rows)


def _vectors(diff: DiffCheck) -> Table:
    made = table(
        "Vectors",
        "name",
        "must be",
        "compared",
        "identical",
        "within",
        "below floor",
        "worst cosine",
        right=("compared", "identical", "within", "below floor", "worst cosine"),
    )
    for check in diff.vectors:
        worst = similarity(check.worst_similarity) or "–"
        made.add_row(
            clean(check.name or "(unnamed)"),
            check.compare,
            counted(check.compared),
            counted(check.exact),
            counted(check.within_bound),
            counted(check.below_floor),
            worst,
        )
    return made


def _incomplete_fields(diff: DiffCheck) -> Table | None:
    """Metadata fields that are not equal everywhere."""
    wrong = {name: pair for name, pair in diff.metadata_fields.items() if pair[0] != pair[1]}
    if not wrong:
        return None
    made = table("Metadata that differs", "field", "on the source", "equal", right=("on the source", "equal"))
    for name, (held, equal) in wrong.items():
        made.add_row(clean(name), counted(held), counted(equal))
    return made


def _differences(differences: tuple[Difference, ...]) -> Table:
    made = table("First differences", "kind", "namespace", "source id", "target id", "fields", "cosine")
    for item in differences[:SHOWN_DIFFERENCES]:
        made.add_row(
            str(item.kind),
            clean(namespace(item.namespace)),
            "–" if item.source_id is None else clean(item.source_id),
            clean(item.target_id),
            clean(", ".join(item.fields)),
            similarity(item.similarity),
        )
    return made


def _search(checks: tuple[SearchCheck, ...]) -> Table:
    columns = ("vector", "namespace", "queries", "source", "target", "overlap", "exact", "note")
    title = f"Search: recall@{checks[0].k} of each side against brute force, overlap of both answers"
    made = table(title, *columns, right=columns[2:7])
    for check in checks:
        made.add_row(
            clean(check.vector or "(unnamed)"),
            clean(namespace(check.namespace)),
            counted(check.queries),
            percent(check.recall_source),
            percent(check.recall_target),
            percent(check.overlap),
            percent(check.overlap_exact),
            clean(check.note),
        )
    return made


def show_report(report: ValidationReport) -> None:
    """The whole verdict."""
    show(heading(f"Validation of {report.migration_id}: ").append_text(_headline(report)))
    rows = [("source", clean(report.source)), ("target", clean(report.target))]
    if report.rejected:
        rows.append(("rejects", f"{plural(report.rejected, 'record')} that the target refused; not expected there"))
    if report.repaired or report.deleted:
        rows.append(("repair", f"{counted(report.repaired)} copied again, {counted(report.deleted)} extras deleted"))
    show(pairs(rows))
    if report.diff:
        show(_contents(report.diff))
    show("", _counts(report.counts))
    if report.diff:
        if report.diff.vectors:
            show("", _vectors(report.diff))
        if incomplete := _incomplete_fields(report.diff):
            show("", incomplete)
        if report.diff.differences:
            show("", _differences(report.diff.differences))
    if report.search:
        show("", _search(report.search))
    for text in report.errors:
        show(Text(f"error: {clean(text)}", style="red"))
    show("")
