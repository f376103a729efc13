"""Milvus Lite: its child process, and what only it does."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import psutil
import pytest
from anyio.to_thread import run_sync

from tests.adapters.milvus.native import native
from tests.adapters.milvus.shapes import T, field, floats, int_pk, shape
from tests.support.connected import connected
from vectormigrate.adapter import Target
from vectormigrate.adapters.milvus import SPEC, MilvusConfig
from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.adapters.milvus.proto import sp
from vectormigrate.errors import ConfigError, InvalidRequest, Unavailable
from vectormigrate.model.batch import DenseColumn, RecordBatch, SparseColumn
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, FieldType, Json, Metric, VectorField, VectorKind

pytestmark = pytest.mark.anyio

SCHEMA = CollectionSchema(
    name="c",
    id_kinds=frozenset({IdKind.INT64}),
    vectors=(VectorField(name="embedding", kind=VectorKind.DENSE, dim=4, metric=Metric.L2),),
)


def lite(folder: Path, collection: str = "c", **options: Any) -> MilvusConfig:
    return MilvusConfig(url=str(folder / "a.db"), collection=collection, **options)


def records(ids: list[Any], metadata: list[Any] | None = None, namespace: str = "", **vectors: Any) -> RecordBatch:
    values = (np.arange(len(ids) * 4) + 1).reshape(-1, 4).astype(np.float32)
    return RecordBatch(namespace, ids, {"embedding": DenseColumn(values), **vectors}, metadata or [{} for _ in ids])


async def everything(target: Target, namespace: str = "") -> list[RecordBatch]:
    (partition,) = await target.partitions(1, [namespace])
    return [page.batch async for page in target.scan(partition)]


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


async def test_everything_that_opens_one_database_shares_one_child(tmp_path: Path) -> None:
    before = children()
    async with connected(SPEC, lite(tmp_path, "one")) as one:
        await one.create(SCHEMA)
        (child,) = children() - before
        (tmp_path / "link").symlink_to(tmp_path)
        async with (
            connected(SPEC, lite(tmp_path / "link", "two")) as two,
            connected(SPEC, lite(tmp_path, "one")) as again,
        ):
            assert children() - before == {child}
            await two.create(SCHEMA)
            await again.upsert(records([1, 2]))
            assert (await one.count(), await two.count()) == (2, 0)
        assert children() - before == {child}
        assert await one.count() == 2
    assert children() <= before


async def test_opening_and_using_it_imports_no_pymilvus_client_and_reads_no_env_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("VECTORMIGRATE_SHOULD_STAY_UNSET=1\n")
    program = (
        "import anyio, os, sys\n"
        "from vectormigrate.adapters.milvus import SPEC, MilvusConfig\n"
        "async def main():\n"
        "    async with SPEC.open(MilvusConfig(url='a.db', collection='c')) as target:\n"
        "        loaded = 'pymilvus' in sys.modules\n"
        "        print(await target.server(), loaded, os.environ.get('VECTORMIGRATE_SHOULD_STAY_UNSET'))\n"
        "anyio.run(main)\n"
    )
    path = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": path}
    done = await anyio.run_process([sys.executable, "-c", program], cwd=tmp_path, env=environment)
    assert done.stdout.decode().split() == ["Milvus", "Lite", "3.2.2", "False", "None"]


async def test_a_killed_process_leaves_the_database_to_the_next_one_at_once(tmp_path: Path) -> None:
    program = (
        "import anyio, sys\n"
        "from vectormigrate.adapters.milvus import SPEC, MilvusConfig\n"
        "async def main():\n"
        f"    async with SPEC.open(MilvusConfig(url={str(tmp_path / 'a.db')!r}, collection='c')):\n"
        "        print('ready', flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    command = [sys.executable, "-c", program]
    async with await anyio.open_process(command, cwd=Path(__file__).parents[3], stderr=None) as other:
        try:
            assert other.stdout is not None
            assert (await other.stdout.receive()).strip() == b"ready"
            with pytest.raises(Unavailable, match=r"another process has .*a\.db"):
                async with connected(SPEC, lite(tmp_path, lock_wait=0)):
                    pass
        finally:
            other.send_signal(signal.SIGKILL)
    async with connected(SPEC, lite(tmp_path)) as target:
        await target.create(SCHEMA)
        assert await target.count() == 0


async def test_what_is_no_lite_database_is_refused_and_leaves_no_child(tmp_path: Path) -> None:
    before = children()
    (tmp_path / "a.db").write_bytes(b"written by Milvus Lite 2")
    with pytest.raises(InvalidRequest, match="is a file"):
        async with connected(SPEC, lite(tmp_path)):
            pass
    with pytest.raises(ConfigError, match="does not exist"):
        async with connected(SPEC, lite(tmp_path / "missing")):
            pass
    with pytest.raises(InvalidRequest, match="no database 'shop'"):
        async with connected(
            SPEC,
            lite(tmp_path / ".." / tmp_path.name, database="shop").model_copy(update={"url": str(tmp_path / "b.db")}),
        ):
            pass
    assert children() <= before


async def test_a_released_collection_is_loaded_for_reading_and_released_again(tmp_path: Path) -> None:
    config = lite(tmp_path)
    async with native(config) as other:
        async with connected(SPEC, config) as target:
            await target.create(SCHEMA)
            await target.upsert(records([1, 2, 3]))
            await target.finalize()
        await other.release("c")
        async with connected(SPEC, config) as target:
            await target.describe()
            assert await other.state("c") == 1
            assert await target.count() == 3
            assert await other.state("c") == 3
            await other.release("c")
            assert (await target.fetch([2], "")).ids == [2]
        assert await other.state("c") == 1


SLOW: dict[str, Json] = {"m": 64, "ef_construct": 512}


async def fill_and_close(folder: Path, dim: int, index: dict[str, Json] = SLOW) -> None:
    """A new collection, closed at once after writing, with an index that takes a while to build."""
    slow = VectorField(name="embedding", kind=VectorKind.DENSE, dim=dim, metric=Metric.L2, index=index)
    values = np.random.default_rng(7).standard_normal((2_000, dim)).astype(np.float32)
    async with connected(SPEC, lite(folder)) as target:
        await target.create(CollectionSchema(name="c", id_kinds=SCHEMA.id_kinds, vectors=(slow,)))
        await target.upsert(RecordBatch("", list(range(2_000)), {"embedding": DenseColumn(values)}, [{}] * 2_000))
        await target.finalize()


def index_file(folder: Path) -> Path:
    (found,) = folder.rglob("*.idx")
    return found


async def test_closing_lets_lite_finish_the_index_that_it_builds_behind_our_back(tmp_path: Path) -> None:
    await fill_and_close(tmp_path, 768)
    index = index_file(tmp_path)
    before = index.stat()
    assert before.st_size > 2_000 * 768 * 4
    async with connected(SPEC, lite(tmp_path)) as target:
        assert await target.count() == 2_000
    assert index.stat().st_mtime_ns == before.st_mtime_ns


async def test_who_is_cancelled_leaves_lite_to_finish_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vectormigrate.adapters.milvus.embedded.CANCELLED_SECONDS", 0.0)
    before = children()
    with anyio.CancelScope() as scope:
        async with connected(SPEC, lite(tmp_path)) as target:
            await fill_and_close(tmp_path, 768)
            assert target.capabilities
            scope.cancel()
    assert scope.cancel_called
    await run_sync(psutil.wait_procs, children() - before)
    assert index_file(tmp_path).stat().st_size > 2_000 * 768 * 4


async def test_an_index_file_that_lite_is_still_writing_is_waited_for(tmp_path: Path) -> None:
    await fill_and_close(tmp_path, 4)
    index = index_file(tmp_path)
    whole = index.read_bytes()
    index.write_bytes(whole[:100])
    async with connected(SPEC, lite(tmp_path)) as target, anyio.create_task_group() as tasks:

        async def finish() -> None:
            await anyio.sleep(1)
            index.write_bytes(whole)

        tasks.start_soon(finish)
        assert await target.count() == 2_000


@pytest.mark.parametrize("kind", [SLOW, {"type": "flat"}], ids=["hnsw", "flat"])
async def test_an_index_file_cut_off_by_a_kill_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: dict[str, Json]
) -> None:
    monkeypatch.setattr("vectormigrate.adapters.milvus.session.INDEX_FILE_SECONDS", 0.2)
    await fill_and_close(tmp_path, 4, kind)
    index = index_file(tmp_path)
    index.write_bytes(index.read_bytes()[:100])
    async with connected(SPEC, lite(tmp_path)) as target:
        with pytest.raises(
            InvalidRequest, match=r"remove that file, or all files in the folders called indexes"
        ) as caught:
            await target.count()
        assert str(tmp_path / "a.db") in str(caught.value)
        assert index.parent.name == "indexes"
        index.unlink()
        assert await target.count() == 2_000


async def test_a_collection_without_index_is_read_and_its_metric_called_a_guess(tmp_path: Path) -> None:
    config = lite(tmp_path)
    async with native(config) as other, connected(SPEC, config) as target:
        await other.create("c", shape())
        await other.insert("c", records([3, 1, 2]), shape())
        (page,) = await everything(target)
        assert page.ids == [1, 2, 3]
        assert (await target.describe()).extras["milvus"]["unindexed"] == ["embedding"]


async def test_declared_nullable_and_dynamic_fields_come_back_as_they_are(tmp_path: Path) -> None:
    config = lite(tmp_path)
    default = sp.ValueField(string_data="none")
    wanted = shape(
        int_pk("key"),
        floats(),
        field("year", T.Int16, nullable=True),
        field("kind", T.VarChar, {"max_length": 9}, default_value=default),
        field("doc", T.JSON, nullable=True),
        field("tags", T.Array, {"max_capacity": 3, "max_length": 9}, element_type=T.VarChar, nullable=True),
    )
    async with native(config) as other, connected(SPEC, config) as target:
        await other.create("c", wanted, properties=pairs({"collection.ttl.seconds": 999_999}))
        await other.index("c", index_type="HNSW", metric_type="IP", params='{"M": 9, "efConstruction": 33}')
        rows: list[Any] = [
            {"year": 7, "kind": "x", "doc": {"a": [1, None, 1.0]}, "tags": ["a"], "free": None},
            {"year": None, "kind": "y", "doc": None, "tags": None},
        ]
        assert await target.upsert(records([1, 2], rows)) == []
        assert await target.upsert(records([3], [{"year": 1, "doc": [2]}])) == []
        (page,) = await everything(target)
        expected = [*rows, {"year": 1, "kind": "none", "doc": [2], "tags": None}]
        assert [repr(sorted(row.items())) for row in page.metadata] == [repr(sorted(row.items())) for row in expected]
        schema = await target.describe()
        kinds = {item.name: (item.type, item.nullable, item.element) for item in schema.fields}
        assert kinds == {
            "year": (FieldType.INT16, True, None),
            "kind": (FieldType.STRING, False, None),
            "doc": (FieldType.JSON, True, None),
            "tags": (FieldType.LIST, True, FieldType.STRING),
        }
        assert target.capabilities.metadata.reserved == {"$meta", "key"}
        async with connected(SPEC, lite(tmp_path, "copy")) as copy:
            await copy.create(schema)
            assert await copy.upsert(page) == []
            again = await copy.describe()
            (copied,) = await everything(copy)
    assert (copied.ids, copied.metadata) == (page.ids, page.metadata)
    assert again.fields == schema.fields
    assert again.vectors == schema.vectors
    kept = ("pk", "vectors", "properties", "indexes")
    assert [again.extras["milvus"][name] for name in kept] == [schema.extras["milvus"][name] for name in kept]


async def test_a_json_field_rejects_what_lite_would_not_return(tmp_path: Path) -> None:
    config = lite(tmp_path)
    async with native(config) as other, connected(SPEC, config) as target:
        await other.create("c", shape(int_pk(), floats(), field("doc", T.JSON)))
        refused: list[Any] = [{"doc": value} for value in ("plain text", "7", "", 7, 1.5, True)]
        rejects = await target.upsert(records(list(range(6)), refused))
        assert [reject.code for reject in rejects] == ["lite_json"] * 6
        (null,) = await target.upsert(records([6], [{"doc": None}]))
        assert null.code == "field_missing"
        assert await target.upsert(records([5], [{"doc": ["plain text", "7"]}])) == []
        assert (await target.fetch([5], "")).metadata == [{"doc": ["plain text", "7"]}]


async def test_a_record_moves_when_it_is_written_to_another_namespace(tmp_path: Path) -> None:
    async with connected(SPEC, lite(tmp_path)) as target:
        await target.create(SCHEMA)
        await target.upsert(records([1, 2], namespace="a"))
        await target.upsert(records([1], [{"n": 1}], namespace="b"))
        assert await target.count() == 2
        assert [await target.count(name) for name in ("a", "b", "")] == [1, 1, 0]
        assert (await target.fetch([1], "b")).metadata == [{"n": 1}]
        assert (await target.fetch([1], "a")).ids == []
        await target.delete([1, 2], "a")
        assert [await target.count(name) for name in ("a", "b")] == [0, 1]


async def test_a_collection_with_a_partition_key_has_one_namespace(tmp_path: Path) -> None:
    config = lite(tmp_path)
    wanted = shape(int_pk(), floats(), field("tenant", T.VarChar, {"max_length": 9}, is_partition_key=True))
    async with native(config) as other, connected(SPEC, config) as target:
        await other.create("c", wanted, num_partitions=4)
        rows = [{"tenant": f"t{number % 7}"} for number in range(30)]
        assert await target.upsert(records(list(range(30)), rows)) == []
        assert await target.namespaces() == [""]
        (page,) = await everything(target)
        assert (page.ids, page.metadata) == (list(range(30)), rows)
        assert await target.count() == await target.count("") == 30
        (reject,) = await target.upsert(records([99], [{"tenant": "x"}], namespace="alpha"))
        assert reject.code == "namespace"
        await target.delete([3, 4], "")
        assert await target.count() == 28


async def test_the_output_of_a_function_is_neither_read_nor_written_but_made_again(tmp_path: Path) -> None:
    config = lite(tmp_path)
    text = field("text", T.VarChar, {"max_length": 99, "enable_analyzer": "true"})
    bm25 = sp.FunctionSchema(
        name="f", type=sp.FunctionType.BM25, input_field_names=["text"], output_field_names=["words"]
    )
    wanted = shape(int_pk(), floats(), text, field("words", T.SparseFloatVector), functions=[bm25])
    async with (
        native(config) as other,
        connected(SPEC, config) as target,
        connected(SPEC, lite(tmp_path, "copy")) as copy,
    ):
        await other.create("c", wanted)
        await other.index("c")
        await other.index("c", "words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
        assert await target.upsert(records([1], [{"text": "a red fox"}])) == []
        schema = await target.describe()
        assert [item.name for item in schema.vectors] == ["embedding"]
        (page,) = await everything(target)
        assert set(page.vectors) == {"embedding"}
        await copy.create(schema)
        assert await copy.upsert(page) == []
        again = (await copy.describe()).extras["milvus"]
        assert again["functions"] == schema.extras["milvus"]["functions"] != []
        assert again["derived"] == schema.extras["milvus"]["derived"] != {}
        assert {item["field_name"] for item in again["indexes"]} == {"embedding", "words"}


async def test_weights_of_zero_which_lite_forgets_are_rejected(tmp_path: Path) -> None:
    words = VectorField(name="words", kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT)
    async with connected(SPEC, lite(tmp_path)) as target:
        await target.create(CollectionSchema(name="c", id_kinds=SCHEMA.id_kinds, vectors=(*SCHEMA.vectors, words)))
        column = SparseColumn(np.array([0, 2], np.int64), np.array([1, 5], np.uint32), np.array([0, 2], np.float32))
        (reject,) = await target.upsert(records([1], words=column))
        assert reject.code == "sparse_zero"


async def test_a_source_opened_by_its_alias_is_the_collection(tmp_path: Path) -> None:
    config = lite(tmp_path)
    async with native(config) as other, connected(SPEC, config) as target:
        await target.create(SCHEMA)
        await target.upsert(records([1, 2]))
        await other.alias("c", "current")
        async with connected(SPEC, lite(tmp_path, "current")) as aliased:
            assert (await aliased.describe()).name == "current"
            assert (await aliased.describe()).extras["milvus"]["aliases"] == ["current"]
            (page,) = await everything(aliased)
            assert page.ids == [1, 2]
