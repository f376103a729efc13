"""What a server holds, without a collection that is named."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest

from tests.conformance.data import batch, ids_of, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from tests.matrix.moving import endpoint
from vectormigrate.adapter import Listing, lister
from vectormigrate.adapter.vendor_errors import translated
from vectormigrate.config.settings import Settings
from vectormigrate.errors import CollectionNotFound, Unavailable
from vectormigrate.service.collections import holdings
from vectormigrate.service.doctor import connection_check

pytestmark = pytest.mark.anyio

NOWHERE = "vectormigrate"


async def listed(harness: Harness) -> Listing:
    ask = lister(harness.spec)
    assert ask is not None
    return await ask(harness.config(NOWHERE))


@requirement("list:every-collection")
async def test_every_collection_is_listed_and_a_dropped_one_no_more(harness: Harness) -> None:
    before = await listed(harness)
    assert before.server
    first, second = sorted((harness.new_name(), harness.new_name()))
    async with harness.fresh(harness.schema(name=second)), harness.fresh(harness.schema(name=first)):
        found = await listed(harness)
        assert {first, second} <= set(found.names)
        assert list(found.names) == sorted(set(found.names))
    after = await listed(harness)
    assert not {first, second} & set(after.names)
    assert after.server == found.server


@requirement("list:changes-nothing")
async def test_a_server_without_the_collection_answers_and_stays_without_it(harness: Harness) -> None:
    assert NOWHERE not in (await listed(harness)).names
    async with harness.open(NOWHERE) as opened:
        with pytest.raises(CollectionNotFound):
            await opened.describe()


@requirement("errors:unreachable")
async def test_an_unreachable_server_cannot_be_listed(harness: Harness) -> None:
    config, ask = harness.unreachable(), lister(harness.spec)
    if config is None:
        pytest.skip("there is no server to be unreachable")
    assert ask is not None
    translating = translated(harness.spec.classify, "list_collections")
    with pytest.raises(Unavailable), anyio.fail_after(60), translating:
        await ask(config)


@requirement("list:every-collection")
async def test_a_collection_is_shown_with_its_records_and_vectors(harness: Harness) -> None:
    schema = harness.schema(name=harness.new_name())
    async with harness.fresh(schema) as target:
        await write(target, batch(schema, ids_of(schema, range(12))))
        await target.finalize()
        found = await holdings(replace(endpoint(harness, NOWHERE), collection=""), lambda name: name == schema.name)
        (held,) = found.collections
        assert (held.name, held.records, held.problem) == (schema.name, 12, None)
        assert [(field.name, field.dim) for field in held.vectors] == [(v.name, v.dim) for v in schema.vectors]


@requirement("list:changes-nothing")
async def test_doctor_finds_a_healthy_server_without_a_collection_healthy(harness: Harness) -> None:
    found = await connection_check(Settings(), replace(endpoint(harness, NOWHERE), collection=""))
    assert found.ok, found.detail
    assert (await listed(harness)).server in found.detail
    missing = await connection_check(Settings(), endpoint(harness, NOWHERE))
    assert not missing.ok
    assert f"no collection {NOWHERE!r}" in missing.detail
