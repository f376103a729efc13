"""Which collections agents may touch: the connections of the file, and of each those that its list names.

::

    [connections.prod]
    type = "qdrant"
    url = "https://db:6334"
    api_key = "${QDRANT_KEY}"
    collections = ["docs*", "notes"]     # patterns; without the list: the default collection only
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from os import environ
from urllib.parse import parse_qsl, urlsplit

from vectormigrate.config.connections import Connection, ignore
from vectormigrate.config.redaction import keep_secret, names_a_secret
from vectormigrate.config.settings import Endpoint, Settings, Side, key_variable, load_settings, resolve_endpoint
from vectormigrate.errors import ConfigError
from vectormigrate.model.plan import EndpointRef
from vectormigrate.model.schema import Json
from vectormigrate.server.access.auth import file_stamp

PROBE = "vectormigrate"

LOOK_SECONDS = 1.0
"""How long a change of the connections file may stay unnoticed."""

log = logging.getLogger(__name__)

SHORTEST_SECRET = 4
"""Characters. Blanking out a shorter one would blank out ordinary text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """A connection as agents may know it: never its URL. `problem` is why it cannot be used now."""

    name: str
    type: str
    collection: str
    patterns: Sequence[str]
    problem: str | None = None


class Access:
    """The gate between names that an agent gives and endpoints that are connected to."""

    def __init__(self, settings: Settings, *, inline: bool = False) -> None:
        """`inline` also takes `TYPE=URL` in place of a connection's name; only for a server on stdio."""
        self._settings = settings
        self._stamp = None if settings.config is None else file_stamp(settings.config)
        self._looked = time.monotonic()
        self.inline = inline

    @property
    def settings(self) -> Settings:
        """With the connections as the file has them: it is read again when it changes (looked at once a second). A
        file that has become wrong is reported and changes nothing."""
        path = self._settings.config
        if path is None or time.monotonic() - self._looked < LOOK_SECONDS:
            return self._settings
        self._looked = time.monotonic()
        stamp = file_stamp(path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                fresh = load_settings(state=self._settings.state, config=path)
                log.info("connections read again: %d", len(fresh.connections.names))
            except ConfigError as error:
                log.error("the connections stay as they were: %s", error)
            else:
                self._settings = fresh
                self.keep_secrets()
        return self._settings

    def keep_secrets(self) -> None:
        """From now on nothing shows a credential of any connection, or of the variables that hold one."""
        for side in ("source", "target", ""):
            _keep(environ.get(key_variable(side)))
        for name in self.settings.connections.names:
            try:
                entry = self.settings.connections.connection(name, ignore)
            except ConfigError:
                continue  # A variable is missing, so there is nothing to connect with.
            _keep(entry.api_key)
            _keep_url(entry.url)
            _keep_options(entry.options)

    def connections(self) -> list[Open]:
        """Every connection of the file, by name. Nothing is connected to."""
        return [self._open(name) for name in self.settings.connections.names]

    def _open(self, name: str) -> Open:
        try:
            entry = self.settings.connections.connection(name, ignore)
        except ConfigError as error:
            raw = self.settings.connections.data["connections"][name]
            return Open(name=name, type=str(raw["type"]), collection="", patterns=(), problem=str(error))
        return Open(name=name, type=entry.type, collection=entry.collection, patterns=_patterns(entry))

    def probe(self, name: str) -> Endpoint:
        """Any collection of the connection, to see whether it is complete. Raises ConfigError."""
        found = resolve_endpoint(self.settings, connection=name, collection_needed=False)
        return found if found.collection else replace(found, collection=PROBE)

    def endpoint(self, name: str, collection: str | None, side: Side = "") -> Endpoint:
        """The collection that an agent means. Raises ConfigError: unknown, not open to agents, or none named."""
        endpoint = self._resolved(name, collection, side)
        if not endpoint.collection:
            raise ConfigError(
                f"which collection of {endpoint.connection or endpoint.type!r}? give {self._argument(side)}"
            )
        if endpoint.connection:
            self._require(name, endpoint.collection)
        return endpoint

    def _resolved(self, name: str, collection: str | None, side: Side) -> Endpoint:
        kind, equals, url = name.partition("=")
        if not equals:
            return resolve_endpoint(
                self.settings, side, connection=name, collection=collection, collection_needed=False
            )
        if not self.inline:
            raise ConfigError(
                f"{kind!r} with a URL is not accepted by this server; name a connection ({self._names()})"
            )
        _refuse_key(side)
        return resolve_endpoint(self.settings, side, type=kind, url=url, collection=collection, collection_needed=False)

    def place(self, name: str) -> Endpoint:
        """The server behind a connection, whatever its collection. Raises ConfigError."""
        return self._resolved(name, None, "")

    def filter(self, name: str) -> Callable[[str], bool]:
        """Which collections of a connection agents may touch; all of a URL that was taken inline."""
        if "=" in name:
            return lambda _: self.inline
        patterns = self._open(name).patterns
        return lambda collection: any(fnmatchcase(collection, pattern) for pattern in patterns)

    def require(self, *refs: EndpointRef) -> None:
        """Raise ConfigError unless agents may touch these collections of a stored migration."""
        for ref in refs:
            if ref.connection:
                self._require(ref.connection, ref.collection)
            elif not self.inline:
                raise ConfigError(
                    f"the collection {ref.collection!r} ({ref.type}) was not named through a connection when the "
                    "migration began, so agents may not touch it; use the command line, or add a connection to "
                    "vectormigrate.toml and start again"
                )
            elif ref.api_key_ref is None:
                for side in ("source", "target"):
                    _refuse_key(side)

    def _require(self, name: str, collection: str) -> None:
        found = self._open(name)
        if found.problem:
            raise ConfigError(found.problem)
        if not any(fnmatchcase(collection, pattern) for pattern in found.patterns):
            now = ", ".join(found.patterns) or "none"
            raise ConfigError(
                f"the collection {collection!r} of connection {name!r} is not open to agents (open: {now}); ask the "
                f"operator to add it to collections = [...] under [connections.{name}] in vectormigrate.toml"
            )

    def _names(self) -> str:
        return ", ".join(self.settings.connections.names) or "there are none; the operator adds them to the file"

    @staticmethod
    def _argument(side: Side) -> str:
        return f"{side}_collection" if side else "collection"


def _refuse_key(side: Side) -> None:
    """Raise ConfigError where the operator's key would go to a URL that an agent names."""
    variable = key_variable(side)
    if environ.get(variable):
        raise ConfigError(
            f"a URL is not accepted while {variable} is set, whose key would be sent there; name a connection, or ask "
            "the operator to unset it"
        )


def _patterns(entry: Connection) -> Sequence[str]:
    if entry.collections is not None:
        return tuple(entry.collections)
    return (entry.collection,) if entry.collection else ()


def _keep(secret: str | None) -> None:
    if secret and len(secret) >= SHORTEST_SECRET:
        keep_secret(secret)


def _keep_url(url: str) -> None:
    """The password of the URL, and the values of its query."""
    try:
        parts = urlsplit(url)
        _keep(parts.password)
    except ValueError:
        return
    for _, value in parse_qsl(parts.query):
        _keep(value)


def _keep_options(value: Json, *, secret: bool = False) -> None:
    """Texts whose name, or the name of something around them, says that they are secret; and URLs."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            _keep_options(item, secret=secret or names_a_secret(str(name)))
    elif isinstance(value, list):
        for item in value:
            _keep_options(item, secret=secret)
    elif isinstance(value, str):
        _keep_url(value)
        if secret:
            _keep(value)
