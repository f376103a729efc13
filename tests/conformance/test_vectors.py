"""Vectors of every kind come back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conformance.data import batch, column, ids_of, read_all, rows_of, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from vectormigrate.model.batch import (
    NUMPY_DTYPE,
    DenseColumn,
    MultiColumn,
    RecordBatch,
    SparseColumn,
    VectorColumn,
)
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

FORMS = [
    *((VectorKind.DENSE, dtype) for dtype in DType),
    (VectorKind.SPARSE, DType.FLOAT32),
    *((VectorKind.MULTI, dtype) for dtype in (DType.FLOAT32, DType.FLOAT16, DType.INT8)),
]


def field_of(harness: Harness, kind: VectorKind, dtype: DType, dim: int = 24) -> VectorField:
    if not harness.supports(kind, dtype):
        pytest.skip(f"the database has no {kind} vectors of {dtype}")
    return harness.vector(kind=kind, dtype=dtype, dim=dim)


@requirement("vectors:bit-exact")
@pytest.mark.parametrize(("kind", "dtype"), FORMS)
async def test_vectors_come_back_bit_for_bit(harness: Harness, kind: VectorKind, dtype: DType) -> None:
    schema = harness.schema(field_of(harness, kind, dtype))
    async with harness.fresh(schema) as target:
        assert (await target.describe()).vectors[0].dtype == dtype
        records = batch(schema, ids_of(schema, range(60)))
        await write(target, records)
        assert await read_all(target) == rows_of(records)
        found = await target.fetch(records.ids, "")
        assert rows_of(found) == rows_of(records)
        values = found.vectors[schema.vectors[0].name].values
        assert values.dtype == NUMPY_DTYPE[dtype]
        assert values.flags.c_contiguous


@requirement("vectors:unit-cosine")
async def test_unit_vectors_come_back_bit_for_bit_from_a_cosine_field(harness: Harness) -> None:
    schema = harness.schema(harness.vector(metric=Metric.COSINE, dim=96))
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(200)))
        values = records.vectors[schema.vectors[0].name].values
        values /= np.linalg.norm(values, axis=1, keepdims=True)
        await write(target, records)
        assert await read_all(target) == rows_of(records)


@requirement("vectors:several-fields")
async def test_several_vector_fields_live_in_one_record(harness: Harness) -> None:
    fields = [harness.vector("text", dim=12), harness.vector("Image_2", dim=5)]
    fields += [harness.vector(str(kind), kind, dim=6) for kind in VectorKind if harness.supports(kind)]
    if harness.capabilities.vectors.unnamed:
        fields.append(harness.vector("", dim=3))
    schema = harness.schema(*harness.together(*fields))
    if len(schema.vectors) < 2:
        pytest.skip("one vector field only")
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(30)))
        await write(target, records)
        assert await read_all(target) == rows_of(records)


def present(item: VectorColumn) -> list[bool]:
    return [True] * len(item) if item.valid is None else item.valid.tolist()


@requirement("vectors:missing")
async def test_a_missing_vector_stays_missing(harness: Harness) -> None:
    wanted = [harness.vector(str(kind), kind, dim=6) for kind in VectorKind if harness.supports(kind)]
    schema = harness.schema(*harness.together(harness.vector("text", dim=12), *wanted))
    fields = [item for item in schema.vectors if item.kind not in harness.capabilities.vectors.required]
    if not fields:
        pytest.skip("every record needs its vectors")
    async with harness.fresh(schema) as target:
        ids = ids_of(schema, range(24))
        vectors = {item.name: column(item, 24) for item in schema.vectors}
        for number, name in enumerate(item.name for item in fields):
            full = vectors[name]
            valid = np.arange(24) % (number + 2) != 0
            if isinstance(full, DenseColumn):
                vectors[name] = DenseColumn(np.where(valid[:, None], full.values, np.float32(0)), full.dtype, valid)
            else:
                lengths = np.where(valid, np.diff(full.offsets), 0)
                keep = np.repeat(valid, np.diff(full.offsets))
                offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
                if isinstance(full, SparseColumn):
                    vectors[name] = SparseColumn(offsets, full.indices[keep], full.values[keep], valid)
                else:
                    vectors[name] = MultiColumn(offsets, full.values[keep], full.dtype, valid)
        records = RecordBatch("", ids, vectors, [{"n": row} for row in range(24)])
        await write(target, records)
        assert await read_all(target) == rows_of(records)
        for name, item in (await target.fetch(ids, "")).vectors.items():
            assert present(item) == present(vectors[name])


@requirement("vectors:extremes")
@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT16])
async def test_extreme_components_come_back_bit_for_bit(harness: Harness, dtype: DType) -> None:
    schema = harness.schema(field_of(harness, VectorKind.DENSE, dtype, dim=4))
    kind = NUMPY_DTYPE[dtype]
    limits = np.finfo(kind)
    rows = [
        *([[0, 0, 0, 0]] if harness.capabilities.vectors.zeros else []),
        [-0.0, 1, -1, 0],
        [limits.smallest_subnormal, -limits.smallest_subnormal, 0, 1],
        [limits.max / 4, -limits.max / 4, limits.tiny, 1],
        [1 / 3, np.pi, np.e, limits.eps],
    ]
    async with harness.fresh(schema) as target:
        ids = ids_of(schema, range(len(rows)))
        values = np.array(rows, kind)
        records = RecordBatch("", ids, {schema.vectors[0].name: DenseColumn(values, dtype)}, [{} for _ in ids])
        await write(target, records)
        assert await read_all(target) == rows_of(records)


@requirement("vectors:high-sparse-index")
async def test_high_sparse_indices_are_kept(harness: Harness) -> None:
    schema = harness.schema(*_with_dense(harness, field_of(harness, VectorKind.SPARSE, DType.FLOAT32)))
    async with harness.fresh(schema) as target:
        indices = np.array([0, 2**31 - 1, 2**31, 2**32 - 2], np.uint32)
        numbers = np.array([1, 0.5, 0.25, 2**-20], np.float32)
        records = batch(schema, ids_of(schema, [1]))
        sparse = SparseColumn(np.array([0, 4], np.int64), indices, numbers)
        records = RecordBatch("", records.ids, {**records.vectors, schema.vectors[0].name: sparse}, records.metadata)
        await write(target, records)
        assert await read_all(target) == rows_of(records)


@requirement("vectors:empty-sparse")
async def test_an_empty_sparse_vector_is_kept_or_rejected(harness: Harness) -> None:
    schema = harness.schema(*_with_dense(harness, field_of(harness, VectorKind.SPARSE, DType.FLOAT32)))
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, [1, 2]))
        one = SparseColumn(np.array([0, 0, 1], np.int64), np.array([5], np.uint32), np.array([1], np.float32))
        records = RecordBatch("", records.ids, {**records.vectors, schema.vectors[0].name: one}, records.metadata)
        refused = {reject.id for reject in await target.upsert(records)}
        await write(target)
        assert refused <= {records.ids[0]}
        kept = [row for row in range(2) if records.ids[row] not in refused]
        assert await read_all(target) == rows_of(records.take(kept))


def _with_dense(harness: Harness, item: VectorField) -> list[VectorField]:
    """The field, and a dense one beside it where the database takes two."""
    return harness.together(item, harness.vector("dense", dim=4))
