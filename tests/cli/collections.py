"""Small real collections for the command line to move, on the embedded engine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import numpy as np

from tests.cli.process import Shell
from vectormigrate import registry
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

ENGINE = "qdrant_edge"
DIM = 8


def seed(folder: Path, name: str, records: int, *, dim: int = DIM, first: int = 0) -> None:
    """A collection in an engine folder: integer ids, one vector, a few fields. It must not exist."""

    async def make() -> None:
        spec = registry.load(ENGINE)
        async with spec.open(spec.config(url=str(folder), collection=name)) as collection:
            vector = VectorField(name="text", kind=VectorKind.DENSE, dim=dim, metric=Metric.L2)
            await collection.create(
                CollectionSchema(name=name, id_kinds=spec.capabilities.ids.kinds, vectors=(vector,))
            )
            values = np.random.default_rng(7).normal(size=(records, dim)).astype(np.float32)
            metadata: list[dict[str, Any]] = [{"title": f"t{row}", "deep": {"n": row}} for row in range(records)]
            ids: list[Any] = list(range(first, first + records))
            await collection.upsert(RecordBatch("", ids, {"text": DenseColumn(values)}, metadata))
            await collection.finalize()

    anyio.run(make)


def ends(source: str = "source", target: str = "target", index: str = "docs") -> list[str]:
    """The flags from one folder to another."""
    return [
        *("--source-type", ENGINE, "--source-url", source, "--source-collection", index),
        *("--target-type", ENGINE, "--target-url", target, "--target-collection", index),
    ]


def count(folder: Path, name: str = "docs") -> int:
    """Records that the engine holds."""

    async def ask() -> int:
        spec = registry.load(ENGINE)
        async with spec.open(spec.config(url=str(folder), collection=name)) as collection:
            return await collection.count()

    return anyio.run(ask)


def lose(folder: Path, record_id: int, name: str = "docs") -> None:
    """Delete a record past everything."""

    async def delete() -> None:
        spec = registry.load(ENGINE)
        async with spec.open(spec.config(url=str(folder), collection=name)) as collection:
            await collection.delete([record_id], "")

    anyio.run(delete)


def wait_for(shell: Shell, migration_id: str, **wanted: object) -> Mapping[str, Any]:
    """The status document, as soon as it says this. The timeout of the test is the limit."""
    while True:
        ended = shell.run("status", migration_id, "--json")
        if ended.code == 0 and all(ended.document[name] == value for name, value in wanted.items()):
            return ended.document
