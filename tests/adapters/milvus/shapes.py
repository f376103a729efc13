"""Milvus schemas for the tests."""

from __future__ import annotations

from typing import Any

from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.adapters.milvus.layout import Layout, layout_of
from vectormigrate.adapters.milvus.proto import pb, sp

T = sp.DataType


def field(name: str, kind: int, params: dict[str, Any] | None = None, **options: Any) -> sp.FieldSchema:
    """A field with its type parameters."""
    return sp.FieldSchema(name=name, data_type=kind, type_params=pairs(params or {}), **options)  # pyright: ignore[reportArgumentType]


def int_pk(name: str = "id", **options: Any) -> sp.FieldSchema:
    return field(name, T.Int64, is_primary_key=True, **options)


def text_pk(name: str = "id", longest: int = 100) -> sp.FieldSchema:
    return field(name, T.VarChar, {"max_length": longest}, is_primary_key=True)


def floats(name: str = "embedding", dim: int = 4) -> sp.FieldSchema:
    return field(name, T.FloatVector, {"dim": dim})


def shape(*fields: sp.FieldSchema, dynamic: bool = True, **options: Any) -> sp.CollectionSchema:
    """A collection; without fields: an INT64 id and a vector of four."""
    return sp.CollectionSchema(name="c", fields=fields or (int_pk(), floats()), enable_dynamic_field=dynamic, **options)


def layout(*fields: sp.FieldSchema, **options: Any) -> Layout:
    """As the adapter reads it."""
    return layout_of(pb.DescribeCollectionResponse(schema=shape(*fields, **options)))
