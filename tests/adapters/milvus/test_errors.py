"""The exception table."""

from __future__ import annotations

import grpc
import pytest

from vectormigrate.adapters.milvus import SPEC
from vectormigrate.adapters.milvus.errors import StatusError
from vectormigrate.errors import (
    AdapterError,
    AuthFailed,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    RecordsRejected,
    TimedOut,
    Unavailable,
)


class Failure(grpc.RpcError):
    """As grpc raises it."""

    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


@pytest.mark.parametrize(
    ("code", "legacy", "operation", "kind"),
    [
        (8, 49, "upsert", RateLimited),
        (11, 55, "upsert", RateLimited),
        (7, 54, "upsert", QuotaExceeded),
        (9, 48, "upsert", QuotaExceeded),
        (100, 4, "count", CollectionNotFound),
        (0, 4, "count", CollectionNotFound),
        (0, 3, "describe", AuthFailed),
        (1401, 3, "describe", AuthFailed),
        (106, 0, "scan", Unavailable),
        (101, 1, "scan", InvalidRequest),
        (1100, 5, "scan", InvalidRequest),
        (1100, 5, "upsert", RecordsRejected),
        (65535, 1, "upsert", RecordsRejected),
        (65535, 49, "upsert", RateLimited),
        (65535, 1, "scan", InvalidRequest),
        (800, 0, "describe", InvalidRequest),
    ],
)
def test_statuses_mean(code: int, legacy: int, operation: str, kind: type[AdapterError]) -> None:
    found = SPEC.classify(StatusError(code, legacy, "the reason", False), operation)
    assert found is not None
    assert type(found) is kind
    assert "the reason" in str(found)
    assert found.operation == operation


def test_what_the_server_calls_retriable_is_transient() -> None:
    assert type(SPEC.classify(StatusError(65535, 1, "x", True), "upsert")) is Unavailable


@pytest.mark.parametrize(
    ("code", "details", "operation", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, "", "scan", Unavailable),
        (grpc.StatusCode.CANCELLED, "Channel closed", "scan", Unavailable),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM", "scan", Unavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", "scan", TimedOut),
        (grpc.StatusCode.UNAUTHENTICATED, "", "open", AuthFailed),
        (grpc.StatusCode.PERMISSION_DENIED, "", "open", AuthFailed),
        (grpc.StatusCode.UNIMPLEMENTED, "", "open", InvalidRequest),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "quota", "upsert", RateLimited),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "received message larger than max", "upsert", RecordsRejected),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "sent message larger than max", "scan", InvalidRequest),
    ],
)
def test_grpc_failures_mean(code: grpc.StatusCode, details: str, operation: str, kind: type[AdapterError]) -> None:
    assert type(SPEC.classify(Failure(code, details), operation)) is kind


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (503, "channel not available"),
        (901, "node offline"),
        (600, "segment not found"),
        (4711, "a code that no table knows"),
        (65535, "fail to query on all shard leaders: node not found"),
        (65535, "failed to search/query delegator 3 for channel by-dev-rootcoord-dml_1"),
        (65535, "rpc error: code = Unavailable desc = transport is closing"),
        (1, "service not ready: standby"),
    ],
)
@pytest.mark.parametrize("operation", ["scan", "upsert"])
def test_nodes_that_come_and_go_are_worth_another_try(code: int, reason: str, operation: str) -> None:
    assert isinstance(SPEC.classify(StatusError(code, 1, reason, False), operation), Unavailable)


def test_a_value_that_reads_like_a_failure_is_still_refused() -> None:
    error = StatusError(65535, 1, 'the value "node offline" is too long for the field', False)
    assert isinstance(SPEC.classify(error, "upsert"), RecordsRejected)
