"""Which side an application is to read and write, now and after every switch."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import anyio.to_thread

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.following.client import GatewayClient
from vectormigrate.capture.gateway.files import read_authority
from vectormigrate.errors import ConfigError, StateBusy
from vectormigrate.model.live import Authority

WAIT_SECONDS = 20.0
RETRY_SECONDS = 0.5
LOOK_SECONDS = 0.1


class FollowedAuthority:
    """The authority of one live migration. What was seen last stays true while the gateway does not answer: writes to
    the wrong side are refused there, whatever is believed here. An older epoch than one that was seen never counts."""

    def __init__(self, place: str | Path, token: str = "") -> None:
        self._client = GatewayClient(place, token) if isinstance(place, str) and "://" in place else None
        self._folder = LiveFolder(Path(place))
        self._last: Authority | None = None
        self._lock = threading.Lock()

    def current(self) -> Authority:
        """Now, or as it was seen last. Blocks for as long as the gateway takes. Raises StateBusy when it was never
        seen, ConfigError for a token that is wrong."""
        found = self._seen(self._look(None))
        if found is None:
            raise StateBusy("no gateway has said yet which side has the authority")
        return found

    async def __aiter__(self) -> AsyncGenerator[Authority]:
        """The authority now, and again after every switch, for ever. Restarts of the gateway are waited for."""
        try:
            async for found in self._switches():
                yield found
        finally:
            self.close()

    async def _switches(self) -> AsyncGenerator[Authority]:
        shown: Authority | None = None
        while True:
            epoch = None if shown is None else shown.epoch
            answer = await anyio.to_thread.run_sync(self._look, epoch, abandon_on_cancel=True)
            found = self._seen(answer)
            if found is not None and (shown is None or found.epoch > shown.epoch):
                shown = found
                yield found
            elif answer is None:
                await anyio.sleep(RETRY_SECONDS)
            elif self._client is None:
                await anyio.sleep(LOOK_SECONDS)

    def _look(self, after: int | None) -> Authority | None:
        """As it is; with `after`, the answer may wait for a later epoch. None when nobody answers."""
        if self._client is None:
            return read_authority(self._folder)
        wait = "" if after is None else f"?after={after}&wait={round(WAIT_SECONDS)}"
        try:
            answer = self._client.call("GET", f"/authority{wait}", longer=0 if after is None else WAIT_SECONDS)
        except OSError:
            return None
        if answer.status in (401, 403):
            raise ConfigError(str(answer.body["error"]))
        return Authority.from_json(answer.body) if answer.status == 200 else None

    def _seen(self, found: Authority | None) -> Authority | None:
        with self._lock:
            if found is not None and (self._last is None or found.epoch >= self._last.epoch):
                self._last = found
            return self._last

    def close(self) -> None:
        """Close the connections to the gateway; a later use makes new ones."""
        if self._client is not None:
            self._client.close()


def authority(place: str | Path, *, token: str = "") -> FollowedAuthority:
    """Follow the authority of a live migration: `place` is the URL of the gateway's page, or the folder of the
    migration. Nothing is asked before the first use::

        following = authority("http://127.0.0.1:8765")
        client = clients[following.current().side]
        async for now in following:
            client = clients[now.side]
    """
    return FollowedAuthority(place, token)
