"""The manifest and the tests name the same requirements."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import tests.server
from tests.server.requirements import REQUIREMENTS


def pinned() -> set[str]:
    """Requirement ids on the test functions of this folder."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(tests.server.__path__):
        if module.name.startswith("test_"):
            for item in vars(importlib.import_module(f"tests.server.{module.name}")).values():
                marks: list[pytest.Mark] = getattr(item, "pytestmark", []) if callable(item) else []
                found |= {name for mark in marks if mark.name == "requirement" for name in mark.args}
    return found


def test_every_requirement_has_a_test_and_every_test_a_known_requirement() -> None:
    assert pinned() == set(REQUIREMENTS)
