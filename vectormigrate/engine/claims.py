"""Which records of a page the copy may write, while others write to the source."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from vectormigrate.model.ids import RecordId


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Records of one piece of a page, row by row: where they are on the source, and where they go."""

    namespace: str
    source_ids: Sequence[RecordId]
    target_namespace: str
    target_ids: Sequence[RecordId]


class Claims(Protocol):
    """Decides, for each piece that is about to be written, which of its rows the copy owns."""

    def claim(self, wanted: Claim) -> AbstractAsyncContextManager[list[int]]:
        """The rows that may be written, ascending; nobody else writes to any of these records until the block ends."""
        ...

    async def doubt(self, wanted: Claim) -> None:
        """The write of these records may or may not have happened, or may still happen. From now on they are not the
        copy's any more."""
        ...
