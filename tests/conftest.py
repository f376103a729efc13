"""Fixtures that every test may use."""

import os

import pytest

# The workers of pytest-xdist set it; the commands that the tests start would fold their tables at that width.
os.environ.pop("COLUMNS", None)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
