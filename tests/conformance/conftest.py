"""The `harness` fixture over every database, and deviations turned into xfail or deselection."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.harness.base import DeviationKind, Harness, all_harnesses


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): the behaviours of requirements.py that a test pins")


def _params() -> list[object]:
    return [pytest.param(harness, id=harness.name, marks=harness.marks) for harness in all_harnesses()]


@pytest.fixture(scope="session", params=_params())
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Harness, None, None]:
    """A running database, started once for all its tests."""
    chosen: Harness = request.param
    reason = chosen.unavailable()
    if reason is not None:
        pytest.skip(reason)
    with chosen.running(tmp_path_factory.mktemp(chosen.name)):
        yield chosen


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A deviating requirement is a strict xfail; one without meaning for the database is not run."""
    never: list[pytest.Item] = []
    for item in items:
        params = getattr(getattr(item, "callspec", None), "params", {})
        chosen = params.get("harness")
        if not isinstance(chosen, Harness):
            continue
        tested = {name for mark in item.iter_markers("requirement") for name in mark.args}
        for deviation in chosen.deviations:
            if deviation.requirement not in tested or (deviation.case or "") not in item.name:
                continue
            if deviation.kind is DeviationKind.NEVER:
                never.append(item)
            else:
                item.add_marker(pytest.mark.xfail(reason=f"{deviation.kind}: {deviation.reason}", strict=True))
    if never:
        config.hook.pytest_deselected(items=never)
        items[:] = [item for item in items if item not in never]
