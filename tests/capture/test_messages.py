"""For messages of every shape, what is said to be touched is what the vendor's own message classes hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capture import tables
from tests.capture.requests import FACTS, GRPC, frame
from vectormigrate.adapter.operations import Chosen, Effect
from vectormigrate.capture.classify import Head, Touch, classify

METHODS = {
    name: sorted(row.path for row in tables.operations(name).rows if row.grpc and row.effect is Effect.KEYS)
    for name in ("qdrant", "weaviate", "milvus")
}
TEXTS = st.sampled_from(["numbers", "texts", "made", "pk", "docs", "_id", "pk in [1]", "", "ü"])
UUIDS = st.uuids().map(str)
DEPTH = 5


@st.composite
def messages(draw: st.DrawFn, descriptor: Any, depth: int = DEPTH) -> Any:
    """A message with some of its fields, down to a depth; fields of the vendors that hold UUIDs hold UUIDs."""
    kind: Any = descriptor._concrete_class
    message = kind()
    chosen = draw(st.lists(st.sampled_from(list(descriptor.fields)), max_size=4)) if descriptor.fields else []
    for field in chosen:
        if field.message_type is not None and (depth == 0 or field.message_type.GetOptions().map_entry):
            continue
        values = [draw(_value(field, depth)) for _ in range(draw(st.integers(1, 3)) if field.is_repeated else 1)]
        for value in values:
            if field.message_type is not None:
                place = getattr(message, field.name)
                (place.add() if field.is_repeated else place).CopyFrom(value)
            elif field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    return message


def _value(field: Any, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type, depth - 1)
    return {
        field.CPPTYPE_BOOL: st.booleans(),
        field.CPPTYPE_ENUM: st.sampled_from([0, 1]),
        field.CPPTYPE_DOUBLE: st.floats(allow_nan=False),
        field.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False),
        field.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        field.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        field.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        field.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
        field.CPPTYPE_STRING: st.binary(max_size=4) if field.type == field.TYPE_BYTES else _text(field.name),
    }[field.cpp_type]


def _text(name: str) -> st.SearchStrategy[str]:
    return UUIDS if name in ("uuid", "from_uuid") else TEXTS


def below(message: Any, without: frozenset[str]) -> Iterator[Any]:
    """The message and all within it, but for those of some kinds."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.name in without:
            continue
        if field.message_type.GetOptions().map_entry:
            continue
        for item in value if field.is_repeated else [value]:
            yield from below(item, without)


def exactly(touch: Touch) -> bool:
    """Whether no part of the request was beyond reading."""
    return not any(scope.chosen is Chosen.UNKNOWN for scope in touch.scopes)


def touched(name: str, path: str, message: Any) -> Touch:
    return classify(tables.operations(name), Head("POST", path, GRPC), frame(message.SerializeToString()), FACTS)


def said_ids(touch: Touch) -> list[str]:
    return sorted(str(item) for keys in touch.keys for item in keys.ids)


@pytest.mark.parametrize("path", METHODS["qdrant"])
@settings(max_examples=40)
@given(data=st.data())
def test_points(path: str, data: st.DataObject) -> None:
    message = data.draw(messages(tables.stub_methods("qdrant")[path].input_type))
    touch = touched("qdrant", path, message)
    inner = list(below(message, frozenset({"Filter", "Vectors", "VectorsSelector"})))
    held = [item for item in inner if item.DESCRIPTOR.name == "PointId"]
    wanted = sorted(str(item.num) if item.HasField("num") else item.uuid for item in held)
    filtered = any(field.name == "filter" for item in inner for field, _ in item.ListFields())
    if exactly(touch):
        assert said_ids(touch) == wanted
        assert {keys.collection for keys in touch.keys} <= {message.collection_name or None}
        assert filtered is any(scope.chosen is Chosen.FILTER for scope in touch.scopes)
    else:
        # Nothing is chosen at all, a record has no id, or an id has no value.
        records = [item for item in inner if item.DESCRIPTOR.name in ("PointStruct", "PointVectors")]
        bare = any(not record.HasField("id") for record in records)
        empty = any(item.WhichOneof("point_id_options") is None for item in held)
        assert bare or empty or not held or not filtered or path.endswith("UpdateBatch")


@pytest.mark.parametrize("path", [path for path in METHODS["weaviate"] if path.endswith(("Objects", "References"))])
@settings(max_examples=40)
@given(data=st.data())
def test_objects(path: str, data: st.DataObject) -> None:
    message = data.draw(messages(tables.stub_methods("weaviate")[path.removeprefix("/v1/grpc-web")].input_type))
    touch = touched("weaviate", path, message)
    items = list(message.objects if path.endswith("Objects") else message.references)
    uuids = [item.uuid if path.endswith("Objects") else item.from_uuid for item in items]
    if exactly(touch):
        assert said_ids(touch) == sorted(uuids)
        assert {keys.namespace for keys in touch.keys} == {item.tenant for item in items}
    else:
        names = [item.collection if path.endswith("Objects") else item.from_collection for item in items]
        assert "" in uuids or "" in names


@pytest.mark.parametrize("path", [path for path in METHODS["milvus"] if path.endswith(("Insert", "Upsert"))])
@settings(max_examples=40)
@given(data=st.data())
def test_columns(path: str, data: st.DataObject) -> None:
    message = data.draw(messages(tables.stub_methods("milvus")[path].input_type))
    touch = touched("milvus", path, message)
    columns = [column.scalars for column in message.fields_data if column.field_name == "pk"]
    wanted = [str(item) for column in columns for item in [*column.long_data.data, *column.string_data.data]]
    if exactly(touch):
        assert said_ids(touch) == sorted(wanted)
        partition = "" if message.partition_name == "_default" else message.partition_name
        assert {keys.namespace for keys in touch.keys} <= {partition}
        assert touch.assigned is (message.collection_name == "made")
    else:
        known = message.collection_name in FACTS and message.db_name in ("", "default")
        assert not known or not columns


@given(st.uuids())
def test_the_strategy_reaches_ids(value: UUID) -> None:
    # So that the properties above are not about empty messages alone.
    descriptor = tables.stub_methods("qdrant")["/qdrant.Points/Upsert"].input_type
    message: Any = descriptor._concrete_class()
    message.points.add().id.uuid = str(value)
    assert said_ids(touched("qdrant", "/qdrant.Points/Upsert", message)) == [str(value)]
