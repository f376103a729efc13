"""Qdrant's words for the types of payload indexes and vectors (Qdrant 1.19)."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapter import TypeWord
from vectormigrate.adapters.qdrant.edge.schema import FIELD_TYPES
from vectormigrate.model.schema import FieldType, VectorKind

TYPE_WORDS: Mapping[str, TypeWord] = {
    **{word: TypeWord(type=kind) for word, kind in FIELD_TYPES.items()},
    "object": TypeWord(type=FieldType.JSON),
    "array": TypeWord(type=FieldType.LIST),
    "vector": TypeWord(vector=VectorKind.DENSE),
    "dense": TypeWord(vector=VectorKind.DENSE),
    "sparse": TypeWord(vector=VectorKind.SPARSE),
    "sparse_vector": TypeWord(vector=VectorKind.SPARSE),
    "multivector": TypeWord(vector=VectorKind.MULTI),
}
