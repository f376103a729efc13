"""The connections file: named places with their credentials, as TOML.

::

    [settings]
    state = "migrations.db"            # relative to this file

    [connections.prod]
    type = "milvus"
    url = "http://db:19530"
    api_key = "${MILVUS_TOKEN}"        # ${NAME} in any text is an environment variable; $${ is a plain ${
    collection = "docs"                # optional: the default of --source-collection and --target-collection
    collections = ["docs*"]            # optional: what agents may touch through `vectormigrate serve`
    [connections.prod.options]
    database = "default"

Every complaint names file and line. Variables are looked up only for the connection that is used.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from vectormigrate.errors import ConfigError, NoConnectionsFile, did_you_mean, listed
from vectormigrate.model.schema import Json

CONFIG_NAME = "vectormigrate.toml"
SECTIONS = ("settings", "connections", "server")
SETTING_KEYS = ("state",)
CONNECTION_KEYS = ("type", "url", "api_key", "collection", "collections", "options")

Keys = tuple[str, ...]
"""Where something stands in the file: table names, then the key."""

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}\n]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """An entry of the file with its variables filled in. Any of its texts may hold a secret, so `repr` shows none."""

    type: str
    url: str = field(default="", repr=False)
    api_key: str | None = field(default=None, repr=False)
    collection: str = ""
    collections: Sequence[str] | None = None
    """Patterns (`*`, `?`, `[…]`) of the collections that agents may touch; None: the default collection only."""
    options: Mapping[str, Json] = field(default_factory=dict[str, Json], repr=False)


def ignore(message: str) -> None:
    """The listener for warnings that does nothing."""


def _key_lines(text: str) -> dict[Keys, int]:
    """Line number of every table header and key. tomllib keeps none, so each line is parsed on its own."""
    lines: dict[Keys, int] = {}
    table: Keys = ()
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            header = _key_path(stripped)
            table = header or table
            path = header
        else:
            key = _key_path(stripped.split("=", 1)[0] + "= 0") if "=" in stripped else ()
            path = (*table, *key) if key else ()
        for depth in range(1, len(path) + 1):
            lines.setdefault(path[:depth], number)
    return lines


def _key_path(line: str) -> Keys:
    """The dotted key of one line of TOML, or () when the line is something else (inside a longer text or list)."""
    try:
        node: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(node, dict | list) and len(node) == 1:
        if isinstance(node, list):
            node = node[0]
            continue
        key, node = next(iter(node.items()))
        path.append(key)
    return tuple(path)


@dataclass(frozen=True)
class ConnectionsFile:
    """A parsed connections file; `path` None means "there is none". Texts are not expanded yet."""

    path: Path | None = None
    data: Mapping[str, Json] = field(default_factory=dict[str, Json], repr=False)
    text: str = field(default="", repr=False)

    @staticmethod
    def read(path: Path) -> ConnectionsFile:
        """Parse and check the shape. Raises ConfigError with the line number."""
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read the connections file {str(path)!r}: {error.strerror}") from error
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise ConfigError(f"{path}:{line}: the connections file is not UTF-8 text") from error
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"\(at line (\d+), column \d+\)|\(at end of document\)", str(error))
            line = int(found[1]) if found and found[1] else len(text.splitlines())
            reason = str(error).split(" (at ")[0]
            raise ConfigError(f"{path}:{line}: not valid TOML: {reason}") from error
        parsed = ConnectionsFile(path, data, text)
        parsed.check()
        return parsed

    @cached_property
    def lines(self) -> Mapping[Keys, int]:
        return _key_lines(self.text)

    def where(self, *path: str) -> str:
        """`file:line` of a key, or of the nearest table around it."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.lines:
                return f"{self.path}:{self.lines[path[:depth]]}"
        return f"{self.path}:1"

    @property
    def names(self) -> list[str]:
        """Names of all connections, sorted."""
        return sorted(self.data.get("connections", {}))

    @property
    def settings(self) -> dict[str, Json]:
        """The `[settings]` table."""
        return dict(self.data.get("settings", {}))

    @property
    def server(self) -> dict[str, Json]:
        """The `[server]` table; `vectormigrate serve` checks what is in it."""
        return dict(self.data.get("server", {}))

    def check(self) -> None:
        """Raise ConfigError for an unknown key or a value of the wrong type, with its line."""
        self._known((), self.data, SECTIONS)
        for section in SECTIONS:
            self._table((section,), self.data.get(section, {}))
        self._known(("settings",), self.settings, SETTING_KEYS)
        self._texts(("settings",), self.settings)
        for name, entry in self.data.get("connections", {}).items():
            path = ("connections", name)
            self._table(path, entry)
            self._known(path, entry, CONNECTION_KEYS)
            self._texts(path, {key: value for key, value in entry.items() if key not in ("options", "collections")})
            self._patterns((*path, "collections"), entry.get("collections", []))
            self._table((*path, "options"), entry.get("options", {}))
            if not entry.get("type"):
                raise ConfigError(f"{self.where(*path)}: connection {name!r} has no type")

    def _known(self, path: Keys, table: Mapping[str, Json], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                place = ".".join(path) or "the file"
                message = f"unknown key {key!r} in {place}; known keys: {', '.join(known)}{did_you_mean(key, known)}"
                raise ConfigError(f"{self.where(*path, key)}: {message}")

    def _table(self, path: Keys, value: Json) -> None:
        if not isinstance(value, dict):
            raise ConfigError(f"{self.where(*path)}: {'.'.join(path)} must be a table")

    def _texts(self, path: Keys, table: Mapping[str, Json]) -> None:
        for key, value in table.items():
            if not isinstance(value, str):
                raise ConfigError(f"{self.where(*path, key)}: {'.'.join((*path, key))} must be text in quotes")

    def _patterns(self, path: Keys, value: Json) -> None:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ConfigError(f'{self.where(*path)}: {".".join(path)} must be a list of texts, such as ["docs*"]')

    def connection(self, name: str, warn: Callable[[str], None]) -> Connection:
        """The entry with its variables filled in. Raises ConfigError: no such name, or a variable that is not set."""
        entries = self.data.get("connections", {})
        if name not in entries:
            if self.path is None:
                raise NoConnectionsFile(name, CONFIG_NAME)
            known = f"it has: {listed(self.names, 20)}{did_you_mean(name, self.names)}"
            raise ConfigError(f"no connection {name!r} in {str(self.path)!r}; {known}")
        path = ("connections", name)
        entry = {key: self._expand((*path, key), value, name) for key, value in entries[name].items()}
        if "${" not in entries[name].get("api_key", "${") and self._readable_by_others():
            warn(
                f"{self.where(*path, 'api_key')}: the key of connection {name!r} is in a file that other users can"
                f" read; write ${{VARIABLE}} instead, or run: chmod 600 {self.path}"
            )
        return Connection(**entry)

    def _readable_by_others(self) -> bool:
        return self.path is not None and bool(self.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))

    def _expand(self, path: Keys, value: Json, name: str) -> Json:
        if isinstance(value, dict):
            return {key: self._expand((*path, key), item, name) for key, item in value.items()}
        if isinstance(value, list):
            return [self._expand(path, item, name) for item in value]
        if not isinstance(value, str):
            return value

        def replace(match: re.Match[str]) -> str:
            if match[0] == "$${":
                return "${"
            variable = match[1]
            if not match[0].endswith("}") or not _NAME.fullmatch(variable):
                raise ConfigError(
                    f"{self.where(*path)}: connection {name!r}: {match[0]!r} is not of the form ${{NAME}}"
                )
            if variable not in os.environ:
                raise ConfigError(
                    f"{self.where(*path)}: connection {name!r} needs the environment variable {variable}, "
                    "which is not set"
                )
            return os.environ[variable]

        return _VARIABLE.sub(replace, value)
