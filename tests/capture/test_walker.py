"""What the walkers read is what the protobuf and JSON libraries read, whatever the message holds besides."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.capture.requests import frame
from vectormigrate.adapter.json_walker import at, parsed, without_vectors
from vectormigrate.adapter.wire_walker import Unreadable, below, fields, int64s, text
from vectormigrate.adapters.milvus.proto import sp
from vectormigrate.adapters.qdrant.operations import wire_id
from vectormigrate.adapters.qdrant.proto import common, pb
from vectormigrate.adapters.weaviate.proto import batch
from vectormigrate.capture.walker import Frames, content, messages, unpacked

unsigned = st.integers(0, 2**64 - 1)
signed = st.integers(-(2**63), 2**63 - 1)


def varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


@st.composite
def strange_fields(draw: st.DrawFn) -> bytes:
    """Fields with numbers that no message here has, of every wire type but groups."""
    found = b""
    for _ in range(draw(st.integers(0, 3))):
        number, kind = draw(st.integers(3000, 2**29 - 1)), draw(st.sampled_from([0, 1, 2, 5]))
        value = {
            0: lambda: varint(draw(unsigned)),
            1: lambda: draw(st.binary(min_size=8, max_size=8)),
            2: lambda: (lambda data: varint(len(data)) + data)(draw(st.binary(max_size=200))),
            5: lambda: draw(st.binary(min_size=4, max_size=4)),
        }[kind]()
        found += varint(number << 3 | kind) + value
    return found


point_ids = st.one_of(
    st.builds(common.PointId, num=unsigned),
    st.builds(common.PointId, uuid=st.uuids().map(str)),
)


@st.composite
def points(draw: st.DrawFn) -> Any:
    point: Any = pb.PointStruct(id=draw(point_ids))
    if draw(st.booleans()):
        point.vectors.vector.dense.data.extend(draw(st.lists(st.floats(width=32, allow_nan=False), max_size=20)))
    for key in draw(st.lists(st.text(max_size=5), max_size=3)):
        point.payload[key].string_value = draw(st.text(max_size=20))
    return point


@given(st.lists(points(), max_size=5), strange_fields(), strange_fields())
def test_ids_of_points_are_those_that_the_vendor_s_message_holds(held: list[Any], before: bytes, after: bytes) -> None:
    message = pb.UpsertPoints(collection_name="c", points=held)
    data = before + message.SerializeToString() + after
    again = pb.UpsertPoints.FromString(data)
    wanted = [item.id.num if item.id.HasField("num") else UUID(item.id.uuid) for item in again.points]
    assert [wire_id(data, *place) for place in below(data, 0, len(data), (3, 1))] == wanted
    assert [text(data, *place) for place in below(data, 0, len(data), (1,))] == ["c"]


@given(point_ids, point_ids)
def test_of_an_id_that_is_there_twice_the_last_one_counts(first: Any, last: Any) -> None:
    data = first.SerializeToString() + last.SerializeToString()
    again = common.PointId.FromString(data)
    assert wire_id(data, 0, len(data)) == (again.num if again.HasField("num") else UUID(again.uuid))


@given(st.lists(st.lists(signed, max_size=5), max_size=3), st.lists(signed, max_size=3), st.booleans())
def test_integers_are_read_packed_and_one_by_one(packed: list[list[int]], single: list[int], first: bool) -> None:
    parts = [b"".join(sp.LongArray(data=items).SerializeToString() for items in packed)]
    parts.append(b"".join(b"\x08" + varint(item % 2**64) for item in single))
    data = b"".join(parts if first else reversed(parts))
    assert int64s(data, 0, len(data), 1) == list(sp.LongArray.FromString(data).data)


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.binary(max_size=30)), max_size=5), strange_fields())
def test_texts_in_repeated_messages_are_those_that_the_vendor_s_message_holds(
    items: list[tuple[str, str, str, bytes]], strange: bytes
) -> None:
    held = [
        batch.BatchObject(uuid=uuid, collection=name, tenant=tenant, vector_bytes=vector)
        for uuid, name, tenant, vector in items
    ]
    data = batch.BatchObjectsRequest(objects=held).SerializeToString() + strange
    for number, name in ((1, "uuid"), (4, "collection"), (5, "tenant")):
        found = [text(data, *place) for place in below(data, 0, len(data), (1, number))]
        assert found == [value for item in held if (value := getattr(item, name))]


@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_unreadable_and_nothing_worse(data: bytes) -> None:
    try:
        list(fields(data, 0, len(data)))
        read = True
    except Unreadable:
        read = False
    try:
        common.PointId.FromString(data)
        valid = True
    except Exception:  # the library's own error, and its error for a text that is not UTF-8
        valid = False
    assert read or not valid or any(byte & 7 in (3, 4) for byte in data)  # groups, which are refused here


@pytest.mark.parametrize(
    "data", [b"\x00\x00", b"\x0a", b"\x0a\x02a", b"\x08", b"\x08\xff", b"\x08" + b"\xff" * 10, b"\x0d123", b"\x0b\x0c"]
)
def test_truncated_and_malformed_messages_are_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        list(fields(data, 0, len(data)))


def test_numbers_of_64_bits_are_exact_and_longer_ones_cut_off_as_the_library_does() -> None:
    (field,) = fields(b"\x08" + varint(2**64 - 1), 0, 11)
    assert field[2] == 2**64 - 1
    longer = b"\x08" + b"\x81" + b"\x80" * 8 + b"\x7f"
    assert wire_id(longer, 0, 11) == common.PointId.FromString(longer).num


numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=8, max_size=40)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), signed, st.text(max_size=20), st.just('[1.5, "\\"] 0.25'), numbers),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)),
    max_leaves=20,
)


def emptied(value: Any) -> Any:
    """The value without lists of numbers, as far as they may be left out: those that hold a fraction."""
    if isinstance(value, dict):
        return {key: emptied(item) for key, item in value.items()}
    if isinstance(value, list):
        if any(isinstance(item, float) for item in value):
            return []
        return [emptied(item) for item in value]
    return value


@given(values, st.sampled_from([None, 1, 4]), st.booleans())
def test_a_body_without_its_vectors_differs_in_nothing_else(value: Any, indent: int | None, ascii_only: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode()
    slim = without_vectors(body)
    assert len(slim) <= len(body)
    assert emptied(json.loads(slim)) == emptied(value)


@given(values)
def test_integers_and_texts_are_never_cut_out(value: Any) -> None:
    def leaves(item: Any) -> list[Any]:
        if isinstance(item, dict):
            return [*item] + [leaf for part in item.values() for leaf in leaves(part)]
        if isinstance(item, list):
            fraction = any(isinstance(part, float) for part in item)
            return [] if fraction else [leaf for part in item for leaf in leaves(part)]
        return [item]

    body = json.dumps(value).encode()
    assert leaves(parsed(body)) == leaves(orjson.loads(body))


def test_long_lists_of_ids_stay_and_long_vectors_go() -> None:
    body = orjson.dumps({"ids": list(range(1000)), "vector": [n / 7 for n in range(1000)], "multi": [[0.5] * 30] * 3})
    assert parsed(body) == {"ids": list(range(1000)), "vector": [], "multi": [[], [], []]}


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=5), st.data())
def test_frames_are_put_together_however_the_body_is_cut(items: list[tuple[bytes, bool]], data: st.DataObject) -> None:
    body = b"".join(frame(gzip.compress(part), 1) if packed else frame(part) for part, packed in items)
    headers = {"grpc-encoding": "gzip"}
    assert messages(body, headers) == [part for part, _ in items]
    frames, found, position = Frames(headers), [], 0
    while position < len(body):
        size = data.draw(st.integers(1, len(body) - position))
        found += frames.feed(body[position : position + size])
        position += size
    assert found == [part for part, _ in items]
    assert frames.complete


def test_a_body_that_ends_within_a_frame_is_unreadable() -> None:
    body = frame(b"abc") + frame(b"def")
    for end in range(1, len(body)):
        if end not in (8, 16):
            with pytest.raises(Unreadable):
                messages(body[:end], {})


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (frame(b"abc", 1), {}),
        (frame(b"abc", 1), {"grpc-encoding": "snappy"}),
        (frame(b"abc", 1), {"grpc-encoding": "gzip"}),
        (frame(gzip.compress(b"abc", mtime=0)[:-1], 1), {"grpc-encoding": "gzip"}),
        (frame(b"abc", 2), {}),
        (b"\x00\xff\xff\xff\xff" + b"a" * 9, {}),
        (frame(b"abc"), {"content-encoding": "gzip"}),
    ],
)
def test_frames_that_cannot_be_unpacked_are_unreadable(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(Unreadable):
        messages(body, headers)


def test_what_unpacks_to_too_much_is_unreadable_before_it_is_unpacked() -> None:
    with pytest.raises(Unreadable):
        unpacked(gzip.compress(bytes(10_000_000)), "gzip", 1000)
    with pytest.raises(Unreadable):
        unpacked(gzip.compress(b"a" * 1001), "gzip", 1000)
    assert unpacked(gzip.compress(b"a" * 1000), "gzip", 1000) == b"a" * 1000


def test_trailers_of_grpc_web_are_no_message() -> None:
    assert messages(frame(b"abc") + frame(b"grpc-status: 0", 128), {}) == [b"abc"]


def test_bodies_are_unpacked_as_their_head_says() -> None:
    body = b'{"points": [1]}'
    assert content(body, {}) == content(body, {"content-encoding": "identity"}) == body
    assert content(gzip.compress(body[:5]) + gzip.compress(body[5:]), {"content-encoding": "gzip"}) == body
    assert content(zlib.compress(body), {"content-encoding": "deflate"}) == body
    for encoding in ("br", "zstd", "gzip, gzip", "snappy"):
        with pytest.raises(Unreadable):
            content(body, {"content-encoding": encoding})


def test_paths_lead_to_every_value_and_break_off_loudly() -> None:
    value = {"a": [{"b": 1}, {"b": 2}], "c": {"d": [3, 4]}, "e": None}
    assert at(value, "a[].b") == [1, 2]
    assert at(value, "c.d[]") == [3, 4]
    assert at([{"b": 1}], "[].b") == [1]
    assert at(value, "e[]") == at(value, "f.g[].h") == []
    for path in ("a.b", "c[]", "a[].c", "a[].b[]"):
        with pytest.raises(Unreadable):
            at(value, path)
