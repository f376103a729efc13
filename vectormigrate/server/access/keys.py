"""API keys: how they are written in flags, environment and file, and the ring that knows which ones are valid.

Three places, all of which count::

    --api-key KEY                              one key, named `default`, with every scope
    VECTORMIGRATE_API_KEYS="ci:read=KEY ops:admin=KEY"       NAME[:SCOPE]=KEY, by spaces or commas
    [[server.keys]]                            in vectormigrate.toml
    name = "ci"
    sha256 = "9f86d0…"                         from: vectormigrate mcp key new ci --scope read
    scopes = ["migrations:read"]

Scopes build on each other: `admin` holds `write`, `write` holds `read`. Several keys may carry one name: they are the
same owner, so a key can be replaced while its sessions live on. Only SHA-256 digests stay in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from vectormigrate.config.connections import ConnectionsFile
from vectormigrate.errors import ConfigError
from vectormigrate.figures import counted

VARIABLE = "VECTORMIGRATE_API_KEYS"

SHORTEST_KEY = 32
"""Characters. A key of this length from a random source cannot be guessed, so its plain digest gives nothing away."""

DEFAULT_NAME = "default"

_NAMED = re.compile(r"([A-Za-z0-9._-]{1,40})(?::([A-Za-z:+]+))?=(?!=*$)(.+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a key may do; each scope holds those before it."""

    READ = "migrations:read"
    WRITE = "migrations:write"
    ADMIN = "migrations:admin"


ALL_SCOPES: frozenset[Scope] = frozenset(Scope)


def with_lower(scopes: Iterable[Scope]) -> frozenset[Scope]:
    """The scopes and every one that they hold."""
    order = list(Scope)
    highest = max((order.index(scope) for scope in scopes), default=-1)
    return frozenset(order[: highest + 1])


def scope_of(word: str) -> Scope:
    """`read` or `migrations:read`. Raises ConfigError."""
    full = word if ":" in word else f"migrations:{word}"
    if full not in list(Scope):
        raise ConfigError(f"unknown scope {word!r}; known scopes: {', '.join(Scope)}")
    return Scope(full)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A valid key: who owns it, what it may do, and its SHA-256."""

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope] = ALL_SCOPES

    @property
    def fingerprint(self) -> str:
        """The first eight hexadecimal digits of the digest: enough to distinguish keys, useless to guess one."""
        return f"sha256:{self.digest.hex()[:8]}"


def digest_of(secret: str) -> bytes:
    """SHA-256 of the key's UTF-8."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def new_secret() -> str:
    """A fresh key of 43 characters, 256 random bits."""
    return secrets.token_urlsafe(32)


def parse_key(text: str, *, origin: str, insecure_short_key: bool = False) -> Key:
    """A key as written in a flag or variable: `KEY`, `NAME=KEY` or `NAME:SCOPE=KEY`; `env:NAME` reads a variable.

    The text is a secret and never repeated. Raises ConfigError, which names `origin`.
    """
    if text.startswith("env:"):
        variable = text.removeprefix("env:")
        text = os.environ.get(variable, "")
        if not text:
            raise ConfigError(f"{origin}: the environment variable {variable!r}, which should hold the key, is not set")
    found = _NAMED.fullmatch(text)
    name, scope, secret = (found[1], found[2], found[3]) if found else (DEFAULT_NAME, None, text)
    if len(secret) < SHORTEST_KEY and not insecure_short_key:
        raise ConfigError(
            f"{origin}: the key {name!r} has {counted(len(secret))} characters, at least {counted(SHORTEST_KEY)} are "
            "needed; make one with: vectormigrate mcp key new (or pass --insecure-short-key on a loopback address)"
        )
    if not secret.isascii() or any(char.isspace() or not char.isprintable() for char in secret):
        raise ConfigError(f"{origin}: the key {name!r} holds characters that a header cannot carry")
    try:
        scopes = with_lower([scope_of(scope)]) if scope else ALL_SCOPES
    except ConfigError as error:
        raise ConfigError(f"{origin}: the key {name!r}: {error}") from error
    return Key(name=name, digest=digest_of(secret), scopes=scopes)


def keys_of_environment(*, insecure_short_key: bool = False) -> list[Key]:
    """The keys of VECTORMIGRATE_API_KEYS. Raises ConfigError."""
    words = re.split(r"[\s,]+", os.environ.get(VARIABLE, "").strip())
    return [parse_key(word, origin=VARIABLE, insecure_short_key=insecure_short_key) for word in words if word]


def keys_of_file(file: ConnectionsFile) -> list[Key]:
    """The `[[server.keys]]` of the connections file. Raises ConfigError with file and line."""
    entries = file.server.get("keys", [])
    where = file.where("server", "keys")
    if not isinstance(entries, list):
        raise ConfigError(f"{where}: server.keys must be written as [[server.keys]] tables")
    return [_key_of_entry(entry, where) for entry in cast("list[Any]", entries)]


def _key_of_entry(entry: object, where: str) -> Key:
    if not isinstance(entry, Mapping) or set(cast("Mapping[str, Any]", entry)) - {"name", "sha256", "scopes"}:
        raise ConfigError(f"{where}: a key has name, sha256 and scopes, and nothing else (never the key itself)")
    table = cast("Mapping[str, Any]", entry)
    name, digest, scopes = table.get("name"), table.get("sha256"), table.get("scopes", list(Scope))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: the name of a key must be 1 to 40 of the characters A-Z a-z 0-9 . _ -")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ConfigError(
            f"{where}: sha256 of key {name!r} must be 64 lower-case hexadecimal digits; make it with: "
            "vectormigrate mcp key hash"
        )
    if not isinstance(scopes, list) or not scopes:
        raise ConfigError(f"{where}: scopes of key {name!r} must be a list of: {', '.join(Scope)}")
    words = [str(word) for word in cast("list[Any]", scopes)]
    try:
        return Key(name=name, digest=bytes.fromhex(digest), scopes=with_lower(map(scope_of, words)))
    except ConfigError as error:
        raise ConfigError(f"{where}: key {name!r}: {error}") from error


def find_key(keys: Iterable[Key], secret: str) -> Key | None:
    """The key with this secret. Every key is compared, each in constant time, whatever matches: the time taken reveals
    neither whether a key is valid nor how much of it is."""
    digest = digest_of(secret)
    found: Key | None = None
    for key in keys:
        if hmac.compare_digest(key.digest, digest):
            found = key
    return found
