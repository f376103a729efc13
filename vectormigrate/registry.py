"""Finds adapters by name without importing any vendor package.

Built-in adapters are the folders of `vectormigrate.adapters`; others announce themselves under the entry-point group
`vectormigrate.adapters`, each pointing at its SPEC.
"""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import vectormigrate.adapters
from vectormigrate.errors import UnknownAdapter

if TYPE_CHECKING:
    from vectormigrate.adapter import AnySpec

GROUP = "vectormigrate.adapters"


def names() -> list[str]:
    """Every known adapter name, sorted."""
    builtin = {module.name for module in pkgutil.iter_modules(vectormigrate.adapters.__path__) if module.ispkg}
    return sorted(builtin | {point.name for point in entry_points(group=GROUP)})


def load(name: str) -> AnySpec:
    """The SPEC of this adapter. Raises UnknownAdapter. Dashes count as underscores."""
    wanted = name.replace("-", "_")
    if wanted not in names():
        raise UnknownAdapter(name, names())
    for point in entry_points(group=GROUP):
        if point.name == wanted:
            return point.load()
    return importlib.import_module(f"vectormigrate.adapters.{wanted}").SPEC
