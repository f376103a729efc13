"""What the exception tables of several adapters share: reading a gRPC error, and turning vendor errors into ours."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from vectormigrate.errors import AdapterError

Classify = Callable[[BaseException, str], AdapterError | None]


def grpc_code(error: BaseException) -> str | None:
    """The name of a gRPC error's status, None for other errors. Never imports grpc."""
    grpc = sys.modules.get("grpc")
    if grpc is None or not isinstance(error, grpc.RpcError):
        return None
    code: Any = getattr(error, "code", lambda: None)()
    return str(getattr(code, "name", "UNKNOWN"))


def grpc_details(error: BaseException) -> str:
    """The server's text in a gRPC error, empty for other errors."""
    details: Any = getattr(error, "details", lambda: None)()
    return str(details or "")


def translator(classify: Classify) -> Callable[[str], AbstractContextManager[None]]:
    """A context manager, by operation, that turns vendor errors of its block into ours; others pass."""

    @contextmanager
    def translated(operation: str) -> Generator[None]:
        try:
            yield
        except AdapterError:
            raise
        except Exception as error:
            ours = classify(error, operation)
            if ours is None:
                raise
            raise ours from error

    return translated
