"""One emulator per test module; its knobs are as new for every test."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.emulators.pinecone import Emulator, Knobs, running


@pytest.fixture(scope="module")
def started() -> Generator[Emulator, None, None]:
    with running() as emulator:
        yield emulator


@pytest.fixture
def emulator(started: Emulator) -> Generator[Emulator, None, None]:
    started.requests()
    yield started
    for name, value in vars_of(Knobs()).items():
        setattr(started.knobs, name, value)
    started.check()


def vars_of(knobs: Knobs) -> dict[str, object]:
    """The settings by name."""
    return {name: getattr(knobs, name) for name in Knobs.__slots__}
