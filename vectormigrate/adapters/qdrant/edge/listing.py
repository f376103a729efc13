"""The collections of a folder."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from vectormigrate.adapter import Listing
from vectormigrate.adapters.qdrant.edge.catalogue import names


def listed(root: Path) -> Listing:
    """Read the descriptions alone: a collection may be held by another process. Blocking."""
    found = names(root)
    later = "" if root.exists() else " (the folder will be made on first use)"
    return Listing(server=f"qdrant-edge-py {version('qdrant-edge-py')}{later}", names=found)
