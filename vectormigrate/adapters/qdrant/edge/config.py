"""Where a collection is: a folder."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from vectormigrate.adapter import (
    ConnectionConfig,
)

AUTO_OPTIMIZE_RECORDS = 200_000
"""From here on an HNSW graph is worth its building time (1.2 ms per record at 384 components). Below it the exact
search that works without a graph takes under 20 ms."""


class QdrantEdgeConfig(ConnectionConfig):
    """`url` is the folder (a path or `file://` URL).

    `optimize`: build the HNSW graph in `finalize`. None: when the schema asks for `hnsw` on a vector field and the
    collection holds 200 000 records or more. Search is exact, and works, without it.
    `lock_wait`: seconds to wait for another process to let go of the collection.
    """

    optimize: bool | None = None
    lock_wait: float = Field(default=5.0, ge=0)

    @field_validator("url")
    @classmethod
    def _folder_url(cls, url: str) -> str:
        if not url.removeprefix("file://"):
            raise ValueError("the url must name a folder")
        if "://" in url.removeprefix("file://"):
            raise ValueError("the url must name a folder, not a server")
        return url

    def folder(self) -> Path:
        """The absolute folder, with links resolved."""
        return Path(self.url.removeprefix("file://")).expanduser().resolve()

    def location(self) -> str:
        return f"qdrant_edge:{self.folder()}/{self.collection}"
