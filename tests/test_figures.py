"""Numbers as people read them: the style, and that nobody has one of their own."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from vectormigrate import figures
from vectormigrate.cli.render.status import done
from vectormigrate.figures import counted, duration, percent, percent_above, plural, rate, similarity, size
from vectormigrate.model.status import MigrationStatus, Phase, Status

PACKAGE = Path(figures.__file__).parent


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.0004, "1 ms"),
        (0.04, "40 ms"),
        (0.4, "0.4 s"),
        (9.96, "10 s"),
        (12.84, "12.8 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (80, "1 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h"),
        (7830, "2 h 10 min"),
        (86_399, "1 d"),
        (273_600, "3 d 4 h"),
        (86_400_000, "1,000 d"),
    ],
)
def test_a_duration_has_at_most_two_units_and_no_rest_of_nothing(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 1, "0 %"),
        (0, 0, "–"),
        (0.5, 1, "50 %"),
        (0.125, 1, "12.5 %"),
        (1, 3, "33.3 %"),
        (9_997, 10_000, "99.97 %"),
        (999_996, 1_000_000, "99.9996 %"),
        (4, 10_000, "0.04 %"),
        (10**15 - 1, 10**15, "under 100 %"),
        (1, 10**15, "over 0 %"),
        (7_980, 7_980, "100 %"),
        (3, 2, "150 %"),
    ],
)
def test_only_all_is_100_percent_and_only_nothing_is_0(part: float, whole: float, text: str) -> None:
    assert percent(part, whole) == text


@pytest.mark.parametrize(("part", "whole", "text"), [(3, 1000, "0.3 %"), (3, 7000, "0.043 %"), (3, 3, "100 %")])
def test_a_bound_is_rounded_up(part: int, whole: int, text: str) -> None:
    assert percent_above(part, whole) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.7, "1 kB"),
        (1_000, "1 kB"),
        (5_840_000, "5.8 MB"),
        (123_400_000, "123 MB"),
        (999_960_000, "1 GB"),
        (1_200_000_000, "1.2 GB"),
        (1_234_000_000_000_000, "1,234 TB"),
    ],
)
def test_a_size_never_reaches_a_thousand_of_its_unit(number: float, text: str) -> None:
    assert size(number) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0, "0/s"), (0.25, "0.25/s"), (3.4, "3.4/s"), (99.96, "100/s"), (999.6, "1,000/s"), (15_342, "15,300/s")],
)
def test_a_rate_has_three_digits(per_second: float, text: str) -> None:
    assert rate(per_second) == text


def test_counts_have_commas_and_a_word_that_agrees() -> None:
    assert (counted(None), counted(7980)) == ("–", "7,980")
    assert [plural(number, "record") for number in (0, 1, 12_345)] == ["0 records", "1 record", "12,345 records"]
    assert plural(2, "entry", "entries") == "2 entries"


def test_a_cosine_just_short_of_1_is_not_shown_as_1() -> None:
    assert [similarity(value) for value in (None, 1.0, 0.9999999, 0.98)] == ["", "1", "1 − 1.0e-07", "0.98"]


@pytest.mark.parametrize(("settled", "shown", "told"), [(999_996, "99.9996 %", 99.99), (1_000_000, "100 %", 100.0)])
def test_a_migration_is_not_at_100_percent_before_all_is_settled(settled: int, shown: str, told: float) -> None:
    status = MigrationStatus(
        id="docs",
        status=Status.IN_PROGRESS,
        phase=Phase.COPYING,
        source="a",
        target="b",
        total_records=1_000_000,
        migrated_records=settled - 1,
        rejected_records=1,
        batches=1,
        created_at="",
    )
    assert (done(status), status.percentage) == (shown, told)


def test_nobody_formats_numbers_in_a_style_of_their_own() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in PACKAGE.rglob("*.py")
        if path != Path(figures.__file__)
        for line in own_formats(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_an_own_format_is_recognised_in_each_of_its_forms() -> None:
    code = """
f"{n:,} of them"
f"{seconds:.1f}"
f"{share:.2%}"
f"{value:g}"
f"waits {seconds} s"
f"{done} % done"
f"{len(rows)} records"
format(n, ",")
f"{plural(n, 'record')} {counted(n)} ids {duration(s)} {moment:%Y-%m-%d} {name:<10} {key}: {value}"
"""
    assert own_formats(code) == [2, 3, 4, 5, 6, 7, 8, 9]


_SPEC = re.compile(r",|(^|\.\d+|\})[fge%]$")
_UNIT = re.compile(r"( ?%(?!%)|/s\b)|(?: more)? (s|ms|min|h|d|B|kB|MB|GB|bytes?)\b")
_NOUN = re.compile(
    r"(?: more| known| other| different)? (records|ids|namespaces|tenants|shards|collections|migrations|fields|queries|"
    r"elements|entries|texts|characters|components|partitions|lines)\b"
)


def own_formats(code: str) -> list[int]:
    """Lines that turn a number into text without the functions of `figures`."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.JoinedStr):
            after = [*node.values[1:], ast.Constant("")]
            lines |= {part.lineno for part, then in zip(node.values, after, strict=True) if _formats(part, then)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "format":
            lines.add(node.lineno)
    return sorted(lines)


def _formats(part: ast.expr, then: ast.expr) -> bool:
    if not isinstance(part, ast.FormattedValue) or part.conversion != -1:
        return False
    if part.format_spec is not None:
        spec = ast.unparse(part.format_spec)[2:-1]
        return not spec.startswith("%") and bool(_SPEC.search(spec))
    if isinstance(part.value, ast.Call) and ast.unparse(part.value.func) not in ("len", "sum"):
        return False
    return isinstance(then, ast.Constant) and bool(_UNIT.match(str(then.value)) or _NOUN.match(str(then.value)))
