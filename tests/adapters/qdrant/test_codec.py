"""Vectors and payloads to bytes and back, both forms of the wire, without a server."""

from __future__ import annotations

import json
import math
import random
import struct
from dataclasses import replace
from typing import Any
from uuid import UUID

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("qdrant_client")

from tests.emulators.qdrant.messages import put_value
from vectormigrate.adapter.json_floats import EXACT_FIELD, as_returned, may_become, protect, restore
from vectormigrate.adapters.qdrant import decode, encode_points
from vectormigrate.adapters.qdrant import rest_json as jsons
from vectormigrate.adapters.qdrant.ids import from_message, message, next_id, order
from vectormigrate.adapters.qdrant.proto import pb
from vectormigrate.adapters.qdrant.rejects import GRPC_LEVELS, fits_grpc
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import Metric, VectorField, VectorKind

DENSE = VectorField(name="d", kind=VectorKind.DENSE, dim=5, metric=Metric.DOT)
SPARSE = VectorField(name="s", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT)
MULTI = VectorField(name="m", kind=VectorKind.MULTI, dim=3, metric=Metric.DOT)

OFFSETS = np.array([0, 2, 3], np.int64)
BATCH = RecordBatch(
    "",
    [7, UUID(int=2**127 + 5)],
    {
        "d": DenseColumn(
            np.array([[1, -0.0, 1e-45, 3e38, 1 / 3], [0, 0, 0, 0, 0]], np.float32), valid=np.array([True, False])
        ),
        "s": SparseColumn(OFFSETS, np.array([0, 2**32 - 2, 5], np.uint32), np.array([1, 2, 3], np.float32)),
        "m": MultiColumn(OFFSETS, np.arange(9, dtype=np.float32).reshape(3, 3)),
    },
    [{"a": 1, "b": None, "c": [1.0, {"x": True}], "d": -(2**63), "": {"e.f": "\0"}}, {}],
)


def output(old: bool) -> list[Any]:
    """The points of BATCH as a server returns them, `old`: as those before 1.17 do."""
    sent = encode_points.points(BATCH, [0, 1], dict(enumerate(BATCH.metadata)), single=False)
    request = pb.UpsertPoints.FromString(sent)
    answer = pb.ScrollResponse()
    for point in request.points:
        found = answer.result.add(id=point.id)
        for key, value in point.payload.items():
            found.payload[key].CopyFrom(value)
        for name, vector in point.vectors.vectors.vectors.items():
            target = found.vectors.vectors.vectors[name]
            if not old:
                target.MergeFromString(vector.SerializeToString())
            elif vector.HasField("dense"):
                target.data.extend(vector.dense.data)
            elif vector.HasField("sparse"):
                target.data.extend(vector.sparse.values)
                target.indices.data.extend(vector.sparse.indices)
            else:
                target.data.extend([number for row in vector.multi_dense.vectors for number in row.data])
                target.vectors_count = len(vector.multi_dense.vectors)
    return list(pb.ScrollResponse.FromString(answer.SerializeToString()).result)


@pytest.mark.parametrize("old", [False, True])
def test_grpc_vectors_come_back_bit_for_bit_from_new_and_old_servers(old: bool) -> None:
    points = output(old)
    columns = decode.columns(points, [DENSE, SPARSE, MULTI])
    for name, column in BATCH.vectors.items():
        found = columns[name]
        assert found.values.tobytes() == column.values.tobytes()
        assert (found.valid is None) == (column.valid is None)
        if not isinstance(column, DenseColumn):
            assert not isinstance(found, DenseColumn)
            assert found.offsets.tolist() == column.offsets.tolist()
    assert columns["d"].valid is not None
    assert columns["d"].valid.tolist() == [True, False]
    assert decode.ids_of(points) == BATCH.ids
    assert [repr(decode.payload(point.payload)) for point in points][1] == "{}"
    first = decode.payload(points[0].payload)
    assert json.dumps(first, sort_keys=True) == json.dumps(BATCH.metadata[0], sort_keys=True)


def test_a_vector_of_another_length_is_an_error_and_not_a_shifted_row() -> None:
    point = pb.RetrievedPoint()
    point.vectors.vectors.vectors["d"].dense.data.extend([1.0] * 6)
    with pytest.raises(ValueError, match="6 components, not 5"):
        decode.columns([point], [DENSE])


def test_a_double_that_may_be_a_large_integer_is_not_guessed() -> None:
    point = pb.RetrievedPoint()
    point.payload["n"].double_value = 2.0**63
    with pytest.raises(decode.Ambiguous):
        decode.payload(point.payload)
    point.payload["n"].double_value = 2.0**65
    assert decode.payload(point.payload) == {"n": 2.0**65}


@pytest.mark.parametrize("levels", [GRPC_LEVELS, GRPC_LEVELS + 1])
def test_what_travels_over_grpc_is_what_protobuf_can_read(levels: int) -> None:
    value: Any = {}
    for _ in range(levels - 2):
        value = {"k": value}
    metadata: Metadata = {"deep": value}
    assert fits_grpc(metadata) == (levels <= GRPC_LEVELS)
    if fits_grpc(metadata):
        again = pb.PointStruct.FromString(encode_points.payload(metadata))
        assert decode.payload(again.payload) == metadata


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON, max_size=6), st.integers(0, 2**64 - 1) | st.uuids())
def test_bytes_of_points_are_those_that_protobuf_reads_as_the_same_message(metadata: Metadata, key: RecordId) -> None:
    wanted = pb.PointStruct(id=message(key))
    wanted.vectors.vectors.SetInParent()
    for name, value in metadata.items():
        put_value(wanted.payload[name], value)
    sent = encode_points.points(RecordBatch("", [key], {}, [metadata]), [0], {0: metadata}, single=False)
    (found,) = pb.UpsertPoints.FromString(sent).points
    assert found == wanted


@pytest.mark.parametrize("name", ["", "ü"])
@pytest.mark.parametrize("single", [True, False])
def test_vectors_go_with_or_without_a_name_and_are_left_out_where_a_record_has_none(name: str, single: bool) -> None:
    values = np.array([[1, -0.0, 1 / 3], [4, 5, 6], [0, 0, 0]], np.float32)
    offsets = np.array([0, 1, 2, 2], np.int64)
    columns: list[VectorColumn] = [
        DenseColumn(values),
        SparseColumn(offsets, np.array([7, 9], np.uint32), values[0, :2].copy()),
        MultiColumn(np.array([0, 2, 3, 3], np.int64), values),
    ]
    for column in columns:
        batch = RecordBatch("", [1, 2, 3], {name: replace(column, valid=np.array([True, True, False]))}, [{}, {}, {}])
        sent = encode_points.points(batch, [2, 0], dict(enumerate(batch.metadata)), single=single)
        absent, first = pb.UpsertPoints.FromString(sent).points
        assert (absent.id.num, first.id.num) == (3, 1)
        assert absent.vectors.WhichOneof("vectors_options") == "vectors"
        assert not absent.vectors.vectors.vectors
        alone = single and not name
        vector = first.vectors.vector if alone else first.vectors.vectors.vectors[name]
        assert first.vectors.WhichOneof("vectors_options") == ("vector" if alone else "vectors")
        if isinstance(column, DenseColumn):
            assert np.array(vector.dense.data, np.float32).tobytes() == values[0].tobytes()
        elif isinstance(column, SparseColumn):
            assert (list(vector.sparse.indices), list(vector.sparse.values)) == ([7], [1.0])
        else:
            rows = [list(row.data) for row in vector.multi_dense.vectors]
            assert np.array(rows, np.float32).tobytes() == values[:2].tobytes()


def test_large_integers_do_not_fit_grpc_wherever_they_are() -> None:
    assert fits_grpc({"a": 2**63 - 1, "b": [-(2**63)]})
    large: list[Metadata] = [{"a": 2**63}, {"a": [2**63]}, {"a": {"b": [{"c": 2**64 - 1}]}}]
    for metadata in large:
        assert not fits_grpc(metadata)


def test_ids_survive_both_ways_and_are_ordered_as_the_server_orders_them() -> None:
    ids: list[RecordId] = [0, 5, 2**64 - 1, UUID(int=0), UUID(int=9), UUID(int=2**128 - 1)]
    assert [from_message(message(item)) for item in ids] == ids
    assert [type(from_message(message(item))) for item in ids] == [type(item) for item in ids]
    assert {from_message(message(UUID(int=9)))} == {UUID(int=9)}
    mixed = [ids[place] for place in (3, 0, 5, 2, 4, 1)]
    assert sorted(mixed, key=order) == ids
    assert next_id(2**64 - 1) == UUID(int=0)
    assert next_id(UUID(int=2**128 - 1)) is None
    assert next_id(7) == 8


def test_json_numbers_are_exact_for_a_parser_that_is_off_by_two_units() -> None:
    """A server reads `1e-30` as a neighbouring 8-byte float; rounded to 4 bytes it must still be the right one."""
    generator = random.Random(5)
    raw = [struct.unpack("<f", generator.randbytes(4))[0] for _ in range(4000)]
    values = np.array([value for value in raw if math.isfinite(value)], np.float32)
    sent = orjson.loads(orjson.dumps(jsons.numbers(values), option=orjson.OPT_SERIALIZE_NUMPY))
    read = np.array([as_returned(value) for value in sent], np.float64)
    for shifted in (read, np.nextafter(read, np.inf), np.nextafter(read, -np.inf)):
        assert shifted.astype(np.float32).tobytes() == values.tobytes()


def test_exact_floats_are_restored_after_any_number_of_rewrites_unless_someone_changed_them() -> None:
    generator = random.Random(2)
    drifting = next(
        value
        for value in iter(lambda: generator.random() * 1e-7, None)
        if as_returned(value) != value and as_returned(as_returned(value)) != as_returned(value)
    )
    stored = protect({"a": drifting, "b": [{"c": -drifting}, 1.5], "d": "x"})
    once, twice = as_returned(drifting), as_returned(as_returned(drifting))
    for seen in (once, twice, as_returned(twice)):
        metadata: Metadata = {"a": seen, "b": [{"c": 2.0}, 1.5], "d": "x", EXACT_FIELD: stored[EXACT_FIELD]}
        restore(metadata)
        assert metadata == {"a": drifting, "b": [{"c": 2.0}, 1.5], "d": "x"}
    assert not may_become(drifting, drifting * 2)
    assert protect({"a": 9.9, "b": [0.1, 1e22], "c": 3}) == {"a": 9.9, "b": [0.1, 1e22], "c": 3}
