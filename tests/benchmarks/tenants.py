"""What a collection of many small namespaces costs: seconds and calls per namespace of planning, migrating, comparing.

    python -m tests.benchmarks.tenants --source weaviate --target pinecone --tenants 10000 --records 1

The databases are the emulators, in this process; `weaviate` and `qdrant` are the servers that
VECTORMIGRATE_TEST_WEAVIATE_URL (with …_GRPC) and VECTORMIGRATE_TEST_QDRANT_URL (with …_QDRANT_GRPC_PORT) name.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import anyio
import numpy as np
from pydantic import SecretStr

from tests.emulators import pinecone, qdrant, weaviate
from tests.support.calls import since_last
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.plan import RunOptions
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField, Metric, VectorField, VectorKind
from vectormigrate.service import Service, open_service

DIM = 8
WRITERS = 8
SHOWN = 6
"""Operations that are named; the rest are summed up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where a database answers, and how often each of its operations was asked for since the last call of `calls`."""

    type: str
    url: str
    options: dict[str, object]
    key: SecretStr | None = None
    calls: Callable[[], Counter[str]] = Counter

    def endpoint(self, collection: str) -> Endpoint:
        """One of its collections, named as it allows."""
        collection = collection.capitalize() if self.type == "weaviate" else collection
        return Endpoint(type=self.type, url=self.url, api_key=self.key, collection=collection, options=self.options)


@contextmanager
def running(name: str) -> Generator[Database]:
    """The database for as long as the context lasts."""
    url = os.environ.get(f"VECTORMIGRATE_TEST_{name.upper()}_URL")
    match name:
        case "weaviate" if url:
            yield Database(type=name, url=url, options={"grpc_url": os.environ["VECTORMIGRATE_TEST_WEAVIATE_GRPC"]})
        case "qdrant" if url:
            port = int(os.environ.get("VECTORMIGRATE_TEST_QDRANT_GRPC_PORT", "6334"))
            yield Database(type=name, url=url, options={"grpc_port": port})
        case "weaviate":
            with weaviate.emulator() as server:
                yield Database(type=name, url=server.url, options={"grpc_url": server.grpc}, calls=server.calls)
        case "qdrant":
            with qdrant.emulator() as server:
                yield Database(
                    type=name, url=server.url, options={"grpc_port": server.grpc_port}, calls=since_last(server)
                )
        case _:
            with pinecone.running() as server:
                yield Database(
                    type=name, url=server.url, options={}, key=SecretStr(server.api_key), calls=server.counts
                )


def schema(name: str, kind: IdKind, *, dynamic: bool) -> CollectionSchema:
    """A collection with one small vector and two fields."""
    vector = VectorField(name="", kind=VectorKind.DENSE, dim=DIM, metric=Metric.COSINE, index={"type": "hnsw"})
    fields = (
        MetadataField(name="title", type=FieldType.TEXT, declared=True),
        MetadataField(name="year", type=FieldType.INT64, declared=True),
    )
    return CollectionSchema(
        name=name,
        id_kinds=frozenset({kind}),
        vectors=(vector,),
        fields=() if dynamic else fields,
        dynamic=dynamic,
        divided=True,
    )


async def seed(end: Endpoint, tenants: int, records: int) -> None:
    """Make the source anew: `tenants` namespaces with `records` records each."""
    async with open_endpoint(end) as source:
        await source.drop()
        caps = source.capabilities
        kind = next(kind for kind in (IdKind.STRING, IdKind.UUID) if kind in caps.ids.kinds)
        name = caps.vectors.fixed_names.get(VectorKind.DENSE, "" if caps.vectors.unnamed else "v")
        made = schema(end.collection, kind, dynamic=caps.metadata.dynamic)
        await source.create(replace(made, vectors=(replace(made.vectors[0], name=name),)))
        waiting = list(range(tenants))

        async def write() -> None:
            while waiting:
                number = waiting.pop()
                numbers = range(number * records, (number + 1) * records)
                ids: list[RecordId] = [record_id(kind, item) for item in numbers]
                metadata: list[Metadata] = [{"title": f"title {item}", "year": 1900 + item % 120} for item in numbers]
                values = np.random.default_rng(number).standard_normal((records, DIM), dtype=np.float32)
                await source.upsert(RecordBatch(f"tenant-{number:05}", ids, {name: DenseColumn(values)}, metadata))

        async with anyio.create_task_group() as tasks:
            for _ in range(WRITERS):
                tasks.start_soon(write)
        await source.finalize()


def record_id(kind: IdKind, number: int) -> RecordId:
    """An id of this kind."""
    return uuid5(NAMESPACE_OID, str(number)) if kind is IdKind.UUID else f"record-{number:09}"


def told(calls: Counter[str], tenants: int) -> str:
    """Calls per namespace of the most frequent operations."""
    most = ", ".join(f"{name} {count / tenants:.2f}" for name, count in calls.most_common(SHOWN))
    return f"{calls.total():>8,} calls, {calls.total() / tenants:.2f} per namespace ({most})" if calls else ""


class Bench:
    """One pair."""

    def __init__(self, source: Database, target: Database, tenants: int) -> None:
        self.ends = {"source": source, "target": target}
        self.tenants = tenants

    @asynccontextmanager
    async def measured(self, what: str) -> AsyncGenerator[None]:
        """Print what the block took."""
        for end in self.ends.values():
            end.calls()
        started = time.perf_counter()
        yield
        print(f"{what}: {time.perf_counter() - started:.1f} s", flush=True)
        for side, end in self.ends.items():
            print(f"    {side}: {told(end.calls(), self.tenants)}", flush=True)

    async def run(self, service: Service, records: int) -> None:
        """Seed, plan, migrate, compare, clean."""
        source, target = self.ends["source"].endpoint("many"), self.ends["target"].endpoint("copied")
        async with self.measured("seed"):
            await seed(source, self.tenants, records)
        async with open_endpoint(target) as collection:
            await collection.drop()
        request = MigrationRequest(id="many", source=source, target=target)
        async with self.measured("plan"):
            plan = await service.plan(request)
        async with self.measured("migrate (plans again where nothing is remembered)"):
            await service.migrate(replace(request, accepted_losses=tuple(plan.unaccepted)), RunOptions())
        async with self.measured("validate --full"):
            keys = [None if end.key is None else end.key.get_secret_value() for end in self.ends.values()]
            report = await service.validate("many", full=True, queries=0, source_key=keys[0], target_key=keys[1])
        print("passed" if report.passed else "NOT PASSED")
        for end in (source, target):
            async with open_endpoint(end) as collection:
                await collection.drop()


async def main(args: argparse.Namespace) -> None:
    """Run one pair."""
    with ExitStack() as stack:
        source = stack.enter_context(running(args.source))
        target = stack.enter_context(running(args.target))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        async with open_service(state=folder / "state.db") as service:
            await Bench(source, target, args.tenants).run(service, args.records)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    engines = ("pinecone", "qdrant", "weaviate")
    parser.add_argument("--source", choices=engines, default="weaviate")
    parser.add_argument("--target", choices=engines, default="weaviate")
    parser.add_argument("--tenants", type=int, default=10_000)
    parser.add_argument("--records", type=int, default=1, help="in each of them")
    anyio.run(partial(main, parser.parse_args()))
