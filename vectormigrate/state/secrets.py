"""The last line of defence for credentials: text that holds one is never written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from vectormigrate.errors import StateError

SHORTEST = 8
"""Shorter values are not looked for: they occur in ordinary data by chance and would stop a healthy run."""


class SecretGuard:
    """Knows values that must not be stored, in the spellings in which JSON and URLs would hold them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._forbidden: set[str] = set()
        self._bytes: set[bytes] = set()
        for secret in secrets:
            self.forbid(secret)

    def forbid(self, secret: str) -> None:
        """From now on refuse text that holds this value. Values below `SHORTEST` characters are ignored."""
        if len(secret) < SHORTEST:
            return
        spellings = (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret))
        self._forbidden.update(spellings)
        self._bytes.update(text.encode("utf-8", "surrogatepass") for text in spellings)

    def check(self, what: str, values: Iterable[object]) -> None:
        """Raise StateError, which does not repeat the secret, when a text or blob among the values holds one."""
        if not self._forbidden:
            return
        for value in values:
            if isinstance(value, str):
                found = any(secret in value for secret in self._forbidden)
            elif isinstance(value, bytes):
                found = any(secret in value for secret in self._bytes)
            else:
                found = False
            if found:
                raise StateError(f"refused to store a credential in the state file ({what}); nothing was written")
