"""Who is asking: the ring of valid keys, the check of a request's credentials, and the caller that tools ask about.

A caller is known per message, on every transport. Where nothing has shown who is asking, nobody is: `caller()` then
holds no scope. On stdio the caller is `local`, with every scope: whoever started the process.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Literal

from mcp.server.auth.provider import AccessToken, TokenVerifier
from mcp.server.auth.settings import AuthSettings
from pydantic import AnyHttpUrl

from vectormigrate.config.connections import ConnectionsFile
from vectormigrate.errors import ConfigError, VectorMigrateError
from vectormigrate.server.access.keys import (
    ALL_SCOPES,
    Key,
    Scope,
    find_key,
    keys_of_environment,
    keys_of_file,
    parse_key,
)

Transport = Literal["stdio", "sse", "http", "jsonrpc", "none"]

LOOK_SECONDS = 1.0
"""How long a change of the key file may stay unnoticed."""

log = logging.getLogger(__name__)


class Forbidden(VectorMigrateError):
    """The caller's key lacks a scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent the message at hand. `name` is the owner of the key; `fingerprint` identifies one of their keys."""

    name: str
    fingerprint: str
    scopes: frozenset[Scope]
    transport: Transport

    def has(self, scope: str) -> bool:
        """Whether the caller may do what needs this scope."""
        return scope in self.scopes


NOBODY = Caller(name="nobody", fingerprint="", scopes=frozenset(), transport="none")
LOCAL = Caller(name="local", fingerprint="local", scopes=ALL_SCOPES, transport="stdio")

_caller: ContextVar[Caller] = ContextVar("vectormigrate_caller", default=NOBODY)


def caller() -> Caller:
    """Who sent the message that is being handled; NOBODY, without any scope, outside of one."""
    return _caller.get()


def require(scope: str) -> Caller:
    """The caller, if they have the scope. Raises Forbidden, whose text names the way out and is fit for a model."""
    found = caller()
    if not found.has(scope):
        raise Forbidden(
            f"the key of {found.name!r} lacks the scope {str(scope)!r}, which this needs; ask the operator of the "
            "server for a key that has it"
        )
    return found


@contextmanager
def as_caller(found: Caller) -> Generator[Caller]:
    """Handle a message of this caller."""
    token = _caller.set(found)
    try:
        yield found
    finally:
        _caller.reset(token)


class KeyRing:
    """The valid keys. Those of the file are read again when it changes (looked at once a second) and after `expire`;
    a file that has become wrong is reported and changes nothing."""

    def __init__(self, fixed: Iterable[Key] = (), file: Path | None = None) -> None:
        """`fixed` are the keys of flags and environment. Raises ConfigError."""
        self._fixed = tuple(fixed)
        self._file = file
        self._lock = threading.Lock()
        self._stamp: object = None
        self._looked = 0.0
        self._keys: tuple[Key, ...] = ()
        self._load()

    @classmethod
    def open(
        cls, api_keys: Iterable[str] = (), config: Path | None = None, *, insecure_short_key: bool = False
    ) -> KeyRing:
        """The ring of `--api-key`, VECTORMIGRATE_API_KEYS and the connections file. Raises ConfigError."""
        given = [parse_key(text, origin="--api-key", insecure_short_key=insecure_short_key) for text in api_keys]
        return cls([*given, *keys_of_environment(insecure_short_key=insecure_short_key)], config)

    def __bool__(self) -> bool:
        """Whether there is any key, that is, whether requests must carry one."""
        return bool(self._keys)

    @property
    def keys(self) -> tuple[Key, ...]:
        """All valid keys, at this moment."""
        return self._keys

    def find(self, secret: str) -> Key | None:
        """The key with this secret, in a time that reveals nothing about it."""
        self._look()
        return find_key(self._keys, secret)

    def holds(self, found: Caller) -> bool:
        """Whether the key that this caller showed is still valid, with the scopes that it had."""
        self._look()
        shown = (found.name, found.fingerprint, found.scopes)
        return any((key.name, key.fingerprint, key.scopes) == shown for key in self._keys)

    def expire(self) -> None:
        """Read the file again before the next request."""
        self._stamp = None
        self._looked = 0.0

    def _look(self) -> None:
        if self._file is None or time.monotonic() - self._looked < LOOK_SECONDS:
            return
        with self._lock:
            self._looked = time.monotonic()
            if file_stamp(self._file) == self._stamp:
                return
            try:
                self._load()
            except ConfigError as error:
                self._stamp = file_stamp(self._file)
                log.error("the keys stay as they were: %s", error)
            else:
                log.info("keys read again: %d valid", len(self._keys))

    def _load(self) -> None:
        before = self._keys
        stamp = file_stamp(self._file) if self._file else None
        found = (*self._fixed, *(keys_of_file(ConnectionsFile.read(self._file)) if self._file else ()))
        digests = [key.digest for key in found]
        if len(set(digests)) != len(digests):
            twice = next(key.name for key in found if digests.count(key.digest) > 1)
            raise ConfigError(f"the key {twice!r} is configured twice; its scopes would not be clear")
        if before and not found:
            raise ConfigError("the last key was taken out, which would open the server to everyone; stop it instead")
        self._keys, self._stamp = found, stamp


def file_stamp(path: Path) -> object:
    """What changes when a file does."""
    try:
        stat = path.stat()
    except OSError:
        return "missing"
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


@contextmanager
def reread_on_hangup(ring: KeyRing) -> Generator[None]:
    """While this lasts SIGHUP makes the ring read its file again. Does nothing off the main thread or where there is
    no SIGHUP."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(number: int, frame: FrameType | None) -> None:
        ring.expire()

    before = signal.signal(hangup, expire)
    try:
        yield
    finally:
        signal.signal(hangup, before)


class KeyVerifier(TokenVerifier):
    """What the SDK asks whether a bearer token is valid. The token that it gets back holds the fingerprint, never the
    key, and the owner's name as client id: sessions belong to the owner and survive a change of his key."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring

    async def verify_token(self, token: str) -> AccessToken | None:
        """The identity behind a key, or None."""
        return token_of(key) if (key := self.ring.find(token)) else None


def token_of(key: Key) -> AccessToken:
    """The identity as the SDK keeps it."""
    return AccessToken(
        token=key.fingerprint, client_id=key.name, subject=key.name, scopes=[str(scope) for scope in sorted(key.scopes)]
    )


def caller_of(key: Key, transport: Transport) -> Caller:
    """The owner of the key, on this transport."""
    return Caller(name=key.name, fingerprint=key.fingerprint, scopes=key.scopes, transport=transport)


def anyone(transport: Transport) -> Caller:
    """The caller on a server without keys, which listens on a loopback address only."""
    return replace(LOCAL, name="anonymous", fingerprint="none", transport=transport)


def auth_settings() -> AuthSettings:
    """Settings for static keys: no resource URL, so that no client goes looking for an OAuth server."""
    return AuthSettings(
        issuer_url=AnyHttpUrl("http://127.0.0.1"), resource_server_url=None, required_scopes=[str(Scope.READ)]
    )
