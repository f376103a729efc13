"""What a class is besides its objects: carried, or named, with one line however many tenants there are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.adapters.weaviate.conftest import Place
from tests.emulators.weaviate import Emulator, Fault
from vectormigrate.adapters.weaviate.layout import layout_of
from vectormigrate.adapters.weaviate.settings import KNOWN, Around, settings_of
from vectormigrate.errors import CollectionNotFound
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.schema import Setting, Weight

pytestmark = pytest.mark.anyio


def states(place: Place, name: str) -> dict[str, str]:
    return {item["name"]: item["activityStatus"] for item in place.rest("GET", f"/schema/{name}/tenants")}


def named(settings: tuple[Setting, ...]) -> dict[str, Weight]:
    return {item.name: item.weight for item in settings}


async def test_empty_tenants_are_made_and_inactive_ones_are_so_again(place: Place) -> None:
    name = place.create(multiTenancyConfig={"enabled": True}, properties=[{"name": "t", "dataType": ["text"]}])
    cold = [f"cold{number}" for number in range(120)]
    place.rest("POST", f"/schema/{name}/tenants", [{"name": item} for item in ("empty", "full", *cold)])
    async with place.open(name) as source:
        assert await source.upsert(RecordBatch("full", [UUID(int=1)], {}, [{"t": "x"}])) == []
    for start in range(0, len(cold), 100):
        part = [{"name": item, "activityStatus": "COLD"} for item in cold[start : start + 100]]
        place.rest("PUT", f"/schema/{name}/tenants", part)
    async with place.open(name) as plain:
        (left_out,) = [item for item in (await plain.describe()).settings if "tenant" in item.name]
        assert (left_out.name, left_out.weight) == ("tenants", Weight.RECORDS)
        assert "120 tenants are not active ('cold0' is COLD" in left_out.detail
        assert len(left_out.detail) < 300
        assert "tenant-states" not in plain.capabilities.collection.settings
    async with place.open(name, activate_tenants=True) as source:
        shape = await source.describe()
        assert named(shape.settings)["tenant-states"] is Weight.SETTING
        empty = tuple([item for item in await source.namespaces() if not await source.count(item)])
    assert len(empty) == 121
    copy = place.name()
    async with place.open(copy, activate_tenants=True) as target:
        assert "tenant-states" in target.capabilities.collection.settings
        await target.create(replace(shape, name=copy, namespaces=empty))
        assert states(place, copy) == dict.fromkeys(empty, "HOT")
        await target.upsert(RecordBatch("full", [UUID(int=1)], {}, [{"t": "x"}]))
        await target.finalize()
        assert states(place, copy) == states(place, name)
        assert await target.count() == 1
        await target.finalize()
    assert states(place, copy) == states(place, name)
    assert "cold0" not in str(place.rest("GET", f"/schema/{copy}")["description"])


async def test_a_creation_that_fails_at_its_tenants_leaves_no_class(near: Place, emulated: Emulator) -> None:
    source = near.create(multiTenancyConfig={"enabled": True})
    copy = near.name()
    async with near.open(source) as first:
        shape = await first.describe()
    async with near.open(copy) as target:
        emulated.knobs.faults = [Fault(op="POST /schema", status=503, skip=1)]
        with pytest.raises(Exception, match=r"503|unavailable"):
            await target.create(replace(shape, namespaces=("a",)))
        with pytest.raises(CollectionNotFound):
            await target.describe()


async def test_aliases_are_told_and_so_is_that_they_could_not_be_read(near: Place, emulated: Emulator) -> None:
    name = near.create()
    near.rest("POST", "/aliases", {"alias": "Other", "class": name})
    near.rest("POST", "/aliases", {"alias": "Stranger", "class": near.create()})
    async with near.open(name) as source:
        (found,) = [item for item in (await source.describe()).settings if item.name == "aliases"]
        assert ("'Other'" in found.detail, "Stranger" in found.detail) == (True, False)
        emulated.knobs.faults = [Fault(op="GET /aliases", status=403)]
        (found,) = [item for item in (await source.describe()).settings if item.name == "aliases"]
        assert "could not be read" in found.detail


def test_modules_expiry_and_times_are_losses_and_defaults_say_nothing() -> None:
    base: dict[str, Any] = {"class": "C", "vectorizer": "none", "vectorIndexType": "hnsw", "vectorIndexConfig": {}}

    def found(**changes: Any) -> dict[str, Weight]:
        return named(settings_of(layout_of({**base, **changes}), Around()))

    assert found() == {"times": Weight.NOTICE}
    assert found(moduleConfig={"none": {}}) == {"times": Weight.NOTICE}
    title = {"name": "t", "dataType": ["text"], "moduleConfig": {"text2vec-x": {"skip": True}}}
    rich = found(
        vectorizer="text2vec-x",
        moduleConfig={"text2vec-x": {}, "generative-y": {}, "reranker-z": {}},
        properties=[title],
        objectTtlConfig={"enabled": True, "deleteOn": "_creationTimeUnix", "defaultTtl": 60},
        invertedIndexConfig={"indexTimestamps": True, "bm25": {"b": 0.5, "k1": 1.2}},
        replicationConfig={"factor": 3},
        shardingConfig={"desiredCount": 4},
        description="people's words",
        vectorIndexConfig={"ef": 200},
    )
    hard = ("vectorizer", "generative", "reranker", "property-modules", "ttl", "times")
    soft = ("inverted-index", "replication", "shards", "description", "index:")
    assert rich == {**dict.fromkeys(hard, Weight.BEHAVIOUR), **dict.fromkeys(soft, Weight.SETTING)}
    assert {name.partition(":")[0] for name in rich} <= KNOWN.keys()
    vectors = {"v": {"vectorizer": {"text2vec-x": {}}, "vectorIndexType": "hnsw", "vectorIndexConfig": {}}}
    shape = layout_of({"class": "C", "vectorConfig": vectors})
    assert named(settings_of(shape, Around()))["vectorizer"] is Weight.BEHAVIOUR
