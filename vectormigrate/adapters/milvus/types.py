"""Milvus' words for field types (pymilvus.DataType, Milvus 3.0)."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapter import TypeWord
from vectormigrate.model.schema import DType, FieldType, VectorKind

_DENSE = {
    "float_vector": DType.FLOAT32,
    "float16_vector": DType.FLOAT16,
    "bfloat16_vector": DType.BFLOAT16,
    "int8_vector": DType.INT8,
    "binary_vector": DType.BITS,
}

TYPE_WORDS: Mapping[str, TypeWord] = {
    "bool": TypeWord(type=FieldType.BOOL),
    "int8": TypeWord(type=FieldType.INT8),
    "int16": TypeWord(type=FieldType.INT16),
    "int32": TypeWord(type=FieldType.INT32),
    "int64": TypeWord(type=FieldType.INT64),
    "float": TypeWord(type=FieldType.FLOAT32),
    "double": TypeWord(type=FieldType.FLOAT64),
    "varchar": TypeWord(type=FieldType.STRING),
    "string": TypeWord(type=FieldType.STRING),
    "text": TypeWord(type=FieldType.TEXT),
    "json": TypeWord(type=FieldType.JSON),
    "array": TypeWord(type=FieldType.LIST),
    # Both travel as text: WKT, and ISO 8601.
    "geometry": TypeWord(type=FieldType.STRING),
    "timestamptz": TypeWord(type=FieldType.STRING),
    **{word: TypeWord(vector=VectorKind.DENSE, dtype=dtype) for word, dtype in _DENSE.items()},
    "sparse_float_vector": TypeWord(vector=VectorKind.SPARSE),
}
