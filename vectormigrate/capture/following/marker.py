"""Marks writes that do not go through the gateway, so that the migration follows them all the same."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread

from vectormigrate.capture.following.client import GatewayClient
from vectormigrate.errors import ConfigError, InvalidTransition, JournalError, StateBusy
from vectormigrate.model.ids import RecordId

MarkedKey = RecordId | tuple[str, RecordId]
"""An id, in whichever namespace, or namespace and id."""


class MarkedWrite:
    """A write between its mark and its end; for `with`, and for `async with`."""

    def __init__(self, client: GatewayClient, body: dict[str, Any], refusals: tuple[type[BaseException], ...]) -> None:
        self._client = client
        self._body = body
        self._refusals = refusals
        self._token: str | None = None

    def __enter__(self) -> None:
        """Returns when the mark is on the disk; until then nothing may be written."""
        try:
            answer = self._client.call("POST", "/intents", self._body, longer=60)
        except OSError as error:
            raise JournalError("no gateway takes the mark, so the write must not be made") from error
        match answer.status:
            case 201:
                self._token = answer.body["token"]
            case 409:
                raise InvalidTransition(f"{answer.body['error']} (epoch {answer.body['epoch']})")
            case 400 | 401 | 403:
                raise ConfigError(str(answer.body["error"]))
            case _:
                raise StateBusy(str(answer.body["error"]))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It took effect, or was refused; anything else leaves it in doubt. A gateway that does not answer finds the
        mark in doubt as well, which costs time and loses nothing."""
        if self._token is None:
            return
        definite = kind is None or issubclass(kind, self._refusals)
        try:
            self._client.call("POST", f"/intents/{self._token}/close", {"definite": definite})
        except OSError:
            return

    async def __aenter__(self) -> None:
        """As `with`, without blocking the event loop."""
        with anyio.CancelScope(shield=True):
            # A mark that nobody closes would keep its keys waiting for all its life.
            await anyio.to_thread.run_sync(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As `with`."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.__exit__, kind, error, trace)


class Marker:
    """Marks of one gateway."""

    def __init__(self, url: str, side: str, token: str) -> None:
        self._client = GatewayClient(url, token)
        self._side = side

    def writing(
        self,
        keys: Sequence[MarkedKey] = (),
        *,
        scope: str | None = None,
        deletes: bool = False,
        refusals: tuple[type[BaseException], ...] = (),
        life: float = 300.0,
    ) -> MarkedWrite:
        """A write of these keys; without keys, of records that nobody can name, in the namespace `scope` or in any.
        `deletes`: it deletes all of the keys. `refusals`: exceptions that mean that the database answered and did
        nothing; any other leaves the write in doubt. `life`: seconds after which it is in doubt in any case.

        Entering raises InvalidTransition when writes belong to the other side, StateBusy while they are held for
        longer than a client waits, JournalError when there is no gateway: then nothing may be written::

            with marker("http://127.0.0.1:8765").writing([17, 18]):
                client.upsert("docs", points)
        """
        body: dict[str, Any] = {"side": self._side, "deletes": deletes, "life": life}
        if keys:
            body["keys"] = [_key(key) for key in keys]
        else:
            body["scope"] = {} if scope is None else {"namespace": scope}
        return MarkedWrite(self._client, body, refusals)

    def close(self) -> None:
        """Close the connections to the gateway."""
        self._client.close()


def _key(key: MarkedKey) -> dict[str, Any]:
    namespace, record_id = key if isinstance(key, tuple) else (None, key)
    found: dict[str, Any] = {"id": str(record_id) if isinstance(record_id, UUID) else record_id}
    return found if namespace is None else {"namespace": namespace, **found}


def marker(url: str, *, side: str = "source", token: str = "") -> Marker:
    """Mark writes to this side at the gateway whose page is at `url`. Nothing is written by a mark::

    marking = marker("http://127.0.0.1:8765")
    async with marking.writing(ids):
        await client.upsert("docs", points)
    """
    return Marker(url, side, token)
