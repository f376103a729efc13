"""Every property type, read as its users wrote it and written so that the vendor's client reads the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from tests.adapters.weaviate.conftest import Place
from vectormigrate.adapter import Target
from vectormigrate.adapters.weaviate.values import BadValue, date_text, moment_of
from vectormigrate.adapters.weaviate.values import place as place_of
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.schema import FieldType

pytestmark = pytest.mark.anyio

KINDS = ("text", "int", "number", "boolean", "date", "uuid")
NESTED = [
    {"name": "word", "dataType": ["text"]},
    {"name": "Count", "dataType": ["int"]},
    {"name": "day", "dataType": ["date"]},
    {"name": "days", "dataType": ["date[]"]},
    {"name": "raw", "dataType": ["blob"]},
    {"name": "ratio", "dataType": ["number"]},
    {"name": "parts", "dataType": ["object[]"], "nestedProperties": [{"name": "x", "dataType": ["number"]}]},
]
PROPERTIES: list[dict[str, Any]] = [
    *({"name": kind, "dataType": [kind]} for kind in (*KINDS, "geoCoordinates", "phoneNumber", "blob")),
    *({"name": f"{kind}s", "dataType": [f"{kind}[]"]} for kind in KINDS),
    {"name": "object", "dataType": ["object"], "nestedProperties": NESTED},
    {"name": "objects", "dataType": ["object[]"], "nestedProperties": NESTED},
]
KEY = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
MOMENT = datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
INNER: dict[str, Any] = {
    "word": "ä",
    "Count": -3,
    "day": "2024-02-29T12:00:00.123456789Z",
    "days": ["2024-02-29T12:00:00Z"],
    "raw": "AAEC",
    "ratio": 1.0,
    "parts": [{"x": 0.5}, {}, {"x": None}],
}
VALUES: dict[str, Any] = {
    "text": "é\0 \u2028 😀",
    "int": 2**53,
    "number": 5e-324,
    "boolean": False,
    "date": MOMENT,
    "uuid": KEY,
    "geoCoordinates": {"lat": float(np.float32(52.123456)), "lon": -4.5},
    "phoneNumber": {"input": "+49 171 1234567"},
    "blob": bytes(range(256)),
    "texts": ["", "b", ""],
    "ints": [1, -(2**53)],
    "numbers": [1.0, -0.0, 1e300],
    "booleans": [True, False],
    "dates": [MOMENT, "0000-01-01T00:00:00Z", "2024-02-29T12:00:00.123456789Z"],
    "uuids": [KEY],
    "object": INNER,
    "objects": [INNER, {}, {"word": None}],
}


async def write(target: Target, *rows: dict[str, Any]) -> list[Any]:
    ids = [UUID(int=number + 1) for number in range(len(rows))]
    return await target.upsert(RecordBatch("", list(ids), {}, list(rows)))


async def read(target: Target, number: int = 1) -> dict[str, Any]:
    (row,) = (await target.fetch([UUID(int=number)], "")).metadata
    return row


async def test_every_type_comes_back_as_it_was_written(place: Place) -> None:
    name = place.create(properties=PROPERTIES)
    async with place.open(name) as target:
        assert await write(target, VALUES) == []
        found = await read(target)
        phone: Any = found.pop("phoneNumber")
        assert phone["input"] == "+49 171 1234567"
        assert phone["countryCode"] == 49
        assert found == {key: value for key, value in VALUES.items() if key != "phoneNumber"}
        assert found["date"].utcoffset() == MOMENT.utcoffset()  # pyright: ignore[reportAttributeAccessIssue]
        assert type(found["number"]) is float
        assert [type(item) for item in found["numbers"]] == [float] * 3  # pyright: ignore[reportGeneralTypeIssues, reportOptionalIterable]
        assert await write(target, {**found, "phoneNumber": phone}) == []
        assert await read(target) == {**found, "phoneNumber": phone}


async def test_the_vendors_client_reads_the_same(place: Place) -> None:
    name = place.create(properties=PROPERTIES)
    plain = {key: value for key, value in VALUES.items() if key not in ("dates", "object", "objects")}
    async with place.open(name) as target:
        assert await write(target, plain) == []
    async with place.vendor() as client:
        wanted = [*plain]
        collection = client.collections.use(name)
        found = (await collection.query.fetch_object_by_id(UUID(int=1), return_properties=wanted)).properties
    assert found["date"] == MOMENT
    assert (found["uuid"], found["uuids"]) == (UUID(KEY), [UUID(KEY)])
    assert found["geoCoordinates"].latitude == VALUES["geoCoordinates"]["lat"]
    same = ("text", "int", "number", "boolean", "texts", "ints", "numbers", "booleans")
    assert {key: found[key] for key in same} == {key: VALUES[key] for key in same}


async def test_what_the_vendors_client_wrote_is_read(place: Place) -> None:
    name = place.create(properties=PROPERTIES)
    async with place.vendor() as client:
        values = {"text": "x", "int": 3, "number": 3, "date": MOMENT, "uuid": UUID(KEY), "texts": [], "objects": []}
        await client.collections.use(name).data.insert(values, uuid=UUID(int=1), vector=[1.0, 2.0])
    async with place.open(name) as target:
        assert await read(target) == {**values, "uuid": KEY, "number": 3.0}
        assert type((await read(target))["number"]) is float
        (vector,) = (await target.describe()).vectors
        assert (vector.name, vector.dim) == ("", 2)


async def test_empty_lists_stay_and_absent_properties_stay_absent(place: Place) -> None:
    name = place.create(properties=PROPERTIES)
    empty: dict[str, Any] = {f"{kind}s": [] for kind in KINDS} | {"text": "", "objects": [], "object": {}}
    async with place.open(name) as target:
        assert await write(target, empty, {}) == []
        assert await read(target) == empty
        assert await read(target, 2) == {}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("text", 1, "field_type"),
        ("text", "\ud800", "text"),
        ("int", 2**53 + 1, "integer"),
        ("int", 1.0, "field_type"),
        ("int", True, "field_type"),
        ("number", 1, "field_type"),
        ("number", float("nan"), "nonfinite"),
        ("boolean", 1, "field_type"),
        ("date", "2024-02-29T12:00:00Z", "field_type"),
        ("date", datetime(2024, 1, 1), "field_type"),
        ("uuid", KEY.upper(), "field_type"),
        ("geoCoordinates", {"lat": 0.1, "lon": 0.0}, "geo"),
        ("phoneNumber", {"number": "1"}, "field_type"),
        ("blob", b"", "blob"),
        ("texts", ["a", None], "field_type"),
        ("ints", [1, 2.0], "field_type"),
        ("object", {"other": 1}, "field_undeclared"),
        ("object", {"raw": "x"}, "blob"),
        ("objects", {}, "field_type"),
        ("other", 1, "field_undeclared"),
        ("text", None, "null"),
    ],
)
async def test_what_would_be_altered_is_rejected(place: Place, key: str, value: Any, code: str) -> None:
    name = place.create(properties=PROPERTIES)
    async with place.open(name) as target:
        (reject,) = await write(target, {key: value}, {"text": "kept"})
        assert (reject.id, reject.code) == (UUID(int=1), code)
        assert await target.count() == 1
        assert {item["name"] for item in place.rest("GET", f"/schema/{name}")["properties"]} == {
            item["name"] for item in PROPERTIES
        }


async def test_the_schema_names_every_type(place: Place) -> None:
    name = place.create(properties=[*PROPERTIES, {"name": "hash", "dataType": ["blobHash"]}])
    async with place.open(name) as target:
        schema = await target.describe()
    types = {item.name: (item.type, item.element) for item in schema.fields}
    assert types["date"] == (FieldType.DATETIME, None)
    assert types["uuids"] == (FieldType.LIST, FieldType.UUID)
    assert types["blob"] == (FieldType.BYTES, None)
    assert types["object"] == types["objects"] == (FieldType.JSON, None)
    assert types["object.day"] == (FieldType.STRING, None)
    assert any("blobHash" in item.detail for item in schema.settings)


@pytest.mark.parametrize(
    "text",
    ["0000-01-01T00:00:00Z", "2024-01-01T00:00:00.1234567Z", "9999-12-31T23:59:59.999999999-23:59"],
)
def test_dates_that_a_datetime_would_cut_stay_text(text: str) -> None:
    assert moment_of(text) == text
    assert date_text(text) == text


def test_dates_are_instants_with_their_offset() -> None:
    assert moment_of("2024-01-01T00:00:00.1000000Z") == datetime(2024, 1, 1, 0, 0, 0, 100000, tzinfo=UTC)
    assert date_text(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"
    odd = datetime(1890, 1, 1, tzinfo=timezone(timedelta(minutes=53, seconds=28)))
    assert moment_of(date_text(odd)) == odd
    with pytest.raises(BadValue):
        date_text("2024-13-01T00:00:00.1234567Z")


def test_places_are_checked_for_32_bits() -> None:
    assert place_of({"lat": 0.5, "lon": 1}) == {"latitude": 0.5, "longitude": 1.0}
    with pytest.raises(BadValue, match="32 bits"):
        place_of({"lat": 1 / 3, "lon": 0.0})


async def test_ids_stored_in_upper_case_are_found_and_removed(place: Place) -> None:
    name = place.create(properties=PROPERTIES)
    upper = KEY.upper()
    body = {"objects": [{"class": name, "id": upper, "properties": {"text": "x"}}]}
    place.rest("POST", "/batch/objects", body)
    async with place.open(name) as target:
        assert (await target.fetch([UUID(KEY)], "")).ids == [UUID(KEY)]
        await target.delete([UUID(KEY)], "")
        assert await target.count() == 0


async def test_a_vector_of_another_length_leaves_nothing_behind(place: Place) -> None:
    """The server itself stores such an object and then reports an error for it."""
    name = place.create(properties=PROPERTIES)
    async with place.open(name) as target:
        two = DenseColumn(np.ones((1, 2), np.float32))
        assert await target.upsert(RecordBatch("", [UUID(int=1)], {"": two}, [{}])) == []
    async with place.open(name) as target:
        three = DenseColumn(np.ones((1, 3), np.float32))
        (reject,) = await target.upsert(RecordBatch("", [UUID(int=2)], {"": three}, [{}]))
        assert reject.code == "dimension"
        assert await target.count() == 1
