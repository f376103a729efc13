"""What Weaviate's answers mean.

gRPC answers nearly everything with UNKNOWN and a text, REST with 422 or 500 and a text, so most of the table goes by
text (measured with 1.39.0, `usecases/objects`, `adapters/repos/db`).
"""

from __future__ import annotations

import re
import sys

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

NAME = "weaviate"
WRITES = frozenset({"upsert"})


class RestError(Exception):
    """An HTTP answer that is not the one expected."""

    def __init__(self, status: int, text: str, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after


class TextError(Exception):
    """A failure that Weaviate reported for one object of a batch and that concerns the whole request."""


_QUOTED = re.compile(r"(?<![a-z])'[^']*'|\"[^\"]*\"|`[^`]*`")
_INACTIVE = re.compile(r"tenant not active|tenant is not active|Tenant .* is (cold|frozen)")

TEXTS: tuple[tuple[re.Pattern[str], type[AdapterError], str], ...] = tuple(
    (re.compile(pattern), kind, hint)
    for pattern, kind, hint in (
        # A node that starts or leaves knows less than the cluster for a while.
        (r"not found locally|local .*shard is not ready|shard is (loading|not ready)", Unavailable, ""),
        (r"could not find class|class not found|non-existing index|which does not exist", CollectionNotFound, ""),
        # A shard takes no writes while the server applies a changed class.
        (r"read-only due to: update", Unavailable, ""),
        (r"read-only due to", QuotaExceeded, "make room on the server's disk, or set the shard's status to READY"),
        (
            _INACTIVE.pattern,
            InvalidRequest,
            "activate the tenant, or let it be done with the option activate_tenants",
        ),
        (r"USAGE_LIMIT_EXCEEDED|usage limit|maximum number of (objects|collections|tenants)", QuotaExceeded, ""),
        (r"not enough memory|out of memory|memory (pressure|limit)|no memory available", RateLimited, ""),
        (r"too many (concurrent )?requests|429", RateLimited, ""),
        (r"context deadline exceeded", TimedOut, ""),
        # The network between nodes.
        (
            r"i/o timeout|\bEOF\b|connect(ion)? refused|connection (reset|closed|error)|broken pipe|no route to host|"
            r"no such host|dial tcp|use of closed network|transport is closing|server closed|[Gg][Oo][Aa][Ww][Aa][Yy]|"
            r"context canceled|code = (Unavailable|Aborted|Canceled|Internal|DeadlineExceeded)",
            Unavailable,
            "",
        ),
        # The schema's consensus, and replicas.
        (
            r"leader not found|no leader|not the leader|leadership (lost|transfer)|raft is already shutdown|"
            r"enqueuing operation|waiting for (schema )?(update|version)|schema (is )?not (ready|caught up)|"
            r"cannot reach enough replicas|cannot achieve consistency|not enough replicas|can ?not resolve nodes?",
            Unavailable,
            "",
        ),
        (
            r"shut ?down|shutting down|already shut|operational mode|maintenance mode|store is (being )?clos|try again|"
            r"too many open files",
            Unavailable,
            "",
        ),
        (r"forbidden|rbac: |authorization, ", AuthFailed, ""),
    )
)
"""Text of the answer -> meaning and what to do. The first that is found counts."""

WRONG = re.compile(
    r"vector lengths don't match|vector dimensions do not match|new node has a vector|no such prop|could not find prop|"
    r"does not have (named vector|configuration)|multi-tenancy (is not )?(enabled|disabled)|tenant not found|"
    r"pagination params|query maximum results|cursor api: |provided vector is|not vector-indexed|target vectors?\b|"
    r"must be indexed|filter|invalid |unknown |unsupported|must be |cannot be set|is not a valid|is required|data ?type"
)
"""Texts of gRPC's UNKNOWN that call the request wrong. Any other is worth another try: a failing node says whatever its
libraries say."""

GRPC: dict[str, type[AdapterError]] = {
    "UNAVAILABLE": Unavailable,
    "DEADLINE_EXCEEDED": TimedOut,
    "UNAUTHENTICATED": AuthFailed,
    "PERMISSION_DENIED": AuthFailed,
    "RESOURCE_EXHAUSTED": QuotaExceeded,
    "UNIMPLEMENTED": InvalidRequest,
    "INVALID_ARGUMENT": InvalidRequest,
    "FAILED_PRECONDITION": InvalidRequest,
    "OUT_OF_RANGE": InvalidRequest,
    "NOT_FOUND": InvalidRequest,
}
"""By gRPC status, where the text says nothing; the others (UNKNOWN, INTERNAL, ABORTED, …) are Unavailable."""

HTTP: dict[int, type[AdapterError]] = {
    401: AuthFailed,
    403: AuthFailed,
    408: TimedOut,
    409: InvalidRequest,
    413: InvalidRequest,
    429: RateLimited,
    504: TimedOut,
}
"""By HTTP status, where the text says nothing; 5xx are Unavailable, the other 4xx InvalidRequest."""


def too_large(error: BaseException) -> bool:
    """Whether a gRPC message was larger than one side takes."""
    return grpc_code(error) == "RESOURCE_EXHAUSTED" and "larger than max" in grpc_details(error)


def window_of(error: BaseException) -> int | None:
    """The server's QUERY_MAXIMUM_RESULTS, when the answer states that more were asked for."""
    found = re.search(r"QUERY_MAXIMUM_RESULTS '(\d+)'", grpc_details(error))
    return int(found.group(1)) if found else None


def inactive_tenant(error: BaseException) -> bool:
    """Whether the answer means that the tenant is switched off."""
    text = error.text if isinstance(error, RestError) else grpc_details(error)
    return _INACTIVE.search(text) is not None


def unknown_tenant(error: BaseException) -> bool:
    """Whether the answer means that there is no such tenant."""
    text = error.text if isinstance(error, RestError) else grpc_details(error)
    return "tenant not found" in text


def meaning(text: str) -> tuple[type[AdapterError], str] | None:
    """What a text means for the whole request, and the text with the way out; None when it means nothing."""
    # What is quoted comes from records and schemas.
    bare = _QUOTED.sub("", text)
    for pattern, kind, hint in TEXTS:
        if pattern.search(bare):
            return kind, f"{text}; {hint}" if hint else text
    return None


def classify(error: BaseException, operation: str) -> AdapterError | None:
    """The error of ours that this one means, None for what is not Weaviate's, gRPC's or httpx'."""
    if isinstance(error, RestError):
        return _rest(error, operation)
    if isinstance(error, TextError):
        kind, text = meaning(str(error)) or (Unavailable, str(error))
        return kind(text, adapter=NAME, operation=operation)
    code = grpc_code(error)
    if code is not None:
        return _grpc(error, code, operation)
    return _transport(error, operation)


def _grpc(error: BaseException, code: str, operation: str) -> AdapterError:
    details = grpc_details(error)
    text = f"{code}: {details or 'no details'}"
    if too_large(error):
        kind = RecordsRejected if operation in WRITES else InvalidRequest
        return kind(text, adapter=NAME, operation=operation)
    if code in ("UNKNOWN", "INTERNAL", "RESOURCE_EXHAUSTED"):
        found = meaning(details)
        if found is not None:
            return found[0](found[1], adapter=NAME, operation=operation)
    if code == "UNKNOWN" and WRONG.search(details):
        return InvalidRequest(text, adapter=NAME, operation=operation)
    if code == "UNAVAILABLE" and "Too many" in details:
        return RateLimited(text, adapter=NAME, operation=operation)
    return GRPC.get(code, Unavailable)(text, adapter=NAME, operation=operation)


def _rest(error: RestError, operation: str) -> AdapterError:
    text = f"HTTP {error.status}: {error.text or 'no text'}"
    found = meaning(error.text) if error.status in (400, 404, 422, 429, 500) else None
    if found is not None and found[0] is not RateLimited:
        return found[0](f"HTTP {error.status}: {found[1]}", adapter=NAME, operation=operation)
    kind = HTTP.get(error.status) or (Unavailable if error.status >= 500 else InvalidRequest)
    if kind is RateLimited or (found is not None and found[0] is RateLimited):
        return RateLimited(text, adapter=NAME, operation=operation, retry_after=error.retry_after)
    return kind(text, adapter=NAME, operation=operation)


def _transport(error: BaseException, operation: str) -> AdapterError | None:
    httpx = sys.modules.get("httpx")
    if httpx is None or not isinstance(error, httpx.HTTPError | httpx.StreamError):
        return None
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return Unavailable(text, adapter=NAME, operation=operation)
    kind = TimedOut if isinstance(error, httpx.TimeoutException) else Unavailable
    return kind(text, adapter=NAME, operation=operation)
