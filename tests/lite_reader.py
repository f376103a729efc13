"""Reads a Milvus Lite collection with the vendor's client alone, in a process of its own.

    python -m tests.lite_reader FILE COLLECTION

prints a JSON object: primary key as text -> the row.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from typing import Any

from vectormigrate.config.settings import Endpoint


def read_lite(endpoint: Endpoint) -> dict[str, dict[str, Any]]:
    """Every row of a collection of at most 16,384 records that nobody has open."""
    words = [sys.executable, "-m", "tests.lite_reader", endpoint.url, endpoint.collection]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def main(path: str, collection: str) -> None:
    pymilvus: Any = importlib.import_module("pymilvus")
    client = pymilvus.MilvusClient(path)
    client.load_collection(collection)
    key = next(field["name"] for field in client.describe_collection(collection)["fields"] if field.get("is_primary"))
    rows = client.query(collection, filter="", output_fields=["*"], limit=16_384)
    assert len({row[key] for row in rows}) == len(rows)
    found = {str(row[key]): {name: value for name, value in row.items() if name != key} for row in rows}
    sys.stdout.write(json.dumps(found, default=lambda value: [float(item) for item in value]) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
