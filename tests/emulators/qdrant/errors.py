"""Refusals of the server, with their form on both interfaces."""

from __future__ import annotations

import grpc

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


class Refused(Exception):
    """`status` is the one of the REST interface."""

    def __init__(self, status: int, text: str, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after = retry_after

    @property
    def code(self) -> grpc.StatusCode:
        return CODES[self.status]

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        found = [("retry-after", str(self.retry_after))] if self.retry_after is not None else []
        found += [("qdrant-insufficient-storage", "1")] if self.status == 507 else []
        return tuple(found)


def missing(name: str) -> Refused:
    return Refused(404, f"Not found: Collection `{name}` doesn't exist!")


def bad_input(text: str) -> Refused:
    return Refused(400, f"Wrong input: {text}")


def bad_request(text: str) -> Refused:
    return Refused(400, f"Bad request: {text}")


def of_engine(error: Exception) -> Refused:
    """What the server makes of an engine error; Edge's text begins with its own kind."""
    text = str(error)
    for prefix in ("Wrong input: ", "Bad request: ", "Service runtime error: "):
        text = text.removeprefix(prefix)
    if "No point with id" in text:
        return Refused(404, f"Not found: {text}")
    known = (
        "dimension error",
        "Not existing vector name",
        "failed to",
        "Validation",
        "invalid",
        "must be",
        "Conversion",
    )
    if any(part in text for part in known):
        return bad_input(text)
    return Refused(500, f"Service internal error: {text}")
