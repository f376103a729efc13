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
