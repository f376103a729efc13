"""What every adapter must do: stable id -> behaviour and where the demand comes from.

Tests carry `@requirement("id")`. test_coverage.py fails on a requirement without a test and on an unknown id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Requirement:
    """One demanded behaviour."""

    behaviour: str
    source: str = "adapter.py"


REQUIREMENTS: dict[str, Requirement] = {
    "describe:returns-what-was-created": Requirement("Names, kinds, dims, metrics and dtypes come back as created."),
    "describe:missing-collection": Requirement("Any read of a collection that does not exist is CollectionNotFound."),
    "durability:survives-a-killed-writer": Requirement(
        "An acknowledged write survives SIGKILL of the writing process."
    ),
}


def requirement(*ids: str) -> Callable[[Any], Any]:
    """Marks a test with the requirements that it pins."""
    return pytest.mark.requirement(*ids)
