"""Where an index is, how it is protected and what it may do is carried, or named: nothing about it changes unseen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from tests.adapters.pinecone.support import config, dense, fresh, opened, schema, sdk
from tests.emulators.pinecone import Emulator
from vectormigrate.errors import CollectionNotFound, VectorMigrateError
from vectormigrate.model.schema import Weight

pytestmark = pytest.mark.anyio

OWN = {"deployment_type": "byoc", "environment": "aws-eu-central-1-b921"}
NODES = {"node_type": "b1", "scaling": "Manual", "manual": {"shards": 2, "replicas": 0}}
GUARDED: dict[str, Any] = {
    "deployment": OWN,
    "cmek_id": "key-1",
    "deletion_protection": "enabled",
    "read_capacity": {"mode": "Dedicated", "dedicated": NODES},
    "tags": {"team": "x"},
}
"""An index with everything that can be chosen for one."""

SAFETY = {"byoc", "cmek", "deletion-protection"}


async def guarded(emulator: Emulator, name: str) -> None:
    """Made by Pinecone's own client."""
    async with sdk(emulator) as theirs:
        fields = {"_values": {"type": "dense_vector", "dimension": 3, "metric": "cosine"}}
        await theirs.indexes.create(name=name, schema={"fields": fields}, **GUARDED)


async def unprotect(emulator: Emulator, name: str) -> None:
    async with sdk(emulator) as theirs:
        await theirs.indexes.configure(name, deletion_protection="disabled")
        await theirs.indexes.delete(name)


async def test_place_encryption_protection_and_capacity_are_those_of_the_origin(emulator: Emulator) -> None:
    await guarded(emulator, "own")
    async with opened(emulator, "own") as index:
        shape = await index.describe()
    assert {item.name: item.weight for item in shape.settings} == {
        **dict.fromkeys(SAFETY, Weight.SAFETY),
        **dict.fromkeys(("read-capacity", "tags"), Weight.SETTING),
    }
    async with opened(emulator, "copy") as index:
        assert index.capabilities.collection.settings >= {item.name for item in shape.settings}
        assert index.capabilities.collection.known_settings.items() >= {
            (item.name, item.weight) for item in shape.settings
        }
        await index.create(shape)
        assert replace(await index.describe(), name="own") == shape
        await index.finalize()
        assert replace(await index.describe(), name="own") == shape
    first, second = emulator.index("own"), emulator.index("copy")
    for key in ("deployment", "cmek_id", "deletion_protection", "read_capacity", "tags"):
        assert getattr(first, key) == getattr(second, key), key
    for name in ("own", "copy"):
        await unprotect(emulator, name)


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"cloud": "aws", "region": "us-east-1"}, "byoc"),
        ({"cmek_id": "none"}, "cmek"),
        ({"deletion_protection": False}, "deletion-protection"),
        ({"dedicated_reads": False}, "read-capacity"),
    ],
)
async def test_what_the_operator_chose_otherwise_is_not_promised(
    emulator: Emulator, options: dict[str, Any], missing: str
) -> None:
    await guarded(emulator, "own")
    async with opened(emulator, "own") as index:
        shape = await index.describe()
    async with opened(emulator, "copy", **options) as index:
        assert {item.name for item in shape.settings} - index.capabilities.collection.settings == {missing}
        await index.create(shape)
        await index.finalize()
        left = {item.name for item in (await index.describe()).settings}
        assert left == {item.name for item in shape.settings} - {missing}
    await unprotect(emulator, "own")
    await unprotect(emulator, "copy")


async def test_a_place_that_nobody_chose_is_said(emulator: Emulator) -> None:
    async with opened(emulator, "copy") as index:
        (told,) = index.capabilities.collection.defaults
        await index.create(schema())
        made = emulator.index("copy").deployment
        assert f"{made['cloud']} {made['region']}" in told
        await index.describe()
        assert index.capabilities.collection.defaults == ()
        await index.drop()
    for options in ({"cloud": "gcp", "region": "us-central1"}, {"environment": "own"}):
        async with opened(emulator, "copy", **options) as index:
            assert index.capabilities.collection.defaults == ()


@pytest.mark.parametrize("options", [{"cloud": "gcp"}, {"region": "eu-west-1"}])
def test_half_a_place_is_refused_instead_of_made_up(emulator: Emulator, options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="give both"):
        config(emulator, "copy", **options)


async def test_a_key_that_the_target_project_lacks_is_an_error_and_no_unencrypted_copy(emulator: Emulator) -> None:
    await guarded(emulator, "own")
    async with opened(emulator, "own") as index:
        shape = await index.describe()
    emulator.knobs.cmek_ids = frozenset()
    async with opened(emulator, "copy") as index:
        with pytest.raises(VectorMigrateError, match="key-1"):
            await index.create(shape)
        with pytest.raises(CollectionNotFound):
            await index.describe()
    await unprotect(emulator, "own")


async def test_a_list_of_filterable_fields_cannot_be_made_again_and_is_named(emulator: Emulator) -> None:
    async with fresh(emulator) as (index, name):
        emulator.index(name).fields["genre"] = {"filterable": True}
        (found,) = (await index.describe()).settings
        assert (found.name, found.weight) == ("filterable", Weight.BEHAVIOUR)
        assert "genre" in found.detail
        assert "filterable" not in index.capabilities.collection.settings


@pytest.mark.parametrize("kind", ["vector", "document"])
async def test_empty_namespaces_are_made(emulator: Emulator, kind: str) -> None:
    name = "values" if kind == "vector" else "body"
    async with fresh(emulator, schema(dense(name), namespaces=("a", "b")), index_kind=kind) as (index, _):
        await index.finalize()
        assert [item for item in await index.namespaces() if item] == ["a", "b"]
        assert await index.count() == 0
