"""Requests to the gateway's own pages, without any package."""

from __future__ import annotations

import http.client
import json
import queue
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from vectormigrate.errors import ConfigError


class Answer(NamedTuple):
    """Status and JSON."""

    status: int
    body: Any


class GatewayClient:
    """Blocking calls over connections that are kept; for use by any number of threads. Raises OSError when nobody
    answers."""

    def __init__(self, url: str, token: str = "", *, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{url!r} is no address of a gateway's page: http://host:port")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._make = lambda: kind(parts.hostname or "", parts.port, timeout=timeout)
        self._headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        self._path = parts.path.rstrip("/")
        self._timeout = timeout
        self._idle: queue.LifoQueue[http.client.HTTPConnection] = queue.LifoQueue()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, longer: float = 0.0) -> Answer:
        """The answer, waited for `longer` seconds more than usual."""
        content = None if body is None else json.dumps(body).encode()
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            return self._send(self._make(), method, path, content, longer)
        try:
            return self._send(connection, method, path, content, longer)
        except OSError:
            # The gateway may have closed it meanwhile, or be another process by now.
            return self._send(self._make(), method, path, content, longer)

    def _send(
        self, connection: http.client.HTTPConnection, method: str, path: str, content: bytes | None, longer: float
    ) -> Answer:
        try:
            if connection.sock is None:
                connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(self._timeout + longer)
            connection.request(method, self._path + path, content, self._headers)
            response = connection.getresponse()
            data = response.read()
            answer = Answer(response.status, json.loads(data or b"null"))
        except (http.client.HTTPException, ValueError) as error:
            connection.close()
            raise ConnectionError(f"no answer of a gateway: {error}") from error
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)
        return answer

    def close(self) -> None:
        """Close the connections that are kept. Repeatable; a later call makes new ones."""
        while True:
            try:
                self._idle.get_nowait().close()
            except queue.Empty:
                return
