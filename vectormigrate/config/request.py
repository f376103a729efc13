"""What `plan` and `migrate` are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from vectormigrate.config.settings import Endpoint
from vectormigrate.model.plan import CopyOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRequest(CopyOptions):
    """A migration as it is asked for: the options of a copy, with endpoints that may hold keys.

    `profile_limit`: read the metadata of about so many records to plan; None = all. `fresh`: read it also where a plan
    of today did, and nothing seems to have changed since::

        request = MigrationRequest(
            id="orders",
            source=Endpoint(type="qdrant", url="http://localhost:6333", collection="docs"),
            target=Endpoint(type="milvus", url="./docs.db", collection="docs"),
            excludes=("internal",),
        )
    """

    id: str
    source: Endpoint
    target: Endpoint
    profile_limit: int | None = None
    fresh: bool = False
