"""A small collection with every kind of content, a copy of it, and the means to damage the copy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import uuid4

import numpy as np

from vectormigrate.adapter import Capabilities, Target
from vectormigrate.adapters.memory import SPEC, MemoryConfig
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.limits import Limits
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.plan import EndpointRef, MappingRules, MigrationPlan, MigrationSpec, VectorMapping
from vectormigrate.model.schema import CollectionSchema, DType, Metric, VectorField, VectorKind
from vectormigrate.model.status import DiffCheck
from vectormigrate.validation.diff import full_diff

DIM = 16

SCHEMA = CollectionSchema(
    name="",
    id_kinds=frozenset(IdKind),
    vectors=(
        VectorField(name="dense", kind=VectorKind.DENSE, dim=DIM, metric=Metric.COSINE),
        VectorField(name="words", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
        VectorField(name="parts", kind=VectorKind.MULTI, dim=4, metric=Metric.DOT),
    ),
)


def metadata_of(row: int) -> Metadata:
    """Typed, nested, sometimes missing."""
    found: Metadata = {
        "title": f"text {row} é 漢",
        "year": 1990 + row % 30,
        "score": row / 7,
        "flag": row % 2 == 0,
        "note": None,
        "tags": ["a", "b", f"t{row}"],
        "nested": {"deep": {"n": row, "empty": {}}, "list": [1, 1.0, True, None]},
        "when": datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=2))) + timedelta(days=row),
        "raw": bytes([row % 256, 0]),
        "big": 2**60 + row,
    }
    if row % 5 == 0:
        del found["score"]
    return found


def batch_of(rows: Sequence[int], namespace: str, seed: int = 7) -> RecordBatch:
    """Records `rows` of a namespace; content depends on (seed, namespace, row) only."""
    rngs = [np.random.default_rng([seed, len(namespace), *namespace.encode(), row]) for row in rows]
    dense = np.stack([rng.standard_normal(DIM) for rng in rngs]).astype(np.float32)
    lengths = [row % 4 for row in rows]
    words = [np.sort(rng.choice(5000, length, replace=False)) for rng, length in zip(rngs, lengths, strict=True)]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    weights = np.concatenate([rng.random(length) for rng, length in zip(rngs, lengths, strict=True)])
    counts = [1 + row % 3 for row in rows]
    parts = np.concatenate([rng.standard_normal((count, 4)) for rng, count in zip(rngs, counts, strict=True)])
    columns: dict[str, VectorColumn] = {
        "dense": DenseColumn(dense),
        "words": SparseColumn(
            offsets,
            np.concatenate(words).astype(np.uint32),
            weights.astype(np.float32),
            np.array([row % 4 > 0 for row in rows], np.bool_),
        ),
        "parts": MultiColumn(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), parts.astype(np.float32)),
    }
    ids: list[RecordId] = [id_of(row) for row in rows]
    return RecordBatch(namespace, ids, columns, [metadata_of(row) for row in rows])


def id_of(row: int) -> RecordId:
    """Integers and texts that look alike."""
    return row if row % 3 else f"{row}"


def rules_of(*vectors: VectorMapping, **changes: Any) -> MappingRules:
    """Rules that change nothing, with these vector fields (all of SCHEMA when none is given)."""
    chosen = vectors or tuple(
        VectorMapping(source=item.name, target=item.name, dtype=item.dtype) for item in SCHEMA.vectors
    )
    plain = MappingRules(
        id_strategy="native",
        id_salt="salt",
        vectors=chosen,
        namespaces={},
        renames={},
        excludes=(),
        sidecar=True,
        accepted_losses=(),
        target_limits=Limits.of(metadata={"int_range": (-(2**63), 2**64 - 1)}).to_json(),
    )
    return replace(plain, **changes)


def plan_of(rules: MappingRules, namespaces: dict[str, int], **spec: Any) -> MigrationPlan:
    """A plan with these rules; `spec` changes the MigrationSpec."""
    endpoint = EndpointRef(type="memory", collection="c")
    return MigrationPlan(
        spec=MigrationSpec(id="m", source=endpoint, target=endpoint, **spec),
        source_schema=SCHEMA,
        target_schema=SCHEMA,
        target_exists=False,
        rules=rules,
        field_mappings=(),
        losses=(),
        namespaces=namespaces,
        partitions=(),
        total_records=sum(namespaces.values()),
        bytes_per_record=100,
        profiled_records=0,
    )


@dataclass(kw_only=True)
class Pair:
    """Source, target, and what the checks are told about the migration between them."""

    source: Target
    target: Target
    mapper: Mapper
    plan: MigrationPlan
    created: bool = True
    written: set[tuple[str, RecordId]] = field(default_factory=set[tuple[str, RecordId]])
    rejected: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    async def which_written(self, namespace: str, ids: Sequence[RecordId]) -> Collection[RecordId]:
        return {record_id for record_id in ids if (namespace, record_id) in self.written}

    async def copy(self) -> None:
        """What a correct migration does."""
        for partition in await self.source.partitions(3, self.plan.spec.namespaces):
            async for page in self.source.scan(partition, page_rows=50):
                for part in self.mapper.convert(page.batch):
                    assert not await self.target.upsert(part.batch)
                    self.written |= {(part.batch.namespace, record_id) for record_id in part.batch.ids}

    async def edit(
        self, record_id: RecordId, change: Callable[[RecordBatch], RecordBatch], namespace: str = "a"
    ) -> None:
        """Replace one record of the target by `change(record)`."""
        found = await self.target.fetch([record_id], namespace)
        assert len(found) == 1
        assert not await self.target.upsert(change(found))

    def arguments(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "target": self.target,
            "mapper": self.mapper,
            "plan": self.plan,
            "created": self.created,
            "which_written": self.which_written,
            "rejected": self.rejected,
        }

    async def diff(self, **options: Any) -> DiffCheck:
        arguments: dict[str, Any] = {**self.arguments(), "page_rows": 40, **options}
        return await full_diff(**arguments)


@asynccontextmanager
async def pair(
    *,
    rows: int = 200,
    namespaces: Sequence[str] = ("a", "b"),
    rules: MappingRules | None = None,
    schema: CollectionSchema = SCHEMA,
    target_schema: CollectionSchema | None = None,
    profile: Capabilities | None = None,
    copied: bool = True,
    **spec: Any,
) -> AsyncGenerator[Pair]:
    """A filled source and, when `copied`, a target that a correct migration has filled."""
    store = f"memory://validation-{uuid4().hex}"
    chosen = rules or rules_of()
    async with (
        SPEC.open(MemoryConfig(url=store, collection="s")) as source,
        SPEC.open(MemoryConfig(url=store, collection="t", profile=profile)) as target,
    ):
        await source.create(schema)
        for namespace in namespaces:
            batch = batch_of(range(rows), namespace)
            names = {item.name for item in schema.vectors}
            batch = replace(batch, vectors={k: v for k, v in batch.vectors.items() if k in names})
            assert not await source.upsert(batch)
        await target.create(target_schema or schema)
        plan = plan_of(chosen, dict.fromkeys(namespaces, rows), **spec)
        made = Pair(source=source, target=target, mapper=Mapper(chosen), plan=plan)
        if copied:
            await made.copy()
        yield made


def with_dense(batch: RecordBatch, values: np.ndarray[Any, Any], dtype: DType = DType.FLOAT32) -> RecordBatch:
    """The batch with another dense column."""
    return replace(batch, vectors={**batch.vectors, "dense": DenseColumn(values, dtype)})


def with_metadata(**changes: Any) -> Callable[[RecordBatch], RecordBatch]:
    """A change of top-level metadata keys; `...` removes one."""

    def change(batch: RecordBatch) -> RecordBatch:
        merged = {**batch.metadata[0], **changes}
        return replace(batch, metadata=[{key: value for key, value in merged.items() if value is not ...}])

    return change


NOW = datetime(2026, 1, 1, tzinfo=UTC)
