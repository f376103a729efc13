"""Runs a verb to its exit code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any


def run_verb(verb: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """The exit code of a verb, run in an event loop of its own."""
    import anyio

    from vectormigrate.engine.allocator import keep_memory_flat

    keep_memory_flat()
    return anyio.run(verb)
