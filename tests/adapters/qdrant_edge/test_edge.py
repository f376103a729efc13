"""What is particular to Qdrant Edge: the folder, the child process, exact payloads."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import struct
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import numpy as np
import psutil
import pytest

from vectormigrate.adapter import Target
from vectormigrate.adapter.json_floats import EXACT_FIELD, as_returned, protect, restore
from vectormigrate.adapters.qdrant.edge import SPEC, QdrantEdgeConfig
from vectormigrate.adapters.qdrant.edge.capabilities import MAX_LEVELS
from vectormigrate.adapters.qdrant.edge.catalogue import encode_name
from vectormigrate.adapters.qdrant.edge.embedded import Shared
from vectormigrate.adapters.qdrant.edge.frames import NAMESPACE_FIELD
from vectormigrate.errors import (
    AdapterError,
    AlreadyExists,
    CollectionNotFound,
    InvalidRequest,
    MissingExtra,
    QuotaExceeded,
    RecordsRejected,
    TerminalError,
    Unavailable,
)
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField, Metric, VectorField, VectorKind

pytest.importorskip("qdrant_edge")
pytestmark = pytest.mark.anyio

FIELD = VectorField(name="", kind=VectorKind.DENSE, dim=4, metric=Metric.DOT)
SCHEMA = CollectionSchema(name="c", id_kinds=frozenset({IdKind.UINT64}), vectors=(FIELD,))


def config(folder: Path, collection: str = "c", **options: Any) -> QdrantEdgeConfig:
    return QdrantEdgeConfig.model_validate({"url": str(folder), "collection": collection, "lock_wait": 2, **options})


@asynccontextmanager
async def created(folder: Path, schema: CollectionSchema = SCHEMA, **options: Any) -> AsyncGenerator[Target, None]:
    async with SPEC.open(config(folder, **options)) as target:
        await target.create(schema)
        yield target


def records(ids: list[RecordId], metadata: list[Metadata] | None = None, namespace: str = "") -> RecordBatch:
    values = np.random.default_rng(len(ids)).standard_normal((len(ids), 4)).astype(np.float32)
    return RecordBatch(namespace, ids, {"": DenseColumn(values)}, metadata or [{"n": row} for row in range(len(ids))])


def engine_process() -> psutil.Process:
    (child,) = [item for item in psutil.Process().children() if "edge.embedded_child" in " ".join(item.cmdline())]
    return child


async def test_acknowledged_writes_survive_a_killed_engine_and_the_next_call_restarts_it(tmp_path: Path) -> None:
    async with created(tmp_path / "db") as target:
        batch = records(list(range(300)))
        await target.upsert(batch)
        killed = engine_process()
        os.kill(killed.pid, signal.SIGKILL)
        with pytest.raises(Unavailable, match="ended"):
            await target.count()
        assert await target.count() == 300
        found = await target.fetch(batch.ids, "")
        assert found.vectors[""].values.tobytes() == batch.vectors[""].values.tobytes()
        assert engine_process().pid != killed.pid


async def test_opens_in_one_process_share_the_engine_until_the_last_closes(tmp_path: Path) -> None:
    async with created(tmp_path / "db") as first:
        async with SPEC.open(config(tmp_path / "db")) as second:
            await second.upsert(records([1, 2]))
            process = engine_process()
        assert await first.count() == 2
        assert engine_process() == process
    assert not process.is_running()


async def test_a_cancelled_optimize_ends_the_engine_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()

    def spy(shared: Shared, head: dict[str, Any], *rest: Any) -> Any:
        if head["op"] == "optimize":
            started.set()
        return exchange(shared, head, *rest)

    exchange = Shared.exchange
    schema = replace(SCHEMA, extras={"qdrant": {"optimizers": {"indexing_threshold": 1}}})
    async with created(tmp_path / "db", schema, optimize=True) as target:
        for start in range(0, 20_000, 2000):
            await target.upsert(records(list(range(start, start + 2000))))
        before = engine_process()
        monkeypatch.setattr(Shared, "exchange", spy)
        async with anyio.create_task_group() as group:
            group.start_soon(target.finalize)
            await anyio.to_thread.run_sync(started.wait)
            group.cancel_scope.cancel()
        assert await target.count() == 20_000
        assert engine_process() != before
        await target.finalize()
        query = (await target.fetch([7], "")).vectors[""].values
        assert len((await target.search("", query, 5, ""))[0].ids) == 5


def in_object(inner: Any) -> Any:
    return {"k": inner}


def in_list(inner: Any) -> Any:
    return [inner]


@pytest.mark.parametrize("levels", [MAX_LEVELS, MAX_LEVELS + 1])
@pytest.mark.parametrize("wrap", [in_object, in_list])
async def test_nesting_that_the_engine_could_not_read_back_is_rejected(
    tmp_path: Path, levels: int, wrap: Callable[[Any], Any]
) -> None:
    value: Any = {}
    for _ in range(levels - 2):
        value = wrap(value)
    async with created(tmp_path / "db") as target:
        rejects = await target.upsert(records([1, 2], [{"deep": value}, {}]))
        found = await target.fetch([1, 2], "")
    if levels > MAX_LEVELS:
        assert ([reject.code for reject in rejects], found.ids) == (["depth"], [2])
    else:
        assert (rejects, found.metadata[0]) == ([], {"deep": value})


async def test_key_order_is_kept(tmp_path: Path) -> None:
    metadata: Metadata = {"z": 1, "a": {"y": 2, "b": 3}, "m": 4}
    async with created(tmp_path / "db") as target:
        await target.upsert(records([1], [metadata], namespace="tenant"))
        (found,) = (await target.fetch([1], "tenant")).metadata
    assert json.dumps(found) == json.dumps(metadata)


@pytest.mark.parametrize("key", [NAMESPACE_FIELD, EXACT_FIELD])
async def test_reserved_keys_are_rejected(tmp_path: Path, key: str) -> None:
    async with created(tmp_path / "db") as target:
        (reject,) = await target.upsert(records([1], [{key: "x"}]))
        assert reject.code == "reserved"


async def test_an_id_moves_between_namespaces(tmp_path: Path) -> None:
    async with created(tmp_path / "db") as target:
        for namespace in ("", "a", "b", ""):
            await target.upsert(records([1], namespace=namespace))
            assert await target.namespaces() == [namespace]
            assert (await target.fetch([1], namespace)).ids == [1]
            assert await target.count() == 1


async def test_ids_are_scanned_in_order_across_the_border_of_numbers_and_uuids(tmp_path: Path) -> None:
    ids: list[RecordId] = [0, 5, 2**64 - 1, UUID(int=0), UUID(int=9), UUID(int=2**128 - 1)]
    async with created(tmp_path / "db") as target:
        await target.upsert(records(ids[::-1]))
        (partition,) = await target.partitions(1)
        assert [page.batch.ids[0] async for page in target.scan(partition, page_rows=1)] == ids


async def test_a_large_collection_is_cut_by_a_sample_that_stays_the_same(tmp_path: Path) -> None:
    async with created(tmp_path / "db") as target:
        for start in range(0, 44_000, 2000):
            await target.upsert(replace(records(list(range(start, start + 2000))), metadata=[{}] * 2000))
        partitions = await target.partitions(4)
        assert await target.partitions(4) == partitions
        sizes: list[int] = []
        for item in partitions:
            pages = target.scan(item, vectors=False, page_rows=5000)
            sizes.append(sum([len(page.batch) async for page in pages]))
    assert (len(partitions), sum(sizes)) == (4, 44_000)
    assert all(9_000 < size < 13_000 for size in sizes)


def contains(found: Any, wanted: Any) -> bool:
    """Whether every setting asked for is there, whatever else is."""
    if not isinstance(wanted, dict):
        return bool(found == wanted)
    return all(key in found and contains(found[key], value) for key, value in wanted.items())


async def test_vendor_settings_and_indexes_come_back_and_make_the_same_collection(tmp_path: Path) -> None:
    extras: dict[str, Any] = {
        "hnsw_config": {"m": 20, "ef_construct": 90, "full_scan_threshold": 500, "max_indexing_threads": 0},
        "quantization_config": {"scalar": {"type": "int8", "quantile": 0.9, "always_ram": True}},
        "optimizers": {"indexing_threshold": 5000},
        "vectors": {
            "turbo": {"datatype": "turbo8"},
            "flat": {"quantization_config": {"binary": {"encoding": "two_bits"}}},
        },
        "sparse_vectors": {"words": {"modifier": "idf"}},
        "payload_schema": {"user": {"data_type": "keyword", "params": {"is_tenant": True}}},
    }
    fields = (
        MetadataField(name="user", type=FieldType.STRING, indexed=True),
        MetadataField(name="a.b", type=FieldType.INT64, indexed=True),
        MetadataField(name="tags", type=FieldType.LIST, element=FieldType.STRING, indexed=True),
        MetadataField(name="place", type=FieldType.GEO, indexed=True),
        MetadataField(name="at", type=FieldType.DATETIME, indexed=True),
        MetadataField(name="text", type=FieldType.TEXT, indexed=True),
        MetadataField(name="uid", type=FieldType.UUID, indexed=True),
    )
    vectors = (
        replace(FIELD, name="turbo"),
        replace(FIELD, name="flat", index={"type": "flat"}),
        replace(FIELD, name="graph", index={"type": "hnsw", "m": 8, "ef_construct": 40}),
        VectorField(name="words", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT),
    )
    wanted = replace(SCHEMA, vectors=vectors, fields=fields, extras={"qdrant": extras})
    async with created(tmp_path / "one", wanted) as target:
        first = await target.describe()
    scalar, binary = {"kind": "scalar", "bits": 8}, {"kind": "binary", "bits": 2}
    indexes: list[dict[str, Any]] = [
        {"type": "hnsw", "m": 20, "ef_construct": 90, "quantization": scalar},
        {"type": "flat", "quantization": binary},
        {"type": "hnsw", "m": 8, "ef_construct": 40, "quantization": scalar},
        {},
    ]
    expected = tuple(replace(item, index=index) for item, index in zip(vectors, indexes, strict=True))
    assert (first.vectors, first.fields) == (expected, fields)
    for key, value in extras.items():
        found = first.extras["qdrant"][key]
        assert contains(found, value), key
    async with created(tmp_path / "two", first) as target:
        assert await target.describe() == first


async def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("x")
    for folder in (tmp_path, tmp_path / "data.txt"):
        with pytest.raises(InvalidRequest, match="folder"):
            async with SPEC.open(config(folder)) as target:
                await target.create(SCHEMA)
    assert os.listdir(tmp_path) == ["data.txt"]


async def test_a_missing_folder_is_not_made_by_reading(tmp_path: Path) -> None:
    async with SPEC.open(config(tmp_path / "none")) as target:
        with pytest.raises(CollectionNotFound):
            await target.describe()
    assert not (tmp_path / "none").exists()


async def test_a_damaged_or_newer_catalogue_is_a_clear_error(tmp_path: Path) -> None:
    async with created(tmp_path / "db"):
        pass
    path = tmp_path / "db" / "c" / "collection.json"
    good = json.loads(path.read_text())
    for text in ("{", "[]", json.dumps({**good, "format": 99}), json.dumps({**good, "collection": "other"})):
        path.write_text(text)
        with pytest.raises(TerminalError, match=r"collection\.json"):
            async with SPEC.open(config(tmp_path / "db")) as target:
                await target.describe()


async def test_what_a_crashed_create_left_is_cleared(tmp_path: Path) -> None:
    async with created(tmp_path / "db") as target:
        await target.upsert(records([1]))
    (tmp_path / "db" / "c" / "collection.json").unlink()
    async with SPEC.open(config(tmp_path / "db")) as target:
        with pytest.raises(CollectionNotFound):
            await target.count()
        await target.create(SCHEMA)
        assert await target.count() == 0


async def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # pyright: ignore[reportUnknownLambdaType]
    with pytest.raises(MissingExtra, match=r"vectormigrate\[qdrant-edge\]"):
        async with SPEC.open(config(tmp_path)):
            pass


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Service runtime error: failed to open WAL v/wal: Can't init WAL: Kind(WouldBlock)", Unavailable),
        ("Service runtime error: IO Error: No space left on device (os error 28)", QuotaExceeded),
        ("Vector dimension error: expected dim: 4, got 3", RecordsRejected),
        ("Not existing vector name error: x", InvalidRequest),
        ("Service runtime error: cannot create edge shard: path already contains segment data", AlreadyExists),
        ("cannot load edge shard: directory nowhere does not exist", CollectionNotFound),
        ("something new", TerminalError),
    ],
)
def test_engine_texts_become_our_errors(text: str, kind: type[AdapterError]) -> None:
    found = SPEC.classify(Exception(text), "upsert")
    assert type(found) is kind
    assert text in str(found)


def test_names_become_different_safe_file_names() -> None:
    names = ["a", "A", "%41", "..", ".", "a/b", "é", "x" * 149, "x" * 151, "x" * 152, "日" * 100, "\0", " "]
    encoded = [encode_name(name) for name in names]
    assert len({name.lower() for name in encoded}) == len(names)
    assert all(len(name) < 200 and "/" not in name and not name.startswith(".") for name in encoded)


def test_exact_floats_are_restored_unless_someone_changed_the_value() -> None:
    bad = next(value for value in iter(random.Random(1).random, None) if as_returned(value) != value)
    stored = protect({"a": bad, "b": [{"c": -bad}, 1.5], "d": "x"})
    assert stored[EXACT_FIELD]
    seen = {"a": as_returned(bad), "b": [{"c": 2.0}, 1.5], "d": "x", EXACT_FIELD: stored[EXACT_FIELD]}
    restore(seen)  # pyright: ignore[reportArgumentType]
    assert seen == {"a": bad, "b": [{"c": 2.0}, 1.5], "d": "x"}
    gone: Metadata = {"a": "text", EXACT_FIELD: stored[EXACT_FIELD]}
    restore(gone)
    assert gone == {"a": "text"}
    assert protect({"a": 9.9, "b": [0.1, 1e22], "c": 3}) == {"a": 9.9, "b": [0.1, 1e22], "c": 3}


async def test_floats_stay_exact_when_the_engine_writes_its_segments_anew(tmp_path: Path) -> None:
    generator = random.Random(5)
    rows: list[Metadata] = [{"value": generator.random(), "wide": generator.random() * 1e200} for _ in range(600)]
    schema = replace(SCHEMA, extras={"qdrant": {"optimizers": {"indexing_threshold": 1}}})
    async with created(tmp_path / "db", schema, optimize=True) as target:
        for start in (0, 200, 400):
            ids: list[RecordId] = list(range(start, start + 200))
            await target.upsert(records(ids, rows[start : start + 200]))
            await target.finalize()
        found = await target.fetch(list(range(600)), "")
    assert found.metadata == rows


async def test_our_model_of_the_engines_float_parser_is_right(tmp_path: Path) -> None:
    """Read what the engine really returns: a field of exact values that restores nothing shows its raw floats."""
    generator = random.Random(3)
    raw = [struct.unpack("<d", generator.randbytes(8))[0] for _ in range(3000)]
    doubles = [value for value in raw if math.isfinite(value)] + [generator.random() for _ in range(2000)]
    doubles += [5e-324 * generator.randrange(1, 2**40) for _ in range(200)] + [generator.random() * 1e-300]
    import qdrant_edge as edge

    shard_config = edge.EdgeConfig(vectors={"": edge.EdgeVectorParams(1, edge.Distance.Dot)})
    shard = edge.EdgeShard.create(str(tmp_path), shard_config)
    shard.update(edge.UpdateOperation.upsert_points([edge.Point(1, [1.0], {"values": doubles})]))
    payload = shard.retrieve([1], True, False)[0].payload
    shard.close()
    assert payload is not None
    assert payload["values"] == [as_returned(value) for value in doubles]
    assert payload["values"] != doubles
