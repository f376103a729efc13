"""The verdict of a validation as tables."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from rich.table import Table
from rich.text import Text

from vectormigrate.cli.render.console import clean, pairs, show, table, worded
from vectormigrate.cli.render.plan import heading
from vectormigrate.cli.render.words import namespace
from vectormigrate.figures import counted, duration, percent, plural, rate, similarity
from vectormigrate.model.plan import Loss, Outcome
from vectormigrate.model.status import CountCheck, DiffCheck, Difference, SearchCheck, ValidationReport, VectorCheck

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
        # Without the statement this is all that says what was compared.
        return Text.assemble((f"PROVED {right}", "bold green"), ", every record in both directions")
    return Text.assemble(verdict(True), f", {counted(diff.compared)} of {counted(diff.population)} compared")


def _counts(checks: Sequence[CountCheck]) -> Table:
    made = table("Counts", "namespace", "source", "rejected", "target", "", right=("source", "rejected", "target"))
    for check in checks:
        name = clean(namespace(check.namespace))
        made.add_row(name, counted(check.source), counted(check.rejected), counted(check.target), verdict(check.passed))
    return made


def _wrong(diff: DiffCheck) -> str:
    """What does not agree; empty when all does."""
    numbers = {
        "missing": diff.missing,
        "extra": diff.extra,
        "different": diff.different,
        "unreadable": diff.unreadable,
    }
    return ", ".join(f"{counted(number)} {word}" for word, number in numbers.items() if number)


def _contents(diff: DiffCheck, *, details: bool) -> list[tuple[str, str]]:
    """What the comparison of the records found; how much that proves, where it found something or is asked for."""
    rows: list[tuple[str, str]] = []
    if diff.within_bound:
        close = (
            f"{counted(diff.identical)} identical, {counted(diff.within_bound)} as close as the target can store them"
        )
        rows.append(("contents", close))
    if wrong := _wrong(diff):
        rows.append(("differences", wrong))
    if diff.statement and (wrong or details):
        rows.append(("this shows", clean(diff.statement)))
    if diff.seconds and details:
        rows.append(("took", f"{duration(diff.seconds)}, {rate(diff.compared / diff.seconds)}"))
    return rows


def _losses(losses: Sequence[Loss]) -> list[tuple[str, str]]:
    """What the plan leaves out: it is not on the target, and not compared."""
    lost = [loss for loss in losses if loss.outcome is Outcome.LOSSY]
    names = [loss.name if loss.count is None else f"{loss.name} ({counted(loss.count)})" for loss in lost]
    return [("lost as planned", clean(", ".join(names)))] if names else []


def _answers(checks: Sequence[SearchCheck]) -> list[tuple[str, str]]:
    """How alike the answers of both sides are, in a line."""
    asked = [check for check in checks if check.queries]
    if not asked:
        return []
    queries = sum(check.queries for check in asked)
    alike = percent(sum(check.overlap * check.queries for check in asked), queries)
    worst = percent(min(check.worst_overlap for check in asked))
    of = f"{plural(queries, 'query', 'queries')}, the worst {worst}"
    return [("searches", f"{alike} of the answers are the same on both sides ({of})")]


def _vectors(checks: Sequence[VectorCheck]) -> Table:
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
    for check in checks:
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


def show_report(report: ValidationReport, losses: Sequence[Loss] = (), *, details: bool = False) -> None:
    """The verdict, whatever is wrong, and what was left out by plan; with `details` also how it was found."""
    show(heading(f"Validation of {report.migration_id}: ").append_text(_headline(report)))
    rows = [("source", clean(report.source)), ("target", clean(report.target))]
    if report.diff:
        rows += _contents(report.diff, details=details)
    rows += _losses(losses)
    if report.rejected:
        rows.append(("rejects", f"{plural(report.rejected, 'record')} that the target refused; not expected there"))
    if report.repaired or report.deleted:
        rows.append(("repair", f"{counted(report.repaired)} copied again, {counted(report.deleted)} extras deleted"))
    show(pairs(rows + ([] if details else _answers(report.search))))
    for made in _tables(report, details=details):
        show("", made)
    for text in report.errors:
        show(Text(f"error: {worded(text)}", style="red"))


def _tables(report: ValidationReport, *, details: bool) -> Generator[Table]:
    counts = [check for check in report.counts if details or not check.passed]
    if counts:
        yield _counts(counts)
    if report.diff:
        vectors = [
            check for check in report.diff.vectors if details or check.compared > check.exact + check.within_bound
        ]
        if vectors:
            yield _vectors(vectors)
        if incomplete := _incomplete_fields(report.diff):
            yield incomplete
        if report.diff.differences:
            yield _differences(report.diff.differences)
    if report.search and details:
        yield _search(report.search)
