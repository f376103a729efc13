"""One opened index: its layout, where its data plane is, and which writes of ours are not yet known to be indexed."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.pinecone.capabilities import (
    CAPABILITIES,
    DEFAULT_NAMESPACE,
    DOCUMENTS,
    chosen,
    narrowed,
)
from vectormigrate.adapters.pinecone.client import Client, Reply, base_url
from vectormigrate.adapters.pinecone.client_control import Control
from vectormigrate.adapters.pinecone.config import PineconeConfig
from vectormigrate.adapters.pinecone.errors import NAME, HttpError
from vectormigrate.adapters.pinecone.layout import PROTECT_TAG, Layout, layout_of, with_statistics
from vectormigrate.errors import CollectionNotFound


class Session:
    """State shared by reader and writer. `pending` holds, per namespace, the LSN of the last write that is not yet
    known to be indexed (None: the service returned no LSN); `settled` the namespaces in which there is none."""

    def __init__(self, config: PineconeConfig, client: Client, control: Control) -> None:
        self.config = config
        self.client = client
        self.control = control
        self.pending: dict[str, int | None] = {}
        self.settled: set[str] = set()
        self._layout: Layout | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Those of the index, or of one that the config would create."""
        if self._layout is not None:
            return narrowed(self._layout)
        return chosen(DOCUMENTS if self.config.index_kind == "document" else CAPABILITIES, self.config)

    def forget(self) -> None:
        """The index changed: ask again."""
        self._layout = None
        self.pending.clear()
        self.settled.clear()

    async def find(self) -> Layout | None:
        """Ask for the layout again; None when there is no such index."""
        data = await self.control.describe()
        if data is None:
            self.forget()
            return None
        layout = layout_of(data)
        if layout.kind == "integrated":
            stats = await self.client.post(f"{base_url(layout.host)}/describe_index_stats", {})
            layout = with_statistics(layout, stats.json)
        self._layout = layout
        return layout

    async def layout(self, *, fresh: bool = False) -> Layout:
        """The index's layout. Raises CollectionNotFound."""
        if self._layout is not None and not fresh:
            return self._layout
        layout = await self.find()
        if layout is None:
            raise CollectionNotFound(f"no index {self.config.collection!r}", adapter=NAME)
        return layout

    async def to_protect(self) -> bool:
        """Whether the index still waits for its deletion protection."""
        data = await self.control.describe()
        return data is not None and PROTECT_TAG in data["tags"]

    async def post(self, path: str, body: Any) -> Reply:
        """A request to the index's data plane."""
        layout = await self.layout()
        return await self._checked(self.client.post(base_url(layout.host) + path, body))

    async def make_namespace(self, namespace: str) -> None:
        """Make an empty namespace unless it exists."""
        try:
            await self.post("/namespaces", {"name": namespace})
        except HttpError as error:
            if error.status != 409:
                raise

    async def get(self, path: str) -> Reply:
        """A read by GET from the index's data plane."""
        layout = await self.layout()
        return await self._checked(self.client.get(base_url(layout.host) + path))

    async def delete(self, path: str) -> Reply:
        """A DELETE to the index's data plane."""
        layout = await self.layout()
        return await self._checked(self.client.delete(base_url(layout.host) + path))

    async def _checked(self, answer: Any) -> Reply:
        """The answer. A 404 is a missing namespace (NamespaceMissing), unless the index is gone."""
        try:
            return await answer
        except HttpError as error:
            if error.status != 404:
                raise
            await self.layout(fresh=True)
            raise NamespaceMissing(error.message) from error

    def wrote(self, namespace: str, lsn: int | None) -> None:
        """Remember a write that reads should wait for."""
        self.settled.discard(namespace)
        known = self.pending.get(namespace)
        self.pending[namespace] = lsn if known is None or lsn is None else max(known, lsn)


class NamespaceMissing(HttpError):
    """The namespace does not exist (yet), though the index does."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


def documents_path(namespace: str, action: str) -> str:
    """The route of a documents call; the namespace is one path segment, whatever it holds."""
    return f"/namespaces/{segment(namespace)}/documents/{action}"


def segment(namespace: str) -> str:
    """A namespace as a path segment; dots alone would be folded away."""
    return quote(namespace or DEFAULT_NAMESPACE, safe="").replace(".", "%2E")


def namespace_of(name: str) -> str:
    """Our name of a namespace as the service lists it."""
    return "" if name == DEFAULT_NAMESPACE else name
