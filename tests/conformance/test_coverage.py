"""The manifest, the tests and the deviations name the same requirements."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import tests.conformance
from tests.conformance.requirements import REQUIREMENTS
from tests.harness.base import Harness, all_harnesses


def pinned() -> set[str]:
    """Requirement ids on the test functions of this folder."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(tests.conformance.__path__):
        if module.name.startswith("test_"):
            for item in vars(importlib.import_module(f"tests.conformance.{module.name}")).values():
                marks: list[pytest.Mark] = getattr(item, "pytestmark", []) if callable(item) else []
                found |= {name for mark in marks if mark.name == "requirement" for name in mark.args}
    return found


def test_every_requirement_has_a_test_and_every_test_a_known_requirement() -> None:
    assert pinned() == set(REQUIREMENTS)


@pytest.mark.parametrize("harness", all_harnesses(), ids=lambda harness: harness.name)
def test_deviations_name_known_requirements_and_give_a_reason(harness: Harness) -> None:
    for deviation in harness.deviations:
        assert deviation.requirement in REQUIREMENTS
        assert len(deviation.reason) > 10
