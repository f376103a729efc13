"""Qdrant's words for the types of payload indexes and vectors (Qdrant 1.19)."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapter import TypeWord
from vectormigrate.model.schema import DType, FieldType, VectorKind

TYPE_WORDS: Mapping[str, TypeWord] = {
    "keyword": TypeWord(type=FieldType.STRING),
    "integer": TypeWord(type=FieldType.INT64),
    "float": TypeWord(type=FieldType.FLOAT64),
    "bool": TypeWord(type=FieldType.BOOL),
    "geo": TypeWord(type=FieldType.GEO),
    "datetime": TypeWord(type=FieldType.DATETIME),
    "text": TypeWord(type=FieldType.TEXT),
    "uuid": TypeWord(type=FieldType.UUID),
    "object": TypeWord(type=FieldType.JSON),
    "array": TypeWord(type=FieldType.LIST),
    "vector": TypeWord(vector=VectorKind.DENSE),
    "dense": TypeWord(vector=VectorKind.DENSE),
    "float16_vector": TypeWord(vector=VectorKind.DENSE, dtype=DType.FLOAT16),
    "uint8_vector": TypeWord(vector=VectorKind.DENSE, dtype=DType.UINT8),
    "sparse": TypeWord(vector=VectorKind.SPARSE),
    "sparse_vector": TypeWord(vector=VectorKind.SPARSE),
    "multivector": TypeWord(vector=VectorKind.MULTI),
}
