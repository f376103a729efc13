"""A validation report as one HTML file that works offline: no script, no links, light and dark, everything escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version

from vectormigrate.figures import counted, percent, plural, similarity, small
from vectormigrate.model.ids import id_key
from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.status import (
    DiffCheck,
    Difference,
    MigrationStatus,
    SearchCheck,
    ValidationReport,
    VectorCheck,
)
from vectormigrate.validation.plots import histogram, overlaps

SHOWN = 100
"""Differences and fields listed on the page; the JSON holds all that were kept."""

_STYLE = """
:root{color-scheme:light dark;--ink:#1d2330;--soft:#5d6676;--line:#d9dee7;--page:#f6f7f9;--card:#fff;--good:#1d8a4e;
--mid:#c98a00;--bad:#c4322b}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaf0;--soft:#9aa4b5;--line:#333b49;--page:#12151b;--card:#1b2029;
--good:#4cc27f;--mid:#e3b341;--bad:#ff7b72}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}h1{font-size:24px;margin:0 0 4px}
h2{font-size:17px;margin:34px 0 10px}h3{font-size:15px;margin:0 0 6px}p{margin:6px 0}.soft{color:var(--soft)}
.verdict{border-left:6px solid var(--good);background:var(--card);padding:16px 20px;border-radius:6px;margin:18px 0}
.verdict.failed{border-color:var(--bad)}.verdict strong{font-size:20px}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{padding:6px 12px;text-align:left;vertical-align:top;
border-top:1px solid var(--line)}thead th{border-top:0;color:var(--soft);font-weight:600}.n{text-align:right;
font-variant-numeric:tabular-nums;white-space:nowrap}code{font:13px ui-monospace,monospace;overflow-wrap:break-word}
.ok{color:var(--good)}.no{color:var(--bad);font-weight:600}.plots{display:grid;gap:14px;margin-top:14px;
grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr))}.plot{background:var(--card);
border:1px solid var(--line);
border-radius:6px;padding:12px 14px}svg{width:100%;height:auto;display:block}svg line{stroke:var(--soft)}
svg .faint{stroke:var(--line)}svg .good{fill:var(--good)}svg .mid{fill:var(--mid)}svg .bad{fill:var(--bad)}
svg text{fill:var(--soft);font-size:10px}svg .value{text-anchor:middle;fill:var(--ink)}
"""

Cell = str | int


def html_report(
    report: ValidationReport,
    status: MigrationStatus | None = None,
    plan: MigrationPlan | None = None,
    versions: Mapping[str, str] | None = None,
) -> str:
    """The page. `status` adds how the migration went, `plan` the losses that were accepted; `versions` are further
    lines such as `{"source server": "…"}`."""
    title = f"Validation of {report.migration_id}"
    body = [
        _verdict(report),
        _counts(report),
        *([] if report.diff is None else _diff(report.diff)),
        *_search(report.search),
        *([] if plan is None else _losses(plan)),
        _origin(report, status, versions or {}),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{_text(title)}</h1><p class=soft>{_text(report.source)} → {_text(report.target)}</p>"
        f"{''.join(body)}</main></body></html>\n"
    )


def _text(value: object) -> str:
    """Escaped; lone surrogates, which no file can hold, become replacement characters."""
    return escape(str(value).encode("utf-8", "replace").decode())


def _verdict(report: ValidationReport) -> str:
    word = "Passed" if report.passed else "Failed"
    lines = [f"<strong>{word}</strong>"]
    if report.diff is not None:
        lines.append(f"<p>{_text(report.diff.statement)}</p>")
    lines += [f'<p class="no">{_text(error)}</p>' for error in report.errors]
    extras = [
        (report.rejected, "rejected by the target"),
        (report.repaired, "repaired"),
        (report.deleted, "extras deleted"),
    ]
    figures = [f"{plural(count, 'record')} {what}" for count, what in extras if count]
    if figures:
        lines.append(f"<p class=soft>{_text('; '.join(figures))}</p>")
    return f'<section class="verdict{"" if report.passed else " failed"}">{"".join(lines)}</section>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], numbers: Sequence[int] = ()) -> str:
    """Cells that begin with `<` are HTML made here; all others are escaped."""

    def cell(column: int, value: Cell, tag: str = "td") -> str:
        text = counted(value) if isinstance(value, int) else value
        shown = text if isinstance(value, _Html) else _text(text)
        return f"<{tag}{' class=n' if column in numbers else ''}>{shown}</{tag}>"

    head = "".join(cell(column, name, "th") for column, name in enumerate(heads))
    lines = ["<tr>" + "".join(cell(column, value) for column, value in enumerate(row)) + "</tr>" for row in rows]
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


class _Html(str):
    """Text that is already HTML."""

    __slots__ = ()


def _mark(passed: bool) -> _Html:
    return _Html('<span class="ok">ok</span>' if passed else '<span class="no">differs</span>')


def _code(text: str) -> _Html:
    return _Html(f"<code>{_text(text)}</code>")


def _counts(report: ValidationReport) -> str:
    rows = [
        (_code(check.namespace or "(default)"), check.source, check.rejected, check.target, _mark(check.passed))
        for check in report.counts
    ]
    return "<h2>Counts</h2>" + _table(("namespace", "source", "rejected", "target", ""), rows, (1, 2, 3))


def _diff(diff: DiffCheck) -> list[str]:
    kind = "Full comparison" if diff.full else "Sampled comparison"
    rows = [
        ("source records considered", diff.population),
        ("compared", diff.compared),
        ("identical", diff.identical),
        ("within the declared bound", diff.within_bound),
        ("different", diff.different),
        ("missing on the target", diff.missing),
        ("extra on the target", diff.extra if diff.full else "cannot be seen by a sample"),
        ("unreadable, not verified", diff.unreadable),
    ]
    parts = [f"<h2>{kind}</h2>", _table(("", "records"), rows, (1,))]
    if diff.differences:
        parts += _differences(diff)
    if diff.vectors:
        parts += ["<h2>Vectors</h2>", _vectors(diff.vectors), '<div class="plots">']
        parts += [_similarities(check) for check in diff.vectors]
        parts.append("</div>")
    if diff.metadata_fields:
        fields = [
            (_code(name), held, equal, _mark(held == equal)) for name, (held, equal) in diff.metadata_fields.items()
        ]
        fields.sort(key=lambda row: row[1] == row[2])
        parts += ["<h2>Metadata fields</h2>", _table(("field", "on the source", "equal", ""), fields[:SHOWN], (1, 2))]
        parts += _left_out(len(fields), "fields")
    return parts


def _left_out(count: int, what: str) -> list[str]:
    return [f"<p class=soft>{counted(count - SHOWN)} more {what} are not shown.</p>"] if count > SHOWN else []


def _differences(diff: DiffCheck) -> list[str]:
    rows = [_difference(item) for item in diff.differences[:SHOWN]]
    total = diff.missing + diff.extra + diff.different
    heads = ("kind", "namespace", "target id", "source id", "what differs", "similarity")
    parts = [f"<h2>Differences: first {counted(len(rows))} of {counted(total)}</h2>", _table(heads, rows, (5,))]
    return parts


def _difference(item: Difference) -> tuple[Cell, ...]:
    what = ", ".join(item.fields)
    if item.written_by_us is not None:
        what = "written by this migration" if item.written_by_us else "not written by this migration"
    return (
        str(item.kind),
        _code(item.namespace or "(default)"),
        _code(id_key(item.target_id)),
        "" if item.source_id is None else _code(id_key(item.source_id)),
        _code(what) if item.fields else what,
        similarity(item.similarity),
    )


def _vectors(checks: Sequence[VectorCheck]) -> str:
    rows = [
        (
            _code(check.name or "(unnamed)"),
            check.compare,
            check.compared,
            check.exact,
            check.within_bound,
            check.compared - check.exact - check.within_bound,
            check.below_floor,
            similarity(check.worst_similarity),
            small(check.worst_error) if math.isfinite(check.worst_error) else "not comparable",
        )
        for check in checks
    ]
    heads = (
        "field",
        "must agree",
        "compared",
        "bit-exact",
        "within bound",
        "bad",
        "below floor",
        "worst cosine",
        "error",
    )
    return _table(heads, rows, range(2, 9))


def _similarities(check: VectorCheck) -> str:
    title = f"{check.name or '(unnamed)'}: cosine similarity, number of vectors"
    return _plot(title, histogram(check.histogram, title))


def _plot(title: str, svg: str) -> str:
    return f'<div class="plot"><h3>{_text(title or "(unnamed)")}</h3>{svg}</div>'


def _search(checks: Sequence[SearchCheck]) -> list[str]:
    if not checks:
        return []
    rows = [
        (
            _code(check.vector or "(unnamed)"),
            _code(check.namespace or "(default)"),
            check.queries,
            *([""] * 5 if not check.queries else _figures(check)),
        )
        for check in checks
    ]
    k = checks[0].k
    heads = ("field", "namespace", "queries", f"recall@{k} source", f"recall@{k} target", f"overlap@{k}", "worst query")
    parts = ["<h2>Search parity</h2>", _table((*heads, "overlap of exact answers"), rows, range(2, 8))]
    parts += [
        f"<p>{_code(check.vector or '(unnamed)')} in {_code(check.namespace or '(default)')}: {_text(check.note)}</p>"
        for check in checks
        if check.note
    ]
    parts.append(
        "<p class=soft>The same queries on both sides. Recall is against brute force on each side's own data; the"
        " overlap of the exact answers shows the data alone, the others also show how the two indexes differ.</p>"
    )
    parts.append('<div class="plots">')
    for check in checks:
        if check.per_query_overlap:
            title = f"{check.vector or '(unnamed)'} in {check.namespace or '(default)'}: overlap per query"
            parts.append(_plot(title, overlaps(check.per_query_overlap, title)))
    parts.append("</div>")
    return parts


def _figures(check: SearchCheck) -> list[str]:
    values = (check.recall_source, check.recall_target, check.overlap, check.worst_overlap, check.overlap_exact)
    return [percent(value) for value in values]


def _losses(plan: MigrationPlan) -> list[str]:
    accepted = set(plan.spec.accepted_losses)
    rows = [
        (
            _code(loss.name),
            loss.outcome.word,
            "" if loss.count is None else loss.count,
            "yes" if loss.name in accepted else "",
            loss.detail,
        )
        for loss in plan.losses
    ]
    if not rows:
        return ["<h2>Losses</h2><p>The plan lists none.</p>"]
    return ["<h2>Losses in the plan</h2>", _table(("name", "", "records", "accepted", ""), rows, (2,))]


def _own_version() -> str:
    try:
        return version("vectormigrate")
    except PackageNotFoundError:  # run from a checkout
        return "(not installed)"


def _origin(report: ValidationReport, status: MigrationStatus | None, versions: Mapping[str, str]) -> str:
    rows: list[tuple[Cell, Cell]] = [
        ("vectormigrate", _own_version()),
        ("source", _code(report.source)),
        ("target", _code(report.target)),
        ("started", report.started_at),
        ("ended", report.ended_at),
        (
            "similarity floor",
            f"{similarity(report.min_similarity)}: below it a vector counts as different whatever its bound",
        ),
    ]
    if status is not None:
        settled = f"{counted(status.migrated_records)} migrated and {counted(status.rejected_records)} rejected"
        rows.append(("migration", f"{status.status}, {settled} of {counted(status.total_records)} records"))
        rows.append(("read back while copying", plural(status.checked_records, "record")))
    rows += versions.items()
    return "<h2>About this report</h2>" + _table(("", ""), rows)
