"""Every fault has a test, and every test names faults that exist."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.live.faults import FAULTS

TESTS = Path(__file__).parents[1]


def pinned() -> dict[int, list[str]]:
    """The ids of the tests of each number, read from the sources."""
    found: dict[int, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text("utf-8")
        if "@fault(" in text:
            for name, number in _marks(ast.parse(text)):
                found.setdefault(number, []).append(f"{path.relative_to(TESTS)}::{name}")
    return found


def _marks(module: ast.Module) -> Iterator[tuple[str, int]]:
    for item in module.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and item.name.startswith("test_"):
            for mark in item.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "fault":
                    for argument in mark.args:
                        yield item.name, ast.literal_eval(argument)


def test_every_fault_has_a_test_and_every_test_a_known_fault() -> None:
    assert set(pinned()) == FAULTS.keys()
    assert FAULTS.keys() == set(range(1, 41))
