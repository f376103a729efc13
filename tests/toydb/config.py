"""Where a collection is: a file in a folder."""

from __future__ import annotations

from pathlib import Path

from vectormigrate.adapter import ConnectionConfig


class ToydbConfig(ConnectionConfig):
    """`url` is the folder.

    `lock_wait`: seconds to wait for another process that writes.
    """

    lock_wait: float = 5.0

    def file(self) -> Path:
        """The collection's file."""
        return Path(self.url).resolve() / f"{self.collection}.sqlite"

    def location(self) -> str:
        return f"toydb:{self.file()}"
