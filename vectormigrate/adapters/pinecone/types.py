"""Pinecone's words: the kinds of metadata values, and the field types of a document schema (API 2026-07)."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapter import TypeWord
from vectormigrate.model.schema import FieldType, VectorKind

_LIST = TypeWord(type=FieldType.LIST, element=FieldType.STRING)

TYPE_WORDS: Mapping[str, TypeWord] = {
    "string": TypeWord(type=FieldType.STRING),
    "number": TypeWord(type=FieldType.FLOAT64),
    "float": TypeWord(type=FieldType.FLOAT64),
    "integer": TypeWord(type=FieldType.INT64),
    "boolean": TypeWord(type=FieldType.BOOL),
    "list": _LIST,
    "list of strings": _LIST,
    "string_list": _LIST,
    "values": TypeWord(vector=VectorKind.DENSE),
    "dense_vector": TypeWord(vector=VectorKind.DENSE),
    "sparse_values": TypeWord(vector=VectorKind.SPARSE),
    "sparse_vector": TypeWord(vector=VectorKind.SPARSE),
}
