"""What `plan` and `migrate` are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from vectormigrate.config.settings import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRequest:
    """What `plan` and `migrate` are asked for; the fields of MigrationSpec with endpoints that may hold keys."""

    id: str
    source: Endpoint
    target: Endpoint
    namespaces: tuple[str, ...] | None = None
    partitions: int | None = None
    plain: bool = False
    into_existing: bool = False
    overwrite: bool = False
    renames: tuple[tuple[str, str], ...] = ()
    excludes: tuple[str, ...] = ()
    vectors: tuple[str, ...] = ()
    accepted_losses: tuple[str, ...] = ()
    min_similarity: float = 0.98
    profile_limit: int | None = None
    fresh: bool = False
    """Read the source's metadata also where a plan of today did, and nothing seems to have changed since."""
