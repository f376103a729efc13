"""The seam for tracing: the engine reports what it is doing, whoever is interested (the MCP server) measures it.

Without `use`, a span costs one function call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

Opener = Callable[[str, dict[str, str | int]], AbstractContextManager[object]]

_nothing: AbstractContextManager[object] = nullcontext()
_opener: Opener | None = None


def use(opener: Opener | None) -> None:
    """From now on every span of this process is opened by `opener`; None: none is."""
    global _opener
    _opener = opener


def active() -> Opener | None:
    """What opens the spans, if anything does."""
    return _opener


def span(name: str, **attributes: str | int) -> AbstractContextManager[object]:
    """The time of a step of work (`read`, `map`, `write`, `commit`). Attributes hold no data of records."""
    return _nothing if _opener is None else _opener(name, attributes)
