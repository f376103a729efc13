"""Batches to columns and back, without a server."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.adapters.milvus.shapes import T, field, floats, int_pk, layout, text_pk
from vectormigrate.adapters.milvus.decode import batch_of, packed_payload, scalar_values
from vectormigrate.adapters.milvus.encode import encode, packed_message
from vectormigrate.adapters.milvus.encode_columns import column_data
from vectormigrate.adapters.milvus.layout import Layout
from vectormigrate.adapters.milvus.proto import sp
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import NUMPY_DTYPE, DenseColumn, Metadata, RecordBatch, SparseColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import DType


def batch(ids: list[Any], metadata: list[Any] | None = None, **vectors: Any) -> RecordBatch:
    """Records with a vector of ones in `embedding` unless vectors are given."""
    columns = vectors or {"embedding": DenseColumn(np.ones((len(ids), 4), np.float32))}
    return RecordBatch("", ids, columns, metadata if metadata is not None else [{} for _ in ids])


def round_trip(records: RecordBatch, shape: Layout) -> RecordBatch:
    encoded = encode(records, shape, lite=False)
    assert encoded.rejects == []
    sent = [sp.FieldData.FromString(item.SerializeToString()) for item in encoded.fields]
    return batch_of(sent, shape, records.namespace, vectors=True)


def codes(records: RecordBatch, shape: Layout, *, lite: bool = False) -> dict[RecordId, str]:
    return {reject.id: reject.code for reject in encode(records, shape, lite=lite).rejects}


@pytest.mark.parametrize("size", [0, 1, 31, 32, 4095, 4096, 600_000])
def test_packed_floats_survive_for_every_length_of_the_length(size: int) -> None:
    data = np.arange(size, dtype="<f4").tobytes()
    message = sp.FloatArray.FromString(packed_message(data))
    assert len(message.data) == size
    assert bytes(packed_payload(message)) == data


@pytest.mark.parametrize(
    ("dtype", "kind", "width"),
    [
        (DType.FLOAT32, T.FloatVector, 16),
        (DType.FLOAT16, T.Float16Vector, 16),
        (DType.BFLOAT16, T.BFloat16Vector, 16),
        (DType.INT8, T.Int8Vector, 16),
        (DType.BITS, T.BinaryVector, 2),
    ],
)
def test_dense_vectors_of_every_type_survive(dtype: DType, kind: int, width: int) -> None:
    shape = layout(int_pk(), field("embedding", kind, {"dim": 16}))
    values = (np.arange(3 * width) % 120).reshape(3, width).astype(NUMPY_DTYPE[dtype])
    found = round_trip(batch([1, 2, 3], embedding=DenseColumn(values, dtype)), shape).vectors["embedding"]
    assert isinstance(found, DenseColumn)
    assert (found.dtype, found.values.dtype, found.valid) == (dtype, NUMPY_DTYPE[dtype], None)
    assert np.array_equal(found.values, values)
    assert found.values.flags.c_contiguous
    assert found.values.flags.aligned
    assert found.values.flags.writeable


def test_sparse_vectors_survive_and_come_back_in_order() -> None:
    shape = layout(int_pk(), field("embedding", T.SparseFloatVector))
    offsets = np.array([0, 2, 2, 3], np.int64)
    column = SparseColumn(offsets, np.array([3, 2**32 - 2, 0], np.uint32), np.array([1, -2, 0.5], np.float32))
    found = round_trip(batch([1, 2, 3], embedding=column), shape).vectors["embedding"]
    assert isinstance(found, SparseColumn)
    assert [array.tolist() for array in (found.offsets, found.indices, found.values)] == [
        array.tolist() for array in (column.offsets, column.indices, column.values)
    ]
    encoded = encode(batch([1], embedding=column.take(np.array([0]))), shape, lite=False).fields
    row = encoded[-1].vectors.sparse_float_vector.contents
    row[0] = row[0][8:] + row[0][:8]
    (swapped,) = batch_of(encoded, shape, "", vectors=True).vectors.values()
    assert isinstance(swapped, SparseColumn)
    assert swapped.indices.tolist() == [3, 2**32 - 2]
    assert swapped.values.tolist() == [1, -2]


def test_null_vectors_of_a_nullable_field_survive() -> None:
    shape = layout(
        int_pk(),
        field("embedding", T.FloatVector, {"dim": 4}, nullable=True),
        field("words", T.SparseFloatVector, nullable=True),
    )
    valid = np.array([True, False, True])
    dense = DenseColumn(
        np.where(valid[:, None], np.arange(12).reshape(3, 4), 0).astype(np.float32), DType.FLOAT32, valid
    )
    words = SparseColumn(
        np.array([0, 0, 0, 1], np.int64), np.array([7], np.uint32), np.array([1], np.float32), np.array([0, 0, 1], bool)
    )
    found = round_trip(batch([1, 2, 3], embedding=dense, words=words), shape)
    for name, sent in (("embedding", dense), ("words", words)):
        column = found.vectors[name]
        assert column.valid is not None
        assert column.valid.tolist() == sent.valid.tolist()  # pyright: ignore[reportOptionalMemberAccess]
        assert np.array_equal(column.values, sent.values)


ARRAY = {"max_capacity": 4, "max_length": 5}

SCALARS: list[tuple[sp.FieldSchema, list[Any], list[tuple[Any, str]]]] = [
    (field("f", T.Bool), [True, False], [(1, "field_type"), (None, "field_missing")]),
    (field("f", T.Int8), [-128, 127], [(128, "field_range"), (True, "field_type"), (1.0, "field_type")]),
    (field("f", T.Int16), [-(2**15), 2**15 - 1], [(2**15, "field_range")]),
    (field("f", T.Int32), [-(2**31), 2**31 - 1], [(2**31, "field_range")]),
    (field("f", T.Int64), [-(2**63), 2**63 - 1], [(2**63, "field_range"), ("1", "field_type")]),
    (field("f", T.Float), [0.5, -0.0], [(0.1, "precision"), (1e300, "precision"), (1, "field_type")]),
    (field("f", T.Double), [0.1, 1e300], [(1, "field_type"), (float("nan"), "nonfinite")]),
    (field("f", T.VarChar, {"max_length": 4}), ["é\0", ""], [("ééa", "field_size"), (1, "field_type")]),
    (field("f", T.JSON), [{"a": [1, 1.0, None]}, "text", None, 7], [(float("inf"), "nonfinite"), (b"", "metadata")]),
    (field("f", T.Array, ARRAY, element_type=T.Int64), [[1, 2], []], [([1.0], "field_type"), ([1] * 5, "field_size")]),
    (
        field("f", T.Array, ARRAY, element_type=T.VarChar),
        [["a", "é"]],
        [(["toolong"], "field_size"), ("a", "field_type")],
    ),
    (field("f", T.Array, ARRAY, element_type=T.Float), [[0.5]], [([0.1], "precision")]),
    (field("f", T.Geometry), ["POINT (1 2)"], [({}, "field_type")]),
    (field("f", T.Timestamptz), ["2024-01-01T00:00:00Z"], [(1, "field_type")]),
]


@pytest.mark.parametrize("case", SCALARS, ids=lambda case: f"{T.Name(case[0].data_type)}-{case[0].element_type}")
def test_declared_fields_hold_what_fits_exactly_and_reject_the_rest(
    case: tuple[sp.FieldSchema, list[Any], list[tuple[Any, str]]],
) -> None:
    declared, good, bad = case
    shape = layout(int_pk(), floats(), declared)
    rows: list[Metadata] = [{"f": value, "extra": 1} for value in good]
    found = round_trip(batch(list(range(len(good))), rows), shape)
    assert [repr(sorted(row.items())) for row in found.metadata] == [repr(sorted(row.items())) for row in rows]
    ids = list(range(len(bad)))
    wrong = codes(batch(ids, [{"f": value} for value, _ in bad]), shape)
    assert wrong == {number: code for number, (_, code) in zip(ids, bad, strict=True)}


@pytest.mark.parametrize("kind", [T.Int64, T.VarChar, T.JSON, T.Array, T.Bool])
def test_nulls_of_a_nullable_field_survive(kind: int) -> None:
    value: Any = {T.Int64: 5, T.VarChar: "x", T.JSON: {"a": 1}, T.Array: [1], T.Bool: False}[kind]  # pyright: ignore[reportArgumentType]
    params = {"max_length": 9, "max_capacity": 3}
    shape = layout(int_pk(), floats(), field("f", kind, params, nullable=True, element_type=T.Int64))
    rows: list[Metadata] = [{"f": None}, {"f": value}, {"f": None}, {"f": value}]
    assert round_trip(batch([1, 2, 3, 4], rows), shape).metadata == rows


def test_nulls_are_also_read_where_the_server_sends_a_place_for_them() -> None:
    (column,) = layout(int_pk(), floats(), field("f", T.Int64, nullable=True)).scalars
    data = column_data(column, [{"f": 1}, {"f": 2}, {"f": 3}])
    data.valid_data[1] = False
    assert scalar_values(data, column, 3) == [1, None, 3]


def test_a_field_with_a_default_may_be_missing_but_not_null() -> None:
    default = sp.ValueField(long_data=3)
    shape = layout(int_pk(), floats(), field("f", T.Int64, default_value=default))
    records = batch([1, 2, 3], [{}, {"f": None}, {"f": 9}])
    encoded = encode(records, shape, lite=False)
    assert [(reject.id, reject.code) for reject in encoded.rejects] == [(2, "field_missing")]
    (data,) = [item for item in encoded.fields if item.field_name == "f"]
    assert (list(data.valid_data), list(data.scalars.long_data.data)) == ([False, True], [9])


def test_a_dynamic_key_behind_a_declared_field_is_kept_beside_it() -> None:
    shape = layout(int_pk(), floats(), field("f", T.Int64))
    fields = encode(batch([1], [{"f": 1, "other": 2}]), shape, lite=False).fields
    (meta,) = [item for item in fields if item.is_dynamic]
    meta.scalars.json_data.data[0] = b'{"f": "old", "id": 9, "other": 2}'
    (found,) = batch_of(fields, shape, "", vectors=False).metadata
    assert found == {"f": 1, "id": 9, "other": 2, "$meta": {"f": "old"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 36893488147419103232}', {"a": 2**65}),
        (b'{"a": 18446744073709551615}', {"a": 2**64 - 1}),
        (b'{"a": -0.0, "b": 1.0, "c": 1}', {"a": -0.0, "b": 1.0, "c": 1}),
        (b"null", {}),
        (b"", {}),
    ],
)
def test_json_of_other_clients_is_read_exactly(text: bytes, value: Metadata) -> None:
    shape = layout()
    fields = encode(batch([1]), shape, lite=False).fields
    (meta,) = [item for item in fields if item.is_dynamic]
    meta.scalars.json_data.data[0] = text
    (found,) = batch_of(fields, shape, "", vectors=False).metadata
    assert repr(found) == repr(value)


def test_a_text_without_quotes_in_a_json_field_is_read_as_the_text() -> None:
    shape = layout(int_pk(), floats(), field("f", T.JSON))
    fields = encode(batch([1, 2], [{"f": {"a": 1}}, {"f": []}]), shape, lite=False).fields
    (data,) = [item for item in fields if item.field_name == "f"]
    data.scalars.json_data.data[1] = "plain tëxt".encode()
    assert batch_of(fields, shape, "", vectors=False).metadata == [{"f": {"a": 1}}, {"f": "plain tëxt"}]
    (meta,) = [item for item in fields if item.is_dynamic]
    meta.scalars.json_data.data[1] = b"plain"
    with pytest.raises(InvalidRequest, match="no JSON"):
        batch_of(fields, shape, "", vectors=False)


def test_nan_in_json_is_read_as_nan() -> None:
    shape = layout()
    fields = encode(batch([1]), shape, lite=False).fields
    fields[1].scalars.json_data.data[0] = b'{"a": NaN}'
    (found,) = batch_of(fields, shape, "", vectors=False).metadata
    assert repr(found) == "{'a': nan}"


def test_metadata_that_json_cannot_hold_is_rejected() -> None:
    rows: list[Any] = [
        {"a": [float("nan")]},
        {"a": {"b": float("-inf")}},
        {"a": None},
        {"a": b"bytes"},
        {"a": 2**64},
        {"a": "\ud800"},
        {"id": 1},
        {"embedding": 1},
        {"$meta": {}},
        {"a": "x" * 65_536},
    ]
    found = codes(batch(list(range(10)), rows), layout())
    assert found == {
        0: "nonfinite",
        1: "nonfinite",
        3: "metadata",
        4: "metadata",
        5: "metadata",
        6: "reserved_field",
        7: "reserved_field",
        8: "reserved_field",
        9: "size",
    }


def test_undeclared_keys_are_rejected_where_there_is_no_dynamic_field() -> None:
    shape = layout(int_pk(), floats(), field("f", T.Int64), dynamic=False)
    assert codes(batch([1, 2], [{"f": 1}, {"f": 1, "g": 2}]), shape) == {2: "field_undeclared"}
    assert round_trip(batch([1], [{"f": 1}]), shape).metadata == [{"f": 1}]


def test_ids_that_the_collection_cannot_hold_are_rejected() -> None:
    top = 2**63 - 1
    assert codes(batch([1, "1", top, 2**63, True]), layout()) == {
        "1": "id_kind",
        top: "int64_max",
        2**63: "id_range",
        True: "id_kind",
    }
    assert codes(batch([top]), layout(), lite=True) == {}
    text = layout(text_pk(longest=4), floats())
    assert codes(batch(["éé", "ééa", 1, "\ud800"]), text) == {"ééa": "id_size", 1: "id_kind", "\ud800": "id_text"}
    assert codes(batch(["éééé", "ééééé"]), text, lite=True) == {"ééééé": "id_size"}


def test_the_last_of_equal_ids_counts_even_when_it_is_rejected() -> None:
    column = DenseColumn(np.array([[1] * 4, [2] * 4, [np.nan] * 4, [3] * 4], np.float32))
    encoded = encode(batch([1, 2, 1, 2], embedding=column), layout(), lite=False)
    assert [(reject.id, reject.code) for reject in encoded.rejects] == [(1, "nan")]
    found = batch_of(encoded.fields, layout(), "", vectors=True)
    assert (found.ids, found.vectors["embedding"].values.tolist()) == ([2], [[3.0] * 4])


def test_vectors_that_do_not_fit_are_rejected() -> None:
    shape = layout()
    good = np.ones((2, 4), np.float32)
    assert codes(batch([1, 2], other=DenseColumn(good)), shape) == {1: "vector_unknown", 2: "vector_unknown"}
    assert codes(RecordBatch("", [1], {}, [{}]), shape) == {1: "vector_missing"}
    partly = DenseColumn(good, DType.FLOAT32, np.array([True, False]))
    assert codes(batch([1, 2], embedding=partly), shape) == {2: "vector_missing"}
    assert codes(batch([1, 2], embedding=DenseColumn(good[:, :3])), shape) == {1: "dimension", 2: "dimension"}
    half = DenseColumn(good.astype(np.float16), DType.FLOAT16)
    assert codes(batch([1, 2], embedding=half), shape) == {1: "vector_kind", 2: "vector_kind"}


def test_non_finite_numbers_are_found_in_every_type() -> None:
    for dtype, kind, bad in (
        (DType.FLOAT16, T.Float16Vector, np.float16("inf")),
        (DType.BFLOAT16, T.BFloat16Vector, np.uint16(0x7FC0)),
    ):
        shape = layout(int_pk(), field("embedding", kind, {"dim": 4}))
        values = np.ones((2, 4), NUMPY_DTYPE[dtype])
        values[1, 2] = bad
        assert codes(batch([1, 2], embedding=DenseColumn(values, dtype)), shape) == {2: "nan"}
    sparse = layout(int_pk(), field("embedding", T.SparseFloatVector))
    column = SparseColumn(
        np.array([0, 0, 1, 2], np.int64), np.array([1, 2**32 - 1], np.uint32), np.array([np.nan, 1], np.float32)
    )
    assert codes(batch([1, 2, 3], embedding=column), sparse) == {2: "nan", 3: "nan"}
    assert codes(batch([1, 2, 3], embedding=column), sparse, lite=True) == {1: "sparse_empty", 2: "nan", 3: "nan"}


def test_an_answer_whose_columns_do_not_fit_together_is_an_error() -> None:
    shape = layout()
    fields = encode(batch([1, 2]), shape, lite=False).fields
    with pytest.raises(InvalidRequest, match="lacks the field 'embedding'"):
        batch_of(fields[:2], shape, "", vectors=True)
    fields[2].vectors.float_vector.data.pop()
    with pytest.raises(InvalidRequest, match="no whole vectors"):
        batch_of(fields, shape, "", vectors=True)


@pytest.mark.parametrize("kind", [T.ArrayOfVector, T.Struct, T.Mol, T.Decimal, 77])
def test_a_field_of_an_unknown_type_stops_everything(kind: int) -> None:
    with pytest.raises(InvalidRequest, match="'strange'"):
        layout(int_pk(), floats(), field("strange", kind))
