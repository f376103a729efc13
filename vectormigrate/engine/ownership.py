"""Who made a collection: the random token that a plan puts into the origin note, and keeps itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from vectormigrate.model.plan import MigrationPlan
from vectormigrate.model.schema import Json


def with_token(note: Json) -> Json:
    """The note with a token that no other plan has. An id of a migration is only unique in its state file."""
    return note if note is None else {**note, "token": uuid4().hex}


def is_ours(note: Mapping[str, Any] | None, plan: MigrationPlan) -> bool:
    """Whether the note on a collection is the one that this plan put there. Plans of older versions have no token."""
    wanted: Mapping[str, Any] = plan.target_schema.note or {}
    found = note or {}
    return found.get("migration_id") == plan.spec.id and found.get("token") == wanted.get("token")
