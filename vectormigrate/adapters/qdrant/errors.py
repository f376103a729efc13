"""What HTTP's and gRPC's statuses mean (server 1.19: `actix/helpers.rs`, `content_manager/conversions.rs`)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from vectormigrate.adapter.vendor_errors import grpc_code
from vectormigrate.errors import (
    AdapterError,
    AlreadyExists,
    AuthFailed,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    RecordsRejected,
    TerminalError,
    TimedOut,
    Unavailable,
)

NAME = "qdrant"
WRITES = frozenset({"upsert"})

INSUFFICIENT_STORAGE = "qdrant-insufficient-storage"
"""gRPC metadata that tells a full node from a rate limit."""


class HttpError(Exception):
    """An answer of the REST interface that is not a success."""

    def __init__(self, status: int, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after


class NotCompleted(Exception):
    """A write whose `result.status` does not confirm that it was applied: its outcome is unknown."""


HTTP: Mapping[int, type[AdapterError]] = {
    400: InvalidRequest,
    401: AuthFailed,
    403: AuthFailed,
    404: InvalidRequest,
    405: InvalidRequest,
    408: TimedOut,
    409: AlreadyExists,
    413: InvalidRequest,
    422: InvalidRequest,
    429: RateLimited,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: TimedOut,
    507: QuotaExceeded,
}
"""By HTTP status; others are InvalidRequest below 500 and Unavailable from there on."""

GRPC: Mapping[str, type[AdapterError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "UNAUTHENTICATED": AuthFailed,
    "PERMISSION_DENIED": AuthFailed,
    "NOT_FOUND": InvalidRequest,
    "UNIMPLEMENTED": InvalidRequest,
    "DEADLINE_EXCEEDED": TimedOut,
    "ALREADY_EXISTS": AlreadyExists,
    "RESOURCE_EXHAUSTED": RateLimited,
    "UNAVAILABLE": Unavailable,
    "INTERNAL": Unavailable,
    "DATA_LOSS": TerminalError,
}
"""By gRPC status; the others (CANCELLED, UNKNOWN, ABORTED, FAILED_PRECONDITION) are Unavailable."""

TEXTS: tuple[tuple[str, type[AdapterError]], ...] = (
    ("Storage locked", TerminalError),
    ("Insufficient storage", QuotaExceeded),
    ("No space left", QuotaExceeded),
    ("Not found: Collection", CollectionNotFound),
    ("Not found: Shard key", InvalidRequest),
    ("Not found: Shard", Unavailable),  # a node that starts does not have it yet
    ("not enough active replicas", Unavailable),
    ("no active replica", Unavailable),
    ("already exists", AlreadyExists),
    ("rate limit exceeded, ", RecordsRejected),  # more than the limiter can ever grant: only smaller parts fit
    ("Help: ", QuotaExceeded),  # strict mode; a limit that is not about single records
    ("Shard key", InvalidRequest),
)
"""By parts of the text, looked at before the status; the first match wins."""

STRICT_RECORDS = ("batch size", "batchsize", "upsert limit", "max_length", "Multivector", "Sparse vector")
"""Parts of strict-mode refusals that name a limit of single records or of the size of a batch."""


def classify(error: BaseException, operation: str) -> AdapterError | None:
    """The error of ours that this one means, None for what is not Qdrant's, httpx's or gRPC's."""
    if isinstance(error, NotCompleted):
        return TimedOut(str(error), adapter=NAME, operation=operation)
    if isinstance(error, HttpError):
        kind = HTTP.get(error.status, InvalidRequest if error.status < 500 else Unavailable)
        return _ours(kind, error.text, f"HTTP {error.status}", error.retry_after, operation)
    code = grpc_code(error)
    if code is not None:
        return _grpc(error, code, operation)
    return _httpx(error, operation)


def _ours(kind: type[AdapterError], text: str, where: str, retry_after: float | None, operation: str) -> AdapterError:
    if kind is not TimedOut:
        kind = next((found for part, found in TEXTS if part in text), kind)
    if kind is QuotaExceeded and operation in WRITES and any(part in text for part in STRICT_RECORDS):
        kind = RecordsRejected
    if kind is InvalidRequest and operation in WRITES and "Shard key" not in text:
        kind = RecordsRejected
    if kind is RecordsRejected and operation not in WRITES:
        kind = InvalidRequest
    message = f"{text} ({where})"
    if kind is RateLimited:
        return RateLimited(message, adapter=NAME, operation=operation, retry_after=retry_after)
    return kind(message, adapter=NAME, operation=operation)


def _grpc(error: BaseException, code: str, operation: str) -> AdapterError:
    details: Any = getattr(error, "details", lambda: None)()
    pairs: Any = getattr(error, "trailing_metadata", lambda: None)() or ()
    trailing = {str(key).lower(): value for key, value in pairs}
    kind = GRPC.get(code, Unavailable)
    if INSUFFICIENT_STORAGE in trailing:
        kind = QuotaExceeded
    return _ours(kind, str(details or "no details"), code, seconds(trailing.get("retry-after")), operation)


def _httpx(error: BaseException, operation: str) -> AdapterError | None:
    httpx = sys.modules.get("httpx")
    if httpx is None or not isinstance(error, httpx.HTTPError):
        return None
    text = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return TimedOut(text, adapter=NAME, operation=operation)
    return Unavailable(text, adapter=NAME, operation=operation)


def seconds(text: Any) -> float | None:
    """A Retry-After in seconds; None when there is none or it is a date."""
    try:
        return max(0.0, float(text))
    except (TypeError, ValueError):
        return None
