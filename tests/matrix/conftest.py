"""Every ordered pair of the engines that can run here."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import ExitStack
from itertools import product

import pytest

from tests.harness.base import Harness, all_harnesses

NAMED = os.environ.get("VECTORMIGRATE_TEST_ONLY", "").split(",")
ENGINES = [harness for harness in all_harnesses() if harness.in_matrix or harness.name in NAMED]
"""The memory adapter with another's limits belongs to the conformance suite: its limits cannot be stored in a plan."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Generator[dict[str, Harness], None, None]:
    """All engines that can run here, started once a module: an idle Milvus server takes a seventh of a processor from
    the tests that follow."""
    with ExitStack() as stack:
        running: dict[str, Harness] = {}
        for harness in ENGINES:
            if harness.unavailable() is None:
                stack.enter_context(harness.running(tmp_path_factory.mktemp(harness.name)))
                running[harness.name] = harness
        yield running


EMBEDDED = {harness.name for harness in ENGINES if harness.exclusive}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the second metric the pairs with the memory adapter, of the less common collections the pairs of servers: an
    embedded engine is the same database. All of them when VECTORMIGRATE_TEST_ONLY names engines."""
    if NAMED != [""]:
        return
    spared = [item for item in items if _is_spared(item)]
    if spared:
        config.hook.pytest_deselected(items=spared)
        items[:] = [item for item in items if item not in spared]


def _is_spared(item: pytest.Item) -> bool:
    pair: tuple[str, str] = getattr(getattr(item, "callspec", None), "params", {}).get("pair", ("memory", "memory"))
    if item.path.name == "test_shapes.py":
        return bool(EMBEDDED & {*pair})
    return item.name.endswith("-l2]") and "memory" not in pair


@pytest.fixture(
    params=[
        pytest.param((a.name, b.name), id=f"{a.name}-{b.name}", marks=[*a.marks, *b.marks])
        for a, b in product(ENGINES, ENGINES)
    ]
)
def pair(request: pytest.FixtureRequest, started: dict[str, Harness]) -> tuple[Harness, Harness]:
    """Source and target; the same engine twice included."""
    names: tuple[str, str] = request.param
    missing = [name for name in names if name not in started]
    if missing:
        pytest.skip(f"{missing[0]} cannot run here")
    return started[names[0]], started[names[1]]
