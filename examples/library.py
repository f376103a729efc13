"""Uses vectormigrate as a library, on the in-memory database: plan, migrate, validate, go back, compare.

    python examples/library.py

It checks itself: it ends with an AssertionError if anything is not as it says.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
import numpy as np

from vectormigrate import Endpoint, MigrationRequest, RunOptions, Status, open_service
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

SOURCE = Endpoint(type="memory", url="memory://shop", collection="products")
TARGET = Endpoint(type="memory", url="memory://warehouse", collection="products")
BACK = Endpoint(type="memory", url="memory://shop", collection="products_again")
RECORDS = 500


async def fill(endpoint: Endpoint) -> RecordBatch:
    """Write a small collection and return what it holds."""
    values = np.random.default_rng(1).standard_normal((RECORDS, 16), dtype=np.float32)
    batch = RecordBatch(
        "",
        [f"sku-{n}" for n in range(RECORDS)],
        {"embedding": DenseColumn(values)},
        [{"price": n / 4, "stock": n, "tags": ["new"] if n % 2 else [], "note": None} for n in range(RECORDS)],
    )
    vector = VectorField(name="embedding", kind=VectorKind.DENSE, dim=16, metric=Metric.L2)
    schema = CollectionSchema(name=endpoint.collection, id_kinds=frozenset({IdKind.STRING}), vectors=(vector,))
    async with open_endpoint(endpoint) as collection:
        await collection.create(schema)
        assert await collection.upsert(batch) == []
    return batch


async def main() -> None:
    """The whole round."""
    original = await fill(SOURCE)
    with tempfile.TemporaryDirectory() as folder:
        async with open_service(state=Path(folder) / "state.db") as service:
            there = MigrationRequest(id="there", source=SOURCE, target=TARGET)
            plan = await service.plan(there)
            print(f"plan: {plan.total_records} records, losses: {[loss.name for loss in plan.losses]}")

            status = await service.migrate(there, RunOptions(batch_size=50))
            assert status.status is Status.COMPLETED
            assert status.migrated_records == RECORDS

            report = await service.validate("there", full=True, queries=20)
            assert report.passed
            assert report.diff is not None
            assert report.diff.identical == RECORDS
            print(f"validated: {report.diff.statement}")

            await service.migrate(MigrationRequest(id="back", source=TARGET, target=BACK))
            async with open_endpoint(BACK) as collection:
                found = await collection.fetch(original.ids, "")
            assert found.ids == original.ids
            assert found.metadata == original.metadata
            before, after = original.vectors["embedding"], found.vectors["embedding"]
            assert isinstance(before, DenseColumn)
            assert isinstance(after, DenseColumn)
            assert before.values.tobytes() == after.values.tobytes()
            print("went there and back: every byte is the same")

            removed = await service.rollback("there")
            assert removed.dropped_collection


if __name__ == "__main__":
    anyio.run(main)
