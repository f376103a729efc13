"""Makes the demo's collection on the Milvus server, and reads all records of either side with the vendor's client."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from vectormigrate.cli.demo.live.records import COLLECTION, DIM, FIELDS, Row, row
from vectormigrate.figures import counted, plural

PAGE = 1000
PLAIN = {"grpc.use_local_subchannel_pool": 1}
"""A connection of its own for each client."""


def create_on_milvus(url: str, records: int, dim: int = DIM) -> None:
    """The collection with records 0…`records`-1, each written by the operation of the same number."""
    pymilvus: Any = importlib.import_module("pymilvus")
    types = pymilvus.DataType
    client = pymilvus.MilvusClient(url, grpc_options=PLAIN)
    try:
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", types.INT64, is_primary=True)
        schema.add_field("embedding", types.FLOAT_VECTOR, dim=dim)
        for name in ("op", "note", "grp"):
            schema.add_field(name, types.INT64)
        schema.add_field("price", types.DOUBLE)
        schema.add_field("title", types.VARCHAR, max_length=100)
        index = client.prepare_index_params()
        index.add_index("embedding", index_type="FLAT", metric_type="IP")
        client.create_collection(COLLECTION, schema=schema, index_params=index, consistency_level="Strong")
        for start in range(0, records, PAGE):
            client.upsert(COLLECTION, [row(key, key, key, dim) for key in range(start, min(start + PAGE, records))])
    finally:
        client.close()


def read_milvus(url: str) -> list[Row]:
    """Every record; one that is there twice comes twice."""
    pymilvus: Any = importlib.import_module("pymilvus")
    client = pymilvus.MilvusClient(url, grpc_options=PLAIN)
    try:
        found = list[Row](_pages(client))
        # The pages are cut by id, so a second copy could hide between them, but not in the count.
        (count,) = client.query(COLLECTION, filter="", output_fields=["count(*)"], consistency_level="Strong")
        if count["count(*)"] != len(found):
            raise RuntimeError(
                f"the source holds {plural(count['count(*)'], 'record')} and shows {counted(len(found))}"
            )
        return found
    finally:
        client.close()


def _pages(client: Any) -> Iterator[Row]:
    last = -1
    names = ["id", "embedding", *FIELDS]
    while True:
        page = client.query(
            COLLECTION, filter=f"id > {last}", output_fields=names, limit=16_384, consistency_level="Strong"
        )
        yield from ({name: one[name] for name in names} for one in page)
        if len(page) < 16_384:
            return
        last = max(one["id"] for one in page)


def read_qdrant(url: str) -> list[Row]:
    """Every record; one that is there twice comes twice."""
    qdrant: Any = importlib.import_module("qdrant_client")
    client = qdrant.QdrantClient(url=url, check_compatibility=False)
    try:
        found: list[Row] = []
        offset: Any = None
        while True:
            points, offset = client.scroll(COLLECTION, limit=PAGE, offset=offset, with_vectors=True)
            for point in points:
                vector = point.vector["embedding"] if isinstance(point.vector, dict) else point.vector
                # Fields of the migration itself, such as what the target cannot hold, are none of the application's.
                found.append(
                    {"id": point.id, "embedding": vector, **{name: point.payload.get(name) for name in FIELDS}}
                )
            if offset is None:
                break
        count = client.count(COLLECTION, exact=True).count
        if count != len(found):
            raise RuntimeError(f"the target holds {plural(count, 'record')} and shows {counted(len(found))}")
        return found
    finally:
        client.close()
