"""How the service says no: gRPC style on the data plane, its own shape on the control plane."""

from __future__ import annotations

from typing import Any

GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 412: 9, 413: 8, 422: 3, 429: 8, 500: 13, 501: 12, 503: 14}
CONTROL_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    422: "UNPROCESSABLE_ENTITY",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Refusal(Exception):
    """An error reply. `code` replaces the control plane's code for the status."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}

    def body(self, *, control: bool) -> dict[str, Any]:
        """The JSON of the reply."""
        if not control:
            return {"code": GRPC_CODES.get(self.status, 2), "message": self.message, "details": []}
        code = self.code or CONTROL_CODES.get(self.status, "UNKNOWN")
        return {"error": {"code": code, "message": self.message}, "status": self.status}


def invalid(message: str) -> Refusal:
    """400."""
    return Refusal(400, message)
