"""What the texts of failing and of refusing servers mean."""

from __future__ import annotations

import grpc
import pytest

from tests.adapters.weaviate.conftest import Place
from tests.adapters.weaviate.test_faults import PROPERTIES, records
from tests.emulators.weaviate import Emulator, Fault
from vectormigrate.adapters.weaviate import SPEC
from vectormigrate.adapters.weaviate.errors import RestError
from vectormigrate.errors import (
    AdapterError,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    TimedOut,
    Unavailable,
)
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema

RESTARTING = (
    "broadcast: read tcp 10.0.0.1:7001->10.0.0.2:7001: i/o timeout",
    'connect: Post "http://10.0.0.2:7001/indices/Docs/shards/x/objects": EOF',
    "updating schema: TYPE_ADD_TENANT: no leader found",
    "updating schema: TYPE_ADD_CLASS: leader not found, can not resolve nodes [a b]",
    "leadership lost while committing log",
    "rpc error: code = Unavailable desc = transport is closing",
    'shard "AbC" not found locally',
    "index for class Docs not found locally",
    "local AbC shard is not ready",
    "already shut or dropped",
    "node is shutting down",
    "init shard: open /data/docs/t1/lsm/objects: too many open files",
)


class Failure(grpc.RpcError):
    """As grpc raises it."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


def meant(error: Exception, operation: str = "scan") -> type[AdapterError]:
    found = SPEC.classify(error, operation)
    assert found is not None
    return type(found)


@pytest.mark.parametrize("text", RESTARTING)
def test_a_node_that_restarts_is_worth_another_try_on_both_interfaces(text: str) -> None:
    assert meant(Failure(grpc.StatusCode.UNKNOWN, text)) is Unavailable
    assert meant(Failure(grpc.StatusCode.INTERNAL, text), "upsert") is Unavailable
    assert meant(RestError(422, text)) is Unavailable
    assert meant(RestError(500, text)) is Unavailable


@pytest.mark.parametrize("text", ["memory pressure: cannot process batch", "not enough memory mappings"])
def test_a_server_without_memory_is_given_time(text: str) -> None:
    assert meant(Failure(grpc.StatusCode.UNKNOWN, text), "upsert") is RateLimited
    assert meant(Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, text), "upsert") is RateLimited
    assert meant(RestError(422, text)) is RateLimited


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("UNKNOWN", "something that no table knows", Unavailable),
        ("UNKNOWN", "could not find class Docs in schema", CollectionNotFound),
        ("UNKNOWN", "explorer: get class: vector search: 3 vs 4: vector lengths don't match", InvalidRequest),
        ("UNKNOWN", "no such prop with name 'i/o timeout' found in class 'Docs'", InvalidRequest),
        ("UNKNOWN", "context deadline exceeded", TimedOut),
        ("UNKNOWN", "store is read-only due to: disk usage too high", QuotaExceeded),
        ("RESOURCE_EXHAUSTED", "USAGE_LIMIT_EXCEEDED", QuotaExceeded),
        ("INVALID_ARGUMENT", "no", InvalidRequest),
    ],
)
def test_grpc_answers_mean(code: str, text: str, kind: type[AdapterError]) -> None:
    assert meant(Failure(getattr(grpc.StatusCode, code), text)) is kind


def test_a_refusal_over_rest_is_final_unless_its_text_says_otherwise() -> None:
    assert meant(RestError(422, "'EOF' is not a valid class name")) is InvalidRequest


@pytest.mark.anyio
@pytest.mark.parametrize("text", RESTARTING)
async def test_an_object_that_a_restarting_node_did_not_take_is_not_rejected(
    near: Place, emulated: Emulator, text: str
) -> None:
    batch = records(3)
    async with near.open(near.create(properties=PROPERTIES)) as target:
        emulated.knobs.batch_errors = {str(batch.ids[1]): text}
        with pytest.raises(Unavailable):
            await target.upsert(batch)
        emulated.knobs.batch_errors = {}
        assert await target.upsert(batch) == []


@pytest.mark.anyio
async def test_an_object_whose_own_text_reads_like_a_failure_is_rejected(near: Place, emulated: Emulator) -> None:
    batch = records(3)
    async with near.open(near.create(properties=PROPERTIES)) as target:
        text = "invalid date property 'd' on class 'Docs': the given value is 'i/o timeout'"
        emulated.knobs.batch_errors = {str(batch.ids[1]): text}
        assert [item.id for item in await target.upsert(batch)] == [batch.ids[1]]


@pytest.mark.anyio
async def test_a_role_that_may_not_touch_the_helper_class_can_create_and_drop_its_own(
    near: Place, emulated: Emulator
) -> None:
    name = near.name()
    async with near.open(name) as target:
        schema = CollectionSchema(name=name, id_kinds=frozenset({IdKind.UUID}), vectors=())
        emulated.knobs.faults = [Fault(op="DELETE /schema", status=403, message="forbidden")]
        await target.create(schema)
        emulated.knobs.faults = [Fault(op="DELETE /schema", status=403, message="forbidden", skip=1)]
        await target.drop()
    assert name not in emulated.store.classes
