"""The demo's Qdrant server, with the vendor's own client and as the target of a migration."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.crash.support import Cli, migrate_args
from tests.harness.milvus_server import standalone
from vectormigrate.config.settings import Endpoint

pytestmark = [pytest.mark.slow]


@contextmanager
def front(folder: Path) -> Generator[tuple[str, subprocess.Popen[str]], None, None]:
    """The server's URL and its process."""
    words = [sys.executable, "-m", "vectormigrate.cli.demo.live.front", str(folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.stdin.close()
            process.wait()


def client(url: str) -> QdrantClient:
    return QdrantClient(url=url, check_compatibility=False)


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    with front(tmp_path / "q") as (url, process):
        qdrant = client(url)
        vectors = models.VectorParams(size=2, distance=models.Distance.DOT)
        qdrant.create_collection("c", vectors_config=vectors)
        qdrant.create_payload_index("c", "grp", models.PayloadSchemaType.INTEGER)
        points = [models.PointStruct(id=n, vector=[n, 1.5], payload={"grp": n % 3, "price": 0.1}) for n in range(9)]
        qdrant.upsert("c", points)
        qdrant.set_payload("c", {"price": 7}, [1])
        qdrant.delete("c", models.PointIdsList(points=[2]))
        group = models.FieldCondition(key="grp", match=models.MatchValue(value=0))
        qdrant.delete("c", models.FilterSelector(filter=models.Filter(must=[group])))
        process.kill()
        process.wait()
    with front(tmp_path / "q") as (url, _):
        qdrant = client(url)
        records, following = qdrant.scroll("c", limit=100, with_vectors=True)
        assert following is None
        assert [(item.id, item.vector, item.payload) for item in records] == [
            (1, [1, 1.5], {"grp": 1, "price": 7}),
            *((n, [n, 1.5], {"grp": n % 3, "price": 0.1}) for n in (4, 5, 7, 8)),
        ]
        assert [hit.id for hit in qdrant.query_points("c", [1, 0], limit=2).points] == [8, 7]
        assert qdrant.get_collection("c").payload_schema["grp"].data_type == models.PayloadSchemaType.INTEGER


def test_what_it_does_not_know_is_refused(tmp_path: Path) -> None:
    with front(tmp_path / "q") as (url, _):
        qdrant = client(url)
        qdrant.create_collection("c", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        near = models.GeoRadius(center=models.GeoPoint(lon=1, lat=1), radius=1)
        where = models.Filter(must=[models.FieldCondition(key="place", geo_radius=near)])
        for call in (
            lambda: qdrant.delete("c", models.FilterSelector(filter=where)),
            lambda: qdrant.delete_vectors("c", ["x"], [1]),
            lambda: qdrant.set_payload("c", {"a": 1}, [1]),
            lambda: qdrant.upsert("c", [models.PointStruct(id=1, vector=[1, 2, 3])]),
            lambda: qdrant.upsert("none", [models.PointStruct(id=1, vector=[1, 2])]),
            lambda: qdrant.create_collection("c", vectors_config={}),
        ):
            with pytest.raises(UnexpectedResponse):
                call()
        assert qdrant.count("c").count == 0


@pytest.mark.server
def test_a_collection_of_a_milvus_server_is_migrated_into_it_and_every_record_compared(tmp_path: Path) -> None:
    from vectormigrate.cli.demo.live.collection import COLLECTION, create_on_milvus

    with standalone() as milvus, front(tmp_path / "q") as (url, _):
        create_on_milvus(milvus, 300)
        source = Endpoint(type="milvus", url=milvus, collection=COLLECTION)
        target = Endpoint(type="qdrant", url=url, collection=COLLECTION)
        cli = Cli(tmp_path / "state.db")
        done = cli.run(*migrate_args("m", source, target), "--target-option", "prefer_grpc=false")
        assert done.returncode == 0, done.stderr
        checked = cli.run("validate", "m", "--full")
        assert checked.returncode == 0, checked.stdout
