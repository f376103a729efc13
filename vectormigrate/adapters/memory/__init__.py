"""Collections in this process's memory: the reference adapter, which holds everything and is exact.

Its parts are loaded on first use, so that a child process may import one module of the folder alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectormigrate.adapters.memory.spec import CAPABILITIES, SPEC, MemoryConfig, register_profile

__all__ = ["CAPABILITIES", "SPEC", "MemoryConfig", "register_profile"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vectormigrate.adapters.memory import spec

    return getattr(spec, name)
