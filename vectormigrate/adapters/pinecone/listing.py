"""The indexes of a project."""

from __future__ import annotations

import anyio

from vectormigrate.adapter import Listing
from vectormigrate.adapters.pinecone.client_control import Control
from vectormigrate.adapters.pinecone.config import PineconeConfig


async def listed(config: PineconeConfig, key: str) -> Listing:
    """Ask the control plane only: an index of a project may be anywhere."""
    control = Control(config, key)
    try:
        names = await control.names()
    finally:
        with anyio.CancelScope(shield=True):
            await control.close()
    return Listing(server="Pinecone", names=sorted(names))
