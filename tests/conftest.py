"""Fixtures that every test may use."""

import os

import pytest
from hypothesis import HealthCheck, settings

# The workers of pytest-xdist set it; the commands that the tests start would fold their tables at that width.
os.environ.pop("COLUMNS", None)

# The commands that the tests start compile the package once, not each of hundreds for itself.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A limit of time per example would test the machine; everything else is as the environment has it.
settings.register_profile("no deadline", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no deadline")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
