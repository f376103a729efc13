"""What the Qdrant codec costs our own process, without any server.

    python -m tests.benchmarks.codec --dim 768

Prints CPU microseconds per record, median and best of several rounds, of turning an answer's bytes into a batch and a
batch into a request's bytes, checks included, and the records per second that one core can do of both. The records have
UUIDs, one float32 vector and a nested payload of seven fields.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from vectormigrate.adapter.json_floats import EXACT_FIELD, protect, restore
from vectormigrate.adapter.record_checks import record_problems
from vectormigrate.adapters.qdrant import decode, encode_points
from vectormigrate.adapters.qdrant.proto import pb
from vectormigrate.adapters.qdrant.rejects import fits_grpc, metadata_problem
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.schema import Metric, VectorField, VectorKind

ROWS = 1000


def made(dim: int) -> RecordBatch:
    """A page of records."""
    values = np.random.default_rng(7).standard_normal((ROWS, dim), dtype=np.float32)
    metadata: list[Metadata] = [
        {
            "title": f"title of record {n}",
            "lang": "en",
            "year": 1900 + n % 120,
            "score": n / 7,
            "public": n % 2 == 0,
            "tags": ["alpha", f"t{n % 50}"],
            "source": {"page": n % 300, "name": f"file-{n % 11}"},
        }
        for n in range(ROWS)
    ]
    return RecordBatch("", [uuid5(NAMESPACE_OID, str(n)) for n in range(ROWS)], {"": DenseColumn(values)}, metadata)


def request(batch: RecordBatch, field: VectorField) -> bytes:
    """As the adapter writes them: checked, then encoded."""
    assert not list(record_problems(batch, [field]))
    assert not any(metadata_problem(item, "", "") for item in batch.metadata)
    payloads = {row: protect(item) for row, item in enumerate(batch.metadata)}
    assert all(map(fits_grpc, payloads.values()))
    head = pb.UpsertPoints(collection_name="c", wait=True).SerializeToString()
    return head + encode_points.points(batch, list(range(len(batch))), payloads, single=True)


def answer_of(sent: bytes) -> bytes:
    """The page of a scroll that returns what was sent."""
    answer = pb.ScrollResponse()
    for point in pb.UpsertPoints.FromString(sent).points:
        found = answer.result.add(id=point.id)
        found.vectors.vector.dense.MergeFromString(point.vectors.vector.dense.SerializeToString())
        for key in point.payload:
            found.payload[key].CopyFrom(point.payload[key])
    return answer.SerializeToString()


def batch_of(answer: bytes, field: VectorField) -> RecordBatch:
    """As the adapter reads them."""
    points = pb.ScrollResponse.FromString(answer).result
    metadata = [decode.payload(point.payload) for point in points]
    for item in metadata:
        if EXACT_FIELD in item:
            restore(item)
    return RecordBatch("", decode.ids_of(points), decode.columns(points, [field]), metadata)


def micros(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """(median, best) CPU microseconds per record."""
    found: list[float] = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        found.append(1e6 * (time.process_time() - started) / ROWS)
    return statistics.median(found), min(found)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--rounds", type=int, default=50)
    args = parser.parse_args()
    field = VectorField(name="", kind=VectorKind.DENSE, dim=args.dim, metric=Metric.DOT)
    batch = made(args.dim)
    sent = request(batch, field)
    answer = answer_of(sent)
    again = batch_of(answer, field)
    if again.ids != batch.ids or again.metadata != batch.metadata:
        raise SystemExit("the codec does not give back what it was given")
    reading = micros(lambda: batch_of(answer, field), args.rounds)
    writing = micros(lambda: request(batch, field), args.rounds)
    print(f"Qdrant codec, {ROWS} records of {args.dim} dimensions, {args.rounds} rounds (median / best)")
    print(f"  decode {reading[0]:5.1f} / {reading[1]:5.1f} us per record")
    print(f"  encode {writing[0]:5.1f} / {writing[1]:5.1f} us per record")
    both = [1e6 / (one + other) for one, other in zip(reading, writing, strict=True)]
    print(f"  decode + encode: {both[0]:,.0f} / {both[1]:,.0f} records per second and core")


if __name__ == "__main__":
    main()
