"""Fills the demo's source collection."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vectormigrate.cli.demo.corpus import Document
from vectormigrate.cli.demo.embedding import DIM, dense, sparse
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.errors import MigrationFailed
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField, Metric, VectorField, VectorKind

WRITE_ROWS = 1000
TYPES_NAMESPACE = "types"
"""Holds classes and modules; functions are in the default namespace."""


def schema(name: str) -> CollectionSchema:
    """Typed columns for two fields, everything else dynamic."""
    return CollectionSchema(
        name=name,
        id_kinds=frozenset({IdKind.STRING}),
        vectors=(
            VectorField(name="embedding", kind=VectorKind.DENSE, dim=DIM, metric=Metric.COSINE),
            VectorField(name="terms", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
        ),
        fields=(
            MetadataField(name="module", type=FieldType.STRING, declared=True, nullable=False),
            MetadataField(name="line", type=FieldType.INT64, declared=True, nullable=False),
        ),
    )


async def build(endpoint: Endpoint, documents: Sequence[Document], progress: Callable[[int], None]) -> dict[str, int]:
    """Create the collection and write every document; returns the records per namespace."""
    texts = [document.text for document in documents]
    embedding, terms = dense(texts), sparse(texts)
    counts: dict[str, int] = {}
    async with open_endpoint(endpoint) as target:
        await target.create(schema(endpoint.collection))
        for namespace in ("", TYPES_NAMESPACE):
            rows = [row for row, item in enumerate(documents) if (item.kind != "function") == bool(namespace)]
            counts[namespace] = len(rows)
            for start in range(0, len(rows), WRITE_ROWS):
                part = rows[start : start + WRITE_ROWS]
                chosen = RecordBatch(
                    namespace,
                    list[RecordId](item.name for item in documents),
                    {"embedding": embedding, "terms": terms},
                    [item.metadata for item in documents],
                ).take(part)
                rejects = await target.upsert(chosen)
                if rejects:
                    raise MigrationFailed(f"the demo's source refused {rejects[0].id!r}: {rejects[0].reason}")
                progress(len(part))
        await target.finalize()
    return counts
