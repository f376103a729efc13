"""Weaviate's words for data types (Weaviate 1.37), in lower case."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapter import TypeWord
from vectormigrate.model.schema import FieldType, VectorKind

_PLAIN = {
    # Weaviate has one type for keywords and prose.
    "text": FieldType.STRING,
    "string": FieldType.STRING,
    "int": FieldType.INT64,
    "number": FieldType.FLOAT64,
    "boolean": FieldType.BOOL,
    "date": FieldType.DATETIME,
    "uuid": FieldType.UUID,
    "object": FieldType.JSON,
}

TYPE_WORDS: Mapping[str, TypeWord] = {
    **{word: TypeWord(type=kind) for word, kind in _PLAIN.items()},
    **{f"{word}[]": TypeWord(type=FieldType.LIST, element=kind) for word, kind in _PLAIN.items()},
    "geocoordinates": TypeWord(type=FieldType.GEO),
    "phonenumber": TypeWord(type=FieldType.JSON),
    "blob": TypeWord(type=FieldType.BYTES),
    "blobhash": TypeWord(type=FieldType.STRING),
    "reference": TypeWord(type=FieldType.LIST, element=FieldType.STRING),
    "cref": TypeWord(type=FieldType.LIST, element=FieldType.STRING),
    "vector": TypeWord(vector=VectorKind.DENSE),
    "multivector": TypeWord(vector=VectorKind.MULTI),
}
