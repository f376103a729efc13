"""What Pinecone's answers and the clients' exceptions mean.

Statuses: Pinecone's error pages and OpenAPI files. The data plane answers in gRPC style, the control plane with
`{"error": {"code", "message"}}`; 429 is a rate limit, unless it speaks of the month's or the project's quota.
"""

from __future__ import annotations

import sys
from typing import Any

from vectormigrate.errors import (
    AdapterError,
    AlreadyExists,
    AuthFailed,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    RecordsRejected,
    TimedOut,
    Unavailable,
)

NAME = "pinecone"

STATUSES: dict[int, type[AdapterError]] = {
    401: AuthFailed,
    402: QuotaExceeded,
    403: AuthFailed,
    404: CollectionNotFound,
    408: TimedOut,
    409: Unavailable,
    **dict.fromkeys((421, 423, 425), Unavailable),
    504: TimedOut,
}
"""By HTTP status, where nothing else is said below; other 4xx are InvalidRequest, other 5xx Unavailable."""

PROTECTED = (
    "the index is protected from deletion, so it was left alone; switch that off "
    "(pc.indexes.configure(name, deletion_protection='disabled'), or in the console) and try again"
)


class HttpError(Exception):
    """An answer of the data plane that is no success. `retry_after` in seconds."""

    def __init__(self, status: int, message: str, *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.retry_after = retry_after


def classify(error: BaseException, operation: str) -> AdapterError | None:
    """The error of ours that this one means, None for what is not Pinecone's or httpx's."""
    if isinstance(error, HttpError):
        return _status(error.status, error.message, error.code, error.retry_after, operation)
    return _sdk(error, operation) or _transport(error, operation)


def _status(status: int, message: str, code: str, retry_after: float | None, operation: str) -> AdapterError:
    where: dict[str, Any] = {"adapter": NAME, "operation": operation}
    text = f"{message} (status {status})"
    lowered = message.lower()
    if code == "QUOTA_EXCEEDED" or (status == 429 and "month" in lowered):
        return QuotaExceeded(text, **where)
    if status == 429:
        return RateLimited(text, **where, retry_after=retry_after)
    if status == 403 and "deletion protection" in lowered:
        return InvalidRequest(PROTECTED, **where)
    if status == 409 and operation == "create":
        return AlreadyExists(text, **where)
    if status == 413 and operation == "upsert":
        return RecordsRejected(text, **where)
    kind = STATUSES.get(status) or (Unavailable if status >= 500 else InvalidRequest)
    return kind(text, **where)


def _sdk(error: BaseException, operation: str) -> AdapterError | None:
    """Exceptions of Pinecone's SDK, which serves the control plane."""
    errors: Any = sys.modules.get("pinecone.errors.exceptions")
    if errors is None or not isinstance(error, errors.PineconeError):
        return None
    where: dict[str, Any] = {"adapter": NAME, "operation": operation}
    message = str(getattr(error, "message", "") or error)
    if isinstance(error, errors.ApiError):
        answer: Any = error
        retry_after: float | None = getattr(answer, "retry_after", None)
        return _status(answer.status_code, message, answer.error_code or "", retry_after, operation)
    if isinstance(error, errors.PineconeTimeoutError):
        return TimedOut(message, **where)
    if isinstance(error, errors.PineconeConnectionError):
        # The SDK explains a key that cannot be a header by showing it.
        unfit = "header" in message.lower()
        return (
            AuthFailed("the API key holds characters that no key has", **where)
            if unfit
            else Unavailable(message, **where)
        )
    # What is left is an answer that the SDK cannot read, as from a proxy in front of a service that restarts.
    wrong = (errors.ValidationError, errors.PineconeValueError, errors.PineconeTypeError)
    wrong += (errors.PineconeConfigurationError, errors.IndexInitFailedError, errors.IndexTerminatedError)
    return (InvalidRequest if isinstance(error, wrong) else Unavailable)(message, **where)


def _transport(error: BaseException, operation: str) -> AdapterError | None:
    """Exceptions of httpx: after a timeout or a broken connection nobody knows whether a write was carried out."""
    httpx: Any = sys.modules.get("httpx")
    if httpx is None:
        return None
    where: dict[str, Any] = {"adapter": NAME, "operation": operation}
    if isinstance(error, httpx.ConnectTimeout):
        return Unavailable("no connection in time", **where)
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"no answer in time ({type(error).__name__})", **where)
    if isinstance(error, httpx.LocalProtocolError):
        # Its text may quote a header, and one of them is the key.
        return InvalidRequest("the request cannot be sent over HTTP", **where)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return InvalidRequest(f"unusable URL: {type(error).__name__}", **where)
    if isinstance(error, httpx.HTTPError):
        return Unavailable(f"{type(error).__name__}: {error}", **where)
    return None
