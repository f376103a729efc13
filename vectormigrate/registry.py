"""Finds adapters by name without importing any vendor package.

Built-in adapters are the folders of `vectormigrate.adapters`, and the folders in them: `outer/inner` is the adapter
`outer_inner`, which shares the code of its vendor. Others announce themselves under the entry-point group
`vectormigrate.adapters`, each pointing at its SPEC.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import vectormigrate.adapters
from vectormigrate.errors import UnknownAdapter

if TYPE_CHECKING:
    from vectormigrate.adapter import AnySpec

GROUP = "vectormigrate.adapters"


@cache
def _announced() -> Mapping[str, EntryPoint]:
    """Adapters of other packages. Looked for once: it reads the metadata of every package that is installed."""
    return {point.name: point for point in entry_points(group=GROUP)}


@cache
def _builtin() -> Mapping[str, str]:
    """The modules of our own adapters by name."""
    found: dict[str, str] = {}
    for folder in map(Path, vectormigrate.adapters.__path__):
        for outer in _packages(folder):
            found[outer] = f"{vectormigrate.adapters.__name__}.{outer}"
            found |= {f"{outer}_{inner}": f"{found[outer]}.{inner}" for inner in _packages(folder / outer)}
    return found


def _packages(folder: Path) -> list[str]:
    return [module.name for module in pkgutil.iter_modules([str(folder)]) if module.ispkg]


HIDDEN = frozenset({"memory"})
"""Adapters for examples and tests: they can be named, and are not offered."""


def names() -> list[str]:
    """Every known adapter name, sorted."""
    return sorted({*_builtin(), *_announced()})


def offered() -> list[str]:
    """The adapters that people are shown, sorted."""
    return sorted(set(names()) - HIDDEN)


def _edition(wanted: str) -> str:
    """The adapter of an edition that somebody took for a database of its own, empty when there is none."""
    from vectormigrate.adapter import editions

    for name in offered():
        if wanted.casefold() in (edition.casefold().replace(" ", "_") for edition in editions(load(name))):
            return name
    return ""


def load(name: str) -> AnySpec:
    """The SPEC of this adapter. Raises UnknownAdapter. Dashes count as underscores."""
    wanted = name.replace("-", "_")
    if wanted not in _builtin() and wanted not in _announced():
        raise UnknownAdapter(name, offered(), _edition(wanted))
    if wanted in _announced():
        return _announced()[wanted].load()
    return importlib.import_module(_builtin()[wanted]).SPEC
