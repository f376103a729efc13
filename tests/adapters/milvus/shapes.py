"""Milvus schemas and records for the tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from vectormigrate.adapter import Target
from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.adapters.milvus.layout import Layout, layout_of
from vectormigrate.adapters.milvus.proto import pb, sp
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

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


SCHEMA = CollectionSchema(
    name="c",
    id_kinds=frozenset({IdKind.INT64}),
    vectors=(VectorField(name="embedding", kind=VectorKind.DENSE, dim=4, metric=Metric.L2),),
)


def records(ids: list[Any], metadata: list[Any] | None = None, namespace: str = "") -> RecordBatch:
    values = (np.arange(len(ids) * 4) + 1).reshape(-1, 4).astype(np.float32)
    return RecordBatch(namespace, ids, {"embedding": DenseColumn(values)}, metadata or [{} for _ in ids])


async def everything(target: Target, parts: int = 1, **options: Any) -> list[RecordBatch]:
    found: list[RecordBatch] = []
    for partition in await target.partitions(parts):
        found += [page.batch async for page in target.scan(partition, **options)]
    return found
