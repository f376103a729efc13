"""Cross-references: dangling ones are kept, a crash loses none, missing classes and targets are waited for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.adapters.weaviate.conftest import Place
from tests.conformance.data import read_all
from tests.emulators.weaviate import Emulator, Fault
from vectormigrate.errors import InvalidRequest, Unavailable
from vectormigrate.model.batch import Metadata, RecordBatch
from vectormigrate.model.schema import FieldType

pytestmark = pytest.mark.anyio

ONE, TWO, GONE = UUID(int=1), UUID(int=2), UUID(int=0xDEAD)


def beacon(name: str, key: UUID) -> str:
    return f"weaviate://localhost/{name}/{key}"


def batch(rows: dict[UUID, Any], namespace: str = "") -> RecordBatch:
    return RecordBatch(namespace, list(rows), {}, list(rows.values()))


def links(place: Place, name: str, key: UUID, prop: str, tenant: str = "") -> list[str]:
    """The beacons that the server itself has."""
    query = f"?tenant={tenant}" if tenant else ""
    held = place.rest("GET", f"/objects/{name}/{key}{query}")["properties"].get(prop) or []
    return [item["beacon"] for item in held]


def with_references(place: Place, **options: Any) -> tuple[str, str]:
    other = place.create(properties=[{"name": "t", "dataType": ["text"]}], **options)
    properties = [{"name": "t", "dataType": ["text"]}, {"name": "about", "dataType": [other]}]
    return place.create(properties=properties, **options), other


async def test_references_are_kept_in_order_with_duplicates_and_without_their_targets(place: Place) -> None:
    name, other = with_references(place)
    wanted = [beacon(other, UUID(int=number)) for number in (9, 3, 7, 3)]
    rows: dict[UUID, Metadata] = {ONE: {"t": "x", "about": [*wanted]}, TWO: {"about": []}}
    async with place.open(name) as target:
        assert await target.upsert(batch(rows)) == []
        assert links(place, name, ONE, "about") == wanted
        assert {key: row for (_, key), (row, _) in (await read_all(target)).items()} == {
            key: row for (_, key), (row, _) in (await read_all(target, 3)).items()
        }
        found = await target.fetch([TWO, ONE], "")
        assert found.metadata == [rows[TWO], rows[ONE]]
        assert await target.upsert(batch(rows)) == []
        assert links(place, name, ONE, "about") == wanted
        assert await target.upsert(batch({ONE: {"t": "y"}})) == []
        assert (await target.fetch([ONE], "")).metadata == [{"t": "y"}]
        field = (await target.describe()).column("about")
        assert field is not None
        assert (field.type, field.element, field.params["dataType"]) == (FieldType.LIST, FieldType.STRING, [other])


async def test_a_beacon_that_would_change_is_rejected(place: Place) -> None:
    name, other = with_references(place)
    bad = [
        str(ONE),
        "weaviate://elsewhere/X/1",
        beacon(name, ONE),
        beacon(other, ONE).upper(),
        beacon(other, ONE) + "/x",
    ]
    async with place.open(name) as target:
        rows: dict[UUID, Any] = {UUID(int=n + 1): {"about": [text]} for n, text in enumerate(bad)}
        rejects = await target.upsert(batch(rows))
        assert [reject.code for reject in rejects] == ["reference"] * len(bad)
        assert await target.count() == 0


async def test_a_page_joins_records_and_references_of_the_same_ids(place: Place) -> None:
    name, other = with_references(place)
    rows: dict[UUID, Any] = {
        UUID(int=n + 1): {"t": str(n), "about": [beacon(other, UUID(int=n + 1000))]} for n in range(37)
    }
    async with place.open(name) as target:
        assert await target.upsert(batch(rows)) == []
        (partition,) = await target.partitions(1)
        pages = [page async for page in target.scan(partition, page_rows=10)]
        assert [len(page.batch) for page in pages] == [10, 10, 10, 7]
        assert {
            key: row for page in pages for key, row in zip(page.batch.ids, page.batch.metadata, strict=True)
        } == rows


async def test_a_crash_between_objects_and_references_loses_none(near: Place, emulated: Emulator) -> None:
    name, other = with_references(near)
    rows: dict[UUID, Any] = {ONE: {"about": [beacon(other, TWO)]}}
    emulated.knobs.faults = [Fault(op="BatchReferences", kind="lose")]
    async with near.open(name) as target:
        with pytest.raises(Unavailable):
            await target.upsert(batch(rows))
        assert await target.upsert(batch(rows)) == []
    assert links(near, name, ONE, "about") == [beacon(other, TWO)]


async def test_with_tenants_a_reference_waits_for_its_target(place: Place) -> None:
    name = place.create(multiTenancyConfig={"enabled": True}, properties=[{"name": "t", "dataType": ["text"]}])
    place.rest("POST", f"/schema/{name}/properties", {"name": "next", "dataType": [name]})
    row: Metadata = {"next": [beacon(name, TWO), beacon(name, ONE)]}
    async with place.open(name) as target:
        assert await target.upsert(batch({ONE: row}, "a")) == []
        assert links(place, name, ONE, "next", "a") == [beacon(name, ONE)]
        assert (await target.fetch([ONE], "a")).metadata == [row]
    async with place.open(name) as target:
        with pytest.raises(InvalidRequest, match="wait for targets"):
            await target.finalize()
        assert await target.upsert(batch({TWO: {"t": "there"}}, "a")) == []
        await target.finalize()
        await target.finalize()
        assert links(place, name, ONE, "next", "a") == row["next"]
        assert (await target.fetch([ONE], "a")).metadata == [row]
    classes = [item["class"] for item in place.rest("GET", "/schema")["classes"]]
    assert f"VectormigratePending_{name}" not in classes


async def test_what_waits_is_forgotten_with_its_record(place: Place) -> None:
    name = place.create(multiTenancyConfig={"enabled": True})
    place.rest("POST", f"/schema/{name}/properties", {"name": "next", "dataType": [name]})
    async with place.open(name) as target:
        rows: dict[UUID, Any] = {key: {"next": [beacon(name, GONE)]} for key in (ONE, TWO)}
        assert await target.upsert(batch(rows, "a")) == []
        await target.delete([ONE], "a")
        assert await target.upsert(batch({TWO: {}}, "a")) == []
        await target.finalize()
        assert (await target.fetch([ONE, TWO], "a")).metadata == [{}]


async def test_dangling_references_can_be_dropped_where_the_server_refuses_them(place: Place) -> None:
    name = place.create(multiTenancyConfig={"enabled": True})
    place.rest("POST", f"/schema/{name}/properties", {"name": "next", "dataType": [name]})
    async with place.open(name, dangling_references="drop") as target:
        rows: dict[UUID, Any] = {ONE: {"next": [beacon(name, GONE), beacon(name, ONE)]}}
        assert await target.upsert(batch(rows, "a")) == []
        await target.finalize()
        assert (await target.fetch([ONE], "a")).metadata == [{"next": [beacon(name, ONE)]}]


async def test_a_reference_property_waits_for_its_class(place: Place) -> None:
    name, other = with_references(place)
    async with place.open(name) as source:
        schema = await source.describe()
    place.rest("DELETE", f"/schema/{other}")
    place.rest("DELETE", f"/schema/{name}")
    rows: dict[UUID, Any] = {ONE: {"t": "x", "about": [beacon(other, TWO)]}, TWO: {"about": []}}
    async with place.open(name) as target:
        await target.create(schema)
        assert await target.upsert(batch(rows)) == []
        assert (await target.fetch([ONE, TWO], "")).metadata == [*rows.values()]
        with pytest.raises(InvalidRequest, match="wait for targets"):
            await target.finalize()
        place.rest("POST", "/schema", {"class": other})
        await target.finalize()
        assert links(place, name, ONE, "about") == [beacon(other, TWO)]
        assert (await target.fetch([ONE, TWO], "")).metadata == [*rows.values()]
        fields = (await target.describe()).fields
        assert {(item.name, item.type) for item in fields} == {(item.name, item.type) for item in schema.fields}
