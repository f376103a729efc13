"""Refusals of the server, with their form on both interfaces."""

from __future__ import annotations

import grpc

from vectormigrate.cli.demo.live.refusals import Refused, bad_input, bad_request, missing, of_engine

__all__ = ["CODES", "Refused", "bad_input", "bad_request", "missing", "of_engine", "trailers"]

CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    405: grpc.StatusCode.UNIMPLEMENTED,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    409: grpc.StatusCode.ALREADY_EXISTS,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    507: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""gRPC codes by the status of the REST interface."""


def trailers(refused: Refused) -> tuple[tuple[str, str], ...]:
    """Of a gRPC answer."""
    found = [("retry-after", str(refused.retry_after))] if refused.retry_after is not None else []
    found += [("qdrant-insufficient-storage", "1")] if refused.status == 507 else []
    return tuple(found)
