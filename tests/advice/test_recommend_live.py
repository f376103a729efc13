"""Recommendations from a sample of a real collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vectormigrate import registry
from vectormigrate.advice.evidence import value_type
from vectormigrate.advice.recommend import support
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import UnknownAdapter
from vectormigrate.model.answers import FieldEvidence, Recommendation
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField, Metric, VectorField, VectorKind
from vectormigrate.service import open_service

pytestmark = pytest.mark.anyio

VECTOR = VectorField(name="v", kind=VectorKind.DENSE, dim=4, metric=Metric.DOT)
START = datetime(2024, 1, 31, 12, 0, 0, tzinfo=UTC)


async def filled(rows: Sequence[Metadata], *, namespaces: int = 1, fields: tuple[MetadataField, ...] = ()) -> Endpoint:
    """A collection in memory with these records."""
    place = Endpoint(type="memory", url=f"memory://{uuid4().hex}", collection="docs")
    async with open_endpoint(place) as target:
        schema = CollectionSchema(name="docs", id_kinds=frozenset({IdKind.INT64}), vectors=(VECTOR,), fields=fields)
        await target.create(schema)
        for number in range(namespaces):
            part = list(rows[number::namespaces])
            values = np.ones((len(part), 4), np.float32)
            name = "" if namespaces == 1 else f"n{number}"
            ids: list[Any] = list(range(number, len(rows), namespaces))
            assert await target.upsert(RecordBatch(name, ids, {"v": DenseColumn(values)}, part)) == []
    return place


async def recommended(place: Endpoint, target: str, tmp_path: Path, sample: int = 10_000) -> Recommendation:
    async with open_service(state=tmp_path / "state.db") as service:
        return await service.recommend(place, target, sample)


def rows(count: int) -> list[Metadata]:
    """Records of every shape."""
    return [
        {
            "when": (START + timedelta(hours=n)).isoformat().replace("+00:00", "Z"),
            "day": f"2024-02-{n % 28 + 1:02d}",
            "key": str(UUID(int=n)),
            "kind": f"k{n % 7}",
            "title": f"title number {n}",
            "prose": "word " * 60 + str(n),
            "year": 1900 + n % 120,
            "score": n / 7 if n % 2 else n,
            "one": "same",
            "place": {"lat": n % 90 + 0.5, "lon": 13.0},
            "tags": [f"t{n % 5}", "all"],
            "embedding": [0.5, float(n), 1.0],
            "deep": {"inner": {"level": n % 3}},
            "mixed": n if n % 4 else "text",
            "none": None,
            **({"rare": True} if n % 10 == 0 else {}),
        }
        for n in range(count)
    ]


def evidence(answer: Recommendation) -> Mapping[str, FieldEvidence]:
    return {item.field: item for item in answer.evidence}


async def test_types_indexes_and_figures_are_those_of_the_values(tmp_path: Path) -> None:
    answer = await recommended(await filled(rows(200)), "qdrant_edge", tmp_path)
    found = evidence(answer)
    assert {name: (item.type, item.element, item.index) for name, item in found.items()} == {
        "when": ("datetime", None, "datetime"),
        "day": ("datetime", None, "datetime"),
        "key": ("uuid", None, "uuid"),
        "kind": ("string", None, "string"),
        "title": ("string", None, None),
        "prose": ("text", None, None),
        "year": ("int64", None, "int64"),
        "score": ("float64", None, "float64"),
        "one": ("string", None, None),
        "place": ("geo", None, "geo"),
        "place.lat": ("float64", None, None),
        "place.lon": ("float64", None, None),
        "tags": ("list", "string", "string"),
        "embedding": ("list", "float64", "float64"),
        "deep": ("json", None, None),
        "deep.inner": ("json", None, None),
        "deep.inner.level": ("int64", None, "int64"),
        "mixed": ("int64", None, "int64"),
        "none": (None, None, None),
        "rare": ("bool", None, None),
    }
    assert (found["rare"].records, found["rare"].missing, found["none"].nulls) == (20, 180, 200)
    assert (found["kind"].distinct, found["title"].distinct, found["kind"].max_bytes) == (7, 200, 2)
    assert (found["year"].min_int, found["year"].max_int) == (1900, 2019)
    assert (found["embedding"].fixed_list, found["embedding"].longest_list, found["deep.inner.level"].depth) == (
        3,
        3,
        3,
    )
    assert (found["mixed"].share, found["mixed"].kinds) == (0.75, {"int": 150, "string": 50})
    assert (answer.sampled, answer.records) == (200, 200)


async def test_the_recommended_schema_can_be_created_and_its_indexes_are_there(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    answer = await recommended(await filled(rows(60)), "qdrant_edge", tmp_path)
    assert answer.target_schema is not None
    assert answer.target_schema.vectors[0].index == {"type": "hnsw", "m": 16, "ef_construct": 128}
    place = Endpoint(type="qdrant_edge", url=str(tmp_path / "edge"), collection="docs")
    async with open_endpoint(place) as target:
        await target.create(answer.target_schema)
        made = {item.name: (item.type, item.element) for item in (await target.describe()).fields}
    assert made["when"] == made["day"] == (FieldType.DATETIME, None)
    assert made["place"] == (FieldType.GEO, None)
    assert made["tags"] == (FieldType.LIST, FieldType.STRING)
    assert made["deep.inner.level"] == (FieldType.INT64, None)
    assert not {"title", "prose", "one", "deep", "place.lat"} & made.keys()


async def test_one_text_that_is_no_date_makes_the_field_a_text(tmp_path: Path) -> None:
    dates: list[Metadata] = [{"when": "2024-01-31", "kind": "a"} for _ in range(30)]
    dates[17] = {"when": "2024-02-30", "kind": "b"}
    answer = await recommended(await filled(dates), "qdrant_edge", tmp_path)
    item = evidence(answer)["when"]
    assert (item.type, item.share, item.index) == ("string", 1.0, "string")


async def test_dates_of_a_source_that_has_dates_get_the_date_index(tmp_path: Path) -> None:
    dates: list[Metadata] = [{"when": START + timedelta(days=n)} for n in range(10)]
    field = MetadataField(name="when", type=FieldType.DATETIME, indexed=True)
    answer = await recommended(await filled(dates, fields=(field,)), "qdrant_edge", tmp_path)
    assert answer.target_schema is not None
    assert [(item.name, item.type) for item in answer.target_schema.fields] == [("when", FieldType.DATETIME)]
    (line,) = [line for line in answer.field_mappings if line.source_field == "when"]
    assert (line.conversion_needed, line.confidence) == (True, 0.8)
    assert "datetime-type: datetimes become RFC 3339 strings (reversible)" in answer.warnings


async def test_every_loss_is_named_and_counted_in_the_sample(tmp_path: Path) -> None:
    data: list[Metadata] = [{"blob": b"\x00", "n": float("nan"), "maybe": None} for _ in range(12)]
    answer = await recommended(await filled(data), "qdrant_edge", tmp_path)
    counted = {loss.name: loss.count for loss in answer.losses}
    assert counted["bytes-type"] == counted["nonfinite-values"] == 12
    assert {loss.name for loss in answer.losses} <= {text.partition(": ")[0] for text in answer.warnings}


@pytest.mark.parametrize("target", registry.names())
async def test_every_target_gets_a_recommendation_for_everything(target: str, tmp_path: Path) -> None:
    data = [{key: value for key, value in row.items() if key != "none"} for row in rows(40)]
    answer = await recommended(await filled(data), target, tmp_path)
    assert answer.target_schema is not None
    assert 0.5 < answer.overall_confidence <= 1
    lines = {line.source_field for line in answer.field_mappings}
    assert {"id", "v", "when", "tags", "deep.inner.level"} <= lines
    types = {item.type for item in answer.target_schema.fields if item.indexed}
    assert types <= registry.load(target).capabilities.metadata.index_types
    assert answer.target_schema.note is None


async def test_confidence_grows_with_what_was_read_and_is_one_when_all_was(tmp_path: Path) -> None:
    place = await filled([{"n": n, "mixed": n if n % 4 else "x"} for n in range(900)], namespaces=3)
    found: list[dict[str, float]] = []
    for sample in (3, 30, 300, 900):
        answer = await recommended(place, "memory", tmp_path, sample)
        assert answer.sampled == sample
        found.append({line.source_field: line.confidence for line in answer.field_mappings})
    assert [line["n"] for line in found] == sorted({line["n"] for line in found})
    assert found[-1] == {"id": 1.0, "v": 1.0, "n": 1.0, "mixed": 0.75}
    assert found[0]["n"] == round(support(3, 3 / 900), 4) == 0.5266


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1))
def test_support_is_a_share_that_grows_with_values_and_with_the_part_read(
    seen: int, more: int, read: float, rest: float
) -> None:
    low = support(seen, read)
    assert 0 <= low <= 1
    assert low <= support(seen + more, read)
    assert low <= support(seen, read + (1 - read) * rest) + 1e-12
    assert support(more, 1.0) == 1.0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("2024-01-31", FieldType.DATETIME),
        ("2024-01-31T10:00:00Z", FieldType.DATETIME),
        ("2024-01-31 10:00:00.123456+02:00", FieldType.DATETIME),
        ("2024-01-31T10:00:00.123456789Z", FieldType.DATETIME),
        ("2024-13-01", FieldType.STRING),
        ("20240131", FieldType.STRING),
        ("2024-01-31T10:00:00 Z", FieldType.STRING),
        ("٢٠٢٤-01-31", FieldType.STRING),
        ("7F3D5A10-0000-4000-8000-000000000001", FieldType.UUID),
        ("7f3d5a1000004000800000000000001", FieldType.STRING),
        ("", FieldType.STRING),
    ],
)
def test_texts_are_dates_and_uuids_only_in_forms_that_indexes_read(text: str, kind: FieldType) -> None:
    assert value_type(text) is kind


async def test_an_unknown_target_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    place = replace(await filled(rows(1)), collection="missing")
    with pytest.raises(UnknownAdapter, match="'nosuch'"):
        await recommended(place, "nosuch", tmp_path)
