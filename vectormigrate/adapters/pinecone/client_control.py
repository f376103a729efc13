"""The control plane, through Pinecone's SDK with its retries switched off."""

from __future__ import annotations

from typing import Any

import msgspec
from pinecone import AsyncPinecone, NotFoundError, RetryConfig
from pinecone.models.indexes.index import IndexModel

from vectormigrate.adapter.polling import Poll
from vectormigrate.adapter.server_access import environment_proxy, header_values, tls_context
from vectormigrate.adapters.pinecone.config import PineconeConfig
from vectormigrate.adapters.pinecone.errors import NAME
from vectormigrate.errors import InvalidRequest, TimedOut, Unavailable


class Control:
    """Describe, create, configure and delete one index."""

    def __init__(self, config: PineconeConfig, key: str) -> None:
        self._name = config.collection
        self._ready_timeout = config.ready_timeout
        self._open = True
        self._sdk = AsyncPinecone(
            api_key=key,
            host=config.url,
            timeout=config.timeout,
            additional_headers=header_values(config),
            proxy_url=config.proxy or environment_proxy(config.url),
            # Handed on to httpx, which takes a context for it.
            ssl_verify=tls_context(config),  # pyright: ignore[reportArgumentType]
            retry_config=RetryConfig(max_retries=0),
        )

    async def describe(self) -> dict[str, Any] | None:
        """The description as JSON, None when there is no such index."""
        self._check_open()
        try:
            return _json(await self._sdk.indexes.describe(self._name))
        except NotFoundError:
            return None

    async def names(self) -> list[str]:
        """The indexes of the project."""
        self._check_open()
        return [str(index.name) async for index in self._sdk.indexes.list()]

    async def create(self, arguments: dict[str, Any]) -> None:
        """Create the index and wait until it is ready. Raises ConflictError, TimedOut."""
        self._check_open()
        await self._sdk.indexes.create(**arguments, timeout=-1)
        await self._until(gone=False)

    async def protect(self, *, tag: str | None = None) -> None:
        """Switch deletion protection on, and take the tag away that asked for it."""
        await self._sdk.indexes.configure(
            self._name, deletion_protection="enabled", tags=None if tag is None else {tag: ""}
        )

    async def delete(self) -> None:
        """Delete the index and wait until it is gone; a missing one is fine."""
        self._check_open()
        try:
            await self._sdk.indexes.delete(self._name, timeout=-1)
        except NotFoundError:
            return
        await self._until(gone=True)

    async def _until(self, *, gone: bool) -> None:
        poll = Poll(self._ready_timeout)
        while True:
            found = await self.describe()
            if gone and found is None:
                return
            if not gone and found is not None:
                if found["status"]["ready"]:
                    return
                if found["status"]["state"] == "InitializationFailed":
                    raise InvalidRequest(f"the index {self._name!r} failed to start", adapter=NAME, operation="create")
            if not await poll.again():
                done = "gone" if gone else "ready"
                raise TimedOut(f"the index {self._name!r} was not {done} in time", adapter=NAME)

    def _check_open(self) -> None:
        if not self._open:
            raise Unavailable("the index is closed", adapter=NAME)

    async def close(self) -> None:
        """Every later call raises Unavailable."""
        self._open = False
        await self._sdk.close()


def _json(model: IndexModel) -> dict[str, Any]:
    """The description without the keys that are not set."""
    data: dict[str, Any] = _pruned(msgspec.to_builtins(model))
    data["schema"] = _pruned(model.schema.to_dict())
    data["tags"] = dict(model.tags or {})
    return data


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if item is not None}
    return value
