"""Creating and describing a collection."""

from __future__ import annotations

import pytest

from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from vectormigrate.errors import CollectionNotFound

pytestmark = pytest.mark.anyio


@requirement("describe:returns-what-was-created")
async def test_describe_returns_the_shape_that_was_created(harness: Harness) -> None:
    wanted = harness.schema(name=harness.new_name())
    async with harness.fresh(wanted) as target:
        found = await target.describe()
    assert found.name == wanted.name
    assert found.id_kinds >= wanted.id_kinds
    assert found.vectors == wanted.vectors


@requirement("describe:missing-collection")
async def test_a_missing_collection_is_reported_as_missing(harness: Harness) -> None:
    async with harness.open(harness.new_name()) as target:
        with pytest.raises(CollectionNotFound):
            await target.describe()
        with pytest.raises(CollectionNotFound):
            await target.count()
