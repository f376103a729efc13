"""Plans and pages for tests of the state file."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from vectormigrate.adapter import Reject
from vectormigrate.model.ids import IdKind
from vectormigrate.model.plan import EndpointRef, MappingRules, MigrationPlan, MigrationSpec
from vectormigrate.model.position import Partition
from vectormigrate.model.schema import CollectionSchema, DType, Metric, VectorField, VectorKind
from vectormigrate.state import PageCommit, Store

READ, WRITTEN = 5, 4
"""Records per page of `page`: four are written, one is a reject."""


def make_plan(
    migration_id: str = "orders", partitions: int = 2, namespaces: tuple[str, ...] = ("eu",), rows: int = 100
) -> MigrationPlan:
    """A plan with `partitions` partitions per namespace of `rows` records each."""
    vector = VectorField(name="v", kind=VectorKind.DENSE, dim=4, metric=Metric.COSINE, dtype=DType.FLOAT32)
    schema = CollectionSchema(name="orders", id_kinds=frozenset({IdKind.STRING}), vectors=(vector,))
    source = EndpointRef(type="memory", collection="a", location="memory://here/a", api_key_ref="env:SOURCE_KEY")
    target = EndpointRef(type="memory", collection="b", location="memory://there/b")
    parts = [
        Partition(id=f"{namespace}-{n}", namespace=namespace, bounds={"from": n}, rows=rows)
        for namespace in namespaces
        for n in range(partitions)
    ]
    return MigrationPlan(
        spec=MigrationSpec(id=migration_id, source=source, target=target),
        source_schema=schema,
        target_schema=schema,
        target_exists=False,
        rules=MappingRules(
            id_strategy="native",
            id_salt="",
            vectors=(),
            namespaces={},
            renames={},
            excludes=(),
            sidecar=False,
            accepted_losses=(),
            target_limits={},
        ),
        field_mappings=(),
        losses=(),
        namespaces=dict.fromkeys(namespaces, partitions * rows),
        partitions=tuple(parts),
        total_records=rows * len(parts),
        bytes_per_record=16,
        profiled_records=0,
    )


def page_ids(partition_id: str, seq: int) -> list[int | str]:
    """What page `seq` of the partition writes."""
    return [seq * 10, f"{partition_id}/{seq}/a", f"{partition_id}/{seq}/b", f"{partition_id}/{seq}/ü"]


def page(partition_id: str, seq: int, *, done: bool = False) -> PageCommit:
    """Page `seq`: everything in it follows from partition and number, so that it can be checked later."""
    return PageCommit(
        partition_id=partition_id,
        seq=seq,
        cursor={"page": seq},
        read=READ,
        written=WRITTEN,
        rejects=[Reject(f"{partition_id}/{seq}/bad", "eu", "nan", "a component is not a number")],
        written_ids=[(f"to-{partition_id}", page_ids(partition_id, seq))],
        batches=1,
        retries=seq % 2,
        checked=2,
        losses={"float64": 3},
        done=done,
    )


def content(path: Path) -> bytes:
    """The bytes of a file."""
    return path.read_bytes()


def size(path: Path) -> int:
    """Bytes in a file."""
    return path.stat().st_size


def beside(path: Path) -> list[str]:
    """Names of everything in the folder of a file."""
    return sorted(entry.name for entry in path.parent.iterdir())


def put(path: Path, data: bytes = b"", at: int | None = None) -> None:
    """Write a file anew, or over what it holds from `at` on."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb" if at is None else "r+b") as file:
        file.seek(at or 0)
        file.write(data)


def sql(path: Path, statement: str, *values: object) -> list[Any]:
    """Look into the file, or damage it, behind the store's back."""
    with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as connection:
        return connection.execute(statement, values).fetchall()


async def written_records(store: Store, migration_id: str) -> int:
    """How many written ids the state file keeps."""
    return sum([len(ids) async for _, ids in store.written_ids.blocks(migration_id)])
