"""Tenants as namespaces, their states, and giving these back."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.adapters.weaviate.conftest import Place
from tests.conformance.data import read_all
from tests.emulators.weaviate import Emulator, Fault
from vectormigrate.errors import InvalidRequest, Unavailable
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.schema import Weight

pytestmark = pytest.mark.anyio


async def divided(place: Place, **cold: str) -> str:
    """A class with the tenants a (active), b and c with three records each; `cold` gives states."""
    name = place.create(multiTenancyConfig={"enabled": True}, properties=[{"name": "t", "dataType": ["text"]}])
    async with place.open(name) as target:
        for tenant in ("a", "b", "c"):
            records = [UUID(int=number + 1) for number in range(3)]
            assert await target.upsert(RecordBatch(tenant, list(records), {}, [{"t": tenant}] * 3)) == []
    for tenant, state in cold.items():
        place.rest("PUT", f"/schema/{name}/tenants", [{"name": tenant, "activityStatus": state}])
    return name


def states(place: Place, name: str) -> dict[str, str]:
    return {item["name"]: item["activityStatus"] for item in place.rest("GET", f"/schema/{name}/tenants")}


async def test_inactive_tenants_are_left_out_named_and_refused(place: Place) -> None:
    name = await divided(place, b="COLD")
    async with place.open(name) as source:
        assert await source.namespaces() == ["a", "c"]
        assert await source.count() == 6
        (left_out,) = (item for item in (await source.describe()).settings if "tenant" in item.name)
        assert left_out.weight is Weight.RECORDS
        assert "'b' is COLD" in left_out.detail
        assert "activate_tenants" in left_out.detail
        for call in (source.count("b"), source.partitions(1, ["b"]), source.fetch([UUID(int=1)], "b")):
            with pytest.raises(InvalidRequest, match=r"'b'.*activate_tenants"):
                await call
    assert states(place, name) == {"a": "HOT", "b": "COLD", "c": "HOT"}


async def test_activated_tenants_are_read_and_get_their_state_back(place: Place) -> None:
    name = await divided(place, b="COLD", c="COLD")
    async with place.open(name, activate_tenants=True) as source:
        assert not any(item.name == "tenants" for item in (await source.describe()).settings)
        assert await source.namespaces() == ["a", "b", "c"]
        assert len(await read_all(source, 6)) == 9
        assert states(place, name) == {"a": "HOT", "b": "HOT", "c": "HOT"}
    assert states(place, name) == {"a": "HOT", "b": "COLD", "c": "COLD"}


async def test_the_state_is_given_back_after_an_error(near: Place, emulated: Emulator) -> None:
    name = await divided(near, b="COLD", c="FROZEN")

    async def fail() -> None:
        async with near.open(name, activate_tenants=True) as source:
            assert await source.count("b") == await source.count("c") == 3
            emulated.knobs.faults = [Fault(op="Search")]
            await read_all(source)

    with pytest.raises(Unavailable):
        await fail()
    assert states(near, name) == {"a": "HOT", "b": "COLD", "c": "FROZEN"}


async def test_a_tenant_that_is_switched_off_during_a_scan(near: Place, emulated: Emulator) -> None:
    name = await divided(near)
    for options in ({}, {"activate_tenants": True}):
        near.rest("PUT", f"/schema/{name}/tenants", [{"name": "a", "activityStatus": "HOT"}])
        async with near.open(name, **options) as source:
            (partition,) = await source.partitions(1, ["a"])
            emulated.knobs.cold_after = {(name, "a"): 1}
            pages = source.scan(partition, page_rows=1)
            assert len((await anext(pages)).batch) == 1
            if not options:
                with pytest.raises(InvalidRequest, match="activate_tenants"):
                    await anext(pages)
            else:
                emulated.knobs.cold_after = {(name, "a"): 0}
                assert len([page async for page in pages]) == 2
            await pages.aclose()
            emulated.knobs.cold_after = {}
    assert states(near, name)["a"] == "COLD"


async def test_a_tenant_is_made_by_its_first_write_and_a_bad_name_is_rejected(place: Place) -> None:
    name = await divided(place)
    async with place.open(name) as target:
        for namespace, legal in (("new-1", True), ("with space", False), ("", False), ("x" * 65, False)):
            rejects = await target.upsert(RecordBatch(namespace, [UUID(int=1)], {}, [{}]))
            assert [reject.code for reject in rejects] == ([] if legal else ["namespace"])
        assert await target.namespaces() == ["a", "b", "c", "new-1"]
    plain = place.create()
    async with place.open(plain) as target:
        (reject,) = await target.upsert(RecordBatch("a", [UUID(int=1)], {}, [{}]))
        assert reject.code == "namespace"
        assert await target.count("a") == 0
