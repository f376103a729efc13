"""Turning vendor errors into ours, by the table of an adapter, and what such tables share: reading a gRPC error."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from vectormigrate.errors import AdapterError, Unavailable

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


def lacks_descriptors(error: BaseException) -> bool:
    """Whether an error, or one behind it, means that the process or the machine has no file descriptor left."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        found = waiting.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, OSError) and found.errno in (errno.EMFILE, errno.ENFILE):
            return True
        waiting += [found.__cause__, found.__context__, getattr(found, "os_error", None)]
    return False


@contextmanager
def translated(classify: Classify, operation: str) -> Generator[None]:
    """Vendor errors that leave the block become ours, by the adapter's table; others pass."""
    try:
        yield
    except AdapterError:
        raise
    except Exception as error:
        if lacks_descriptors(error):
            # Whoever holds them lets go of them again; the work that is left must not be given up for that.
            raise Unavailable("this process has too many files open", operation=operation) from error
        ours = classify(error, operation)
        if ours is None:
            raise
        raise ours from error
