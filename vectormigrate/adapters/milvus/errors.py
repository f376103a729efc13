"""What Milvus' status codes and gRPC's mean (codes: facts of Milvus 2.3 … 3.0, `pkg/util/merr`)."""

from __future__ import annotations

import re

from vectormigrate.adapter.vendor_errors import grpc_code, grpc_details
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

NAME = "milvus"
_QUOTED = re.compile(r"(?<![a-z])'[^']*'|\"[^\"]*\"")
WRITES = frozenset({"upsert", "insert"})


class StatusError(Exception):
    """A status that is not success, in an answer that gRPC calls fine. `legacy` is the enum of Milvus before 2.3."""

    def __init__(self, code: int, legacy: int, reason: str, retriable: bool) -> None:
        super().__init__(reason)
        self.code = code
        self.legacy = legacy
        self.reason = reason
        self.retriable = retriable


CODES: dict[int, type[AdapterError]] = {
    **dict.fromkeys((4, 8, 11, 1807), RateLimited),
    **dict.fromkeys((2, 12, 103, 106, 110, 202, 1002, 1003, 2200), Unavailable),
    # Replicas, channels, segments and nodes come and go with the nodes of a cluster.
    **dict.fromkeys((*range(400, 404), *range(500, 508), *range(600, 605), *range(900, 906)), Unavailable),
    **dict.fromkeys((3, 7, 9), QuotaExceeded),
    100: CollectionNotFound,
    **dict.fromkeys((5, 6, *range(1100, 1200)), InvalidRequest),
    **dict.fromkeys((1400, 1401), AuthFailed),
}
"""By `status.code`. Code 1 is "not ready" on a server and "unexpected" on Lite, so it goes by other signs."""

WRONG = frozenset(
    (
        *(10, 35, 101, 102, 104, 105, 107, 108, 109, 111, 200, 201, 203, 300, 301, 302, 303, 304, 305),
        *(700, 701, 702, 703, 704, 800, 801, 802, 803, 1000, 1402, 1403, 1700, 1701, 1702, 1800, 1801),
        *(2000, 2100, 2101, 2102, 2103, 2104, 2300),
    )
)
"""Other codes with which another try gets the same answer. Codes that no table knows are worth one."""

PASSING = re.compile(
    r"not (ready|healthy|available|serviceable)\b|no available|unavailable|"
    r"nodes?\b[^,;]{0,40}(offline|not found|not match)|"
    r"delegator|channel not |connection (error|refused|reset|closed)|connect:|transport is|\bEOF\b|i/o timeout|"
    r"context (canceled|deadline)|timed? ?out|etcd|no leader|leader not|session (expired|closed)|node lack|"
    r"\bis (initializ|stopping|shutting)|try again"
)
"""Texts of "unexpected" errors (codes 1 and 65535) that come from nodes which start, leave or hand over."""

LEGACY: dict[int, type[AdapterError]] = {
    3: AuthFailed,
    4: CollectionNotFound,
    **dict.fromkeys((49, 55), RateLimited),
    **dict.fromkeys((48, 52, 53, 54), QuotaExceeded),
    **dict.fromkeys((2, 45, 46, 56, 57), Unavailable),
}
"""By `status.error_code`, where `status.code` says nothing."""

REFUSED_RECORDS = frozenset({1, 5, 6, 35, 109, 1100, 1101, 1102, 65535})
"""Codes with which a write is refused because of what it holds."""

GRPC: dict[str, type[AdapterError]] = {
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": TimedOut,
    "UNAUTHENTICATED": AuthFailed,
    "PERMISSION_DENIED": AuthFailed,
    "RESOURCE_EXHAUSTED": RateLimited,
    "UNIMPLEMENTED": InvalidRequest,
    "INVALID_ARGUMENT": InvalidRequest,
    "FAILED_PRECONDITION": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "NOT_FOUND": InvalidRequest,
}
"""By gRPC status; the others (CANCELLED, INTERNAL, UNKNOWN, ABORTED) come from broken connections: Unavailable."""


def too_large(error: BaseException) -> bool:
    """Whether a message was larger than the server (or client) takes."""
    return grpc_code(error) == "RESOURCE_EXHAUSTED" and "larger than max" in grpc_details(error)


def classify(error: BaseException, operation: str) -> AdapterError | None:
    """The error of ours that this one means, None for what is not Milvus' or gRPC's."""
    if isinstance(error, StatusError):
        return _status(error, operation)
    code = grpc_code(error)
    if code is None:
        return None
    text = f"{code}: {grpc_details(error)}"
    kind = GRPC.get(code, Unavailable)
    if too_large(error):
        kind = RecordsRejected if operation in WRITES else InvalidRequest
    return kind(text, adapter=NAME, operation=operation)


def _status(error: StatusError, operation: str) -> AdapterError:
    kind = CODES.get(error.code)
    if kind is None and error.code in (0, 1, 65535):
        kind = LEGACY.get(error.legacy)
    unexpected = error.code in (0, 1, 65535)
    passing = unexpected and "not loaded" not in error.reason and PASSING.search(_QUOTED.sub("", error.reason))
    if kind is None and (error.retriable or passing):
        kind = Unavailable
    # 1001 (IO failed) is also what some servers say of a JSON value that they do not take.
    refused = error.code in REFUSED_RECORDS or (error.code == 1001 and "json:" in error.reason)
    if kind in (None, InvalidRequest) and operation in WRITES and refused:
        kind = RecordsRejected
    if kind is None:
        kind = InvalidRequest if unexpected or error.code in WRONG else Unavailable
    text = f"{error.reason} (code {error.code or error.legacy})"
    return kind(text, adapter=NAME, operation=operation)
