"""What it costs to find out what a write touches, per database, without any server or socket.

    python -m tests.benchmarks.classify --dim 768

Prints CPU microseconds per request, median and best of several rounds, for one point and for 100, as JSON and as
protobuf, and what parsing the whole body costs with orjson or the vendor's own messages. Every point has a vector of
float32 and a payload of four fields.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import orjson

from tests.capture import tables
from tests.capture.requests import GRPC, frame
from vectormigrate.adapter.operations import CollectionFacts, Division
from vectormigrate.adapters.milvus.proto import pb as milvus
from vectormigrate.adapters.milvus.proto import sp
from vectormigrate.adapters.qdrant.proto import common
from vectormigrate.adapters.qdrant.proto import pb as qdrant
from vectormigrate.adapters.weaviate.proto import batch as weaviate
from vectormigrate.capture.classify import Head, classify

FACTS = {"c": CollectionFacts(id_field="pk", divided_by=Division.REQUEST)}
PAYLOAD = {"title": "a title of a few words", "year": 1999, "score": 0.25, "tags": ["a", "b"]}


def vectors(rows: int, dim: int) -> Any:
    """Of standard normal numbers."""
    return np.random.default_rng(7).standard_normal((rows, dim), dtype=np.float32)


def uuid(row: int) -> str:
    """A UUID of a version that servers make."""
    return str(uuid5(NAMESPACE_OID, str(row)))


def json_bodies(rows: int, dim: int) -> dict[str, tuple[Head, bytes]]:
    """One write per database."""
    values = [[float(x) for x in vector] for vector in vectors(rows, dim)]
    points = [{"id": uuid(row), "vector": vector, "payload": PAYLOAD} for row, vector in enumerate(values)]
    objects = [
        {"class": "C", "id": uuid(row), "vector": vector, "properties": PAYLOAD} for row, vector in enumerate(values)
    ]
    records = [{"id": f"doc#{row}", "values": vector, "metadata": PAYLOAD} for row, vector in enumerate(values)]
    lines = [{"pk": row, "v": vector, **PAYLOAD} for row, vector in enumerate(values)]
    bodies: dict[str, tuple[str, str, Any]] = {
        "qdrant": ("PUT", "/collections/c/points?wait=true", {"points": points}),
        "weaviate": ("POST", "/v1/batch/objects", {"objects": objects}),
        "pinecone": ("POST", "/vectors/upsert", {"vectors": records, "namespace": "n"}),
        "milvus": ("POST", "/v2/vectordb/entities/upsert", {"collectionName": "c", "data": lines}),
    }
    return {
        name: (Head(method, path, {"content-type": "application/json"}), orjson.dumps(body))
        for name, (method, path, body) in bodies.items()
    }


def wire_bodies(rows: int, dim: int) -> dict[str, tuple[Head, Any]]:
    """One write per database, as the vendor's message."""
    found: dict[str, tuple[Head, Any]] = {}
    values = vectors(rows, dim)
    points: list[Any] = []
    for row in range(rows):
        point: Any = qdrant.PointStruct(id=common.PointId(uuid=uuid(row)))
        point.vectors.vector.dense.data.extend(values[row])
        point.payload["title"].string_value = "a title of a few words"
        point.payload["year"].integer_value = 1999
        point.payload["score"].double_value = 0.25
        point.payload["lang"].string_value = "en"
        points.append(point)
    found["qdrant"] = (
        Head("POST", "/qdrant.Points/Upsert", GRPC),
        qdrant.UpsertPoints(collection_name="c", wait=True, points=points),
    )
    objects: list[Any] = []
    for row in range(rows):
        item: Any = weaviate.BatchObject(uuid=uuid(row), collection="C", vector_bytes=values[row].tobytes())
        item.properties.non_ref_properties.update({"title": "a title of a few words", "year": 1999})
        objects.append(item)
    found["weaviate"] = (
        Head("POST", "/weaviate.v1.Weaviate/BatchObjects", GRPC),
        weaviate.BatchObjectsRequest(objects=objects),
    )
    columns = [
        sp.FieldData(field_name="pk", scalars=sp.ScalarField(long_data=sp.LongArray(data=range(10**9, 10**9 + rows)))),
        sp.FieldData(field_name="title", scalars=sp.ScalarField(string_data=sp.StringArray(data=["a title"] * rows))),
        sp.FieldData(
            field_name="v",
            vectors=sp.VectorField(dim=dim, float_vector=sp.FloatArray(data=values.ravel().tolist())),
        ),
    ]
    found["milvus"] = (
        Head("POST", "/milvus.proto.milvus.MilvusService/Upsert", GRPC),
        milvus.UpsertRequest(collection_name="c", num_rows=rows, fields_data=columns),
    )
    return found


def micros(call: Callable[[], object], rounds: int = 15) -> tuple[float, float]:
    """Median and best CPU time of one call in µs."""
    call()
    times: list[float] = []
    for _ in range(rounds):
        count, start = 0, time.process_time()
        while count < 10 or time.process_time() - start < 0.02:
            call()
            count += 1
        times.append((time.process_time() - start) / count * 1e6)
    return statistics.median(times), min(times)


def shown(label: str, rows: int, size: int, mine: tuple[float, float], whole: tuple[float, float]) -> None:
    print(
        f"{label:<20} {rows:>4} points {size / 1000:>8.0f} kB   {mine[0]:>8.1f} µs (best {mine[1]:.1f})"
        f"   whole body {whole[0]:>8.1f} µs"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=768)
    dim = parser.parse_args().dim
    for rows in (1, 100):
        for name, (head, body) in json_bodies(rows, dim).items():
            operations = tables.operations(name)
            touch = classify(operations, head, body, FACTS)
            assert not touch.scopes
            assert len(touch.keys[0].ids) == rows
            mine = micros(lambda o=operations, h=head, b=body: classify(o, h, b, FACTS))
            shown(f"{name} JSON", rows, len(body), mine, micros(lambda b=body: orjson.loads(b)))
        for name, (head, message) in wire_bodies(rows, dim).items():
            operations, body = tables.operations(name), frame(message.SerializeToString())
            touch = classify(operations, head, body, FACTS)
            assert not touch.scopes
            assert len(touch.keys[0].ids) == rows
            mine = micros(lambda o=operations, h=head, b=body: classify(o, h, b, FACTS))
            kind: Any = type(message)
            shown(f"{name} protobuf", rows, len(body), mine, micros(partial(kind.FromString, body[5:])))


if __name__ == "__main__":
    main()
