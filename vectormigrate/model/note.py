"""The origin note: what a migration leaves on a target collection so that a later one can go back exactly.

Stored as JSON by `Target.create`/`set_note` and read back as `CollectionSchema.note`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from vectormigrate.model.schema import CollectionSchema, Json

NOTE_VERSION = 2
READABLE = (1, NOTE_VERSION)
"""Version 1 knew no settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginNote:
    """Where a collection came from.

    `adapter` and `schema` are the *original* ones: migrating A → B → C hands A's on. `vectors`, `fields` and
    `namespaces` map names on this collection to the original names (only those that differ).
    """

    adapter: str
    migration_id: str
    token: str = ""
    """Random; the plan that put the note there has it too, which an id alone does not show."""
    schema: CollectionSchema
    vectors: Mapping[str, str] = field(default_factory=dict[str, str])
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    namespaces: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_json(self) -> dict[str, Json]:
        """A JSON object that `from_json` reads back."""
        return {**asdict(self), "schema": self.schema.to_json(), "version": NOTE_VERSION}

    @staticmethod
    def from_json(data: Mapping[str, Json]) -> OriginNote | None:
        """The note, or None when a newer version wrote it in a shape that is not known here."""
        if data.get("version") not in READABLE:
            return None
        rest = {key: data[key] for key in OriginNote.__dataclass_fields__ if key in data and key != "schema"}
        return OriginNote(**rest, schema=CollectionSchema.from_json(data["schema"]))
