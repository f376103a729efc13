"""What the journal keeps of a write: whose record it touched, never what was written."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from vectormigrate.model.ids import RecordId


class Side(StrEnum):
    """The collection that a write goes to. Until the flip the source is written, from then on the target."""

    SOURCE = "source"
    TARGET = "target"

    @property
    def other(self) -> Side:
        """The collection that has to follow."""
        return Side.TARGET if self is Side.SOURCE else Side.SOURCE


class Key(NamedTuple):
    """A record of one side: namespace and typed id, as the adapter of that side names them. `namespace` None: in
    whichever namespace it is, because the request did not hold that."""

    namespace: str | None
    id: RecordId
