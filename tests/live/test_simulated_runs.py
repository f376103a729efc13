"""The product's own code from the beginning of a live migration to its end, by a seed that decides what goes wrong.

A seed repeats its run exactly: `VECTORMIGRATE_TEST_SEED=17` plays that one. `VECTORMIGRATE_TEST_LONG` plays for hours.
"""

from __future__ import annotations

import gc
import os

import pytest

from tests.live.simulated.template import Template
from tests.live.simulated.world import World, simulate

SEEDS = 50_000 if os.environ.get("VECTORMIGRATE_TEST_LONG") else 40
PARTS = 4

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("simulated"),
    pytest.mark.timeout(0 if os.environ.get("VECTORMIGRATE_TEST_LONG") else 300),
]


def seeds(part: int) -> range | list[int]:
    """Those of a part of the tests; or the one that is asked for."""
    asked = os.environ.get("VECTORMIGRATE_TEST_SEED")
    if asked is None:
        return range(part, SEEDS, PARTS)
    return [int(asked)] if int(asked) % PARTS == part else []


def wrong(world: World) -> str:
    """What went wrong in a seed."""
    return f"seed {world.seed}: {world.script}: {world.wrong[:5]}" if world.wrong else ""


@pytest.mark.parametrize("part", range(PARTS))
def test_a_live_migration_ends_with_both_sides_as_the_application_left_them(template: Template, part: int) -> None:
    found: list[str] = []
    for number, seed in enumerate(seeds(part)):
        found.append(wrong(simulate(template, seed)))
        if number % 20 == 19:
            gc.collect()
    assert [each for each in found if each] == []


def test_a_seed_repeats_its_run(template: Template) -> None:
    first, second, other = (simulate(template, seed).trace.hexdigest() for seed in (5, 5, 6))
    assert first == second != other
