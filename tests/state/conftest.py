"""An open state file with one migration in it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.state.support import make_plan
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import Lease, Store, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    """Holds the migration `orders` with the partitions `eu-0` and `eu-1`."""
    async with open_store(path) as opened:
        await opened.migrations.create(make_plan(), RunOptions())
        yield opened


@pytest.fixture
async def lease(store: Store) -> AsyncIterator[Lease]:
    """The right to run `orders`."""
    async with store.leases.hold("orders") as held:
        yield held
