"""pymilvus, in a process of its own because it keeps a Lite file locked."""

from __future__ import annotations

import base64
import importlib
import json
import sys
from typing import Any

import anyio

from tests.natively import NativeRecord, floats
from vectormigrate.settings import Endpoint


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    command = [sys.executable, "-m", "tests.natively.milvus", endpoint.url, endpoint.collection]
    done = await anyio.run_process(command, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [
        NativeRecord(
            id=row["id"],
            namespace=row["namespace"],
            fields=row["fields"],
            vectors={name: _from_json(value) for name, value in row["vectors"].items()},
        )
        for row in json.loads(done.stdout.splitlines()[-1])
    ]


def _from_json(value: Any) -> Any:
    return {int(index): weight for index, weight in value.items()} if isinstance(value, dict) else value


def main(url: str, collection: str) -> None:
    pymilvus: Any = importlib.import_module("pymilvus")
    client = pymilvus.MilvusClient(url)
    client.load_collection(collection)
    schema = client.describe_collection(collection)["fields"]
    key = next(field["name"] for field in schema if field.get("is_primary"))
    vectors = [field["name"] for field in schema if int(field["type"]) >= 100]
    rows: list[dict[str, Any]] = []
    for partition in client.list_partitions(collection):
        for row in client.query(
            collection,
            filter="",
            output_fields=["*"],
            limit=16_384,
            partition_names=[partition],
            consistency_level="Strong",
        ):
            namespace = "" if partition == "_default" else partition
            shown = {name: _vector(row[name]) for name in vectors if row.get(name) is not None}
            fields = {name: value for name, value in row.items() if name != key and name not in vectors}
            rows.append({"id": row[key], "namespace": namespace, "fields": fields, "vectors": shown})
    sys.stdout.write(json.dumps(rows, default=_default) + "\n")


def _vector(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(zip(map(int, value), floats(value.values()), strict=True))
    return floats(value)


def _default(value: Any) -> Any:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value.item()


if __name__ == "__main__":
    main(*sys.argv[1:])
