"""Settings, and the collections that a command line or a stored migration means.

Precedence: flag > environment `VECTORMIGRATE_*` > `[settings]` of the connections file > default. A credential lives in
an `Endpoint` in memory only; `endpoint_ref` makes the form that may be stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from vectormigrate.config.connections import CONFIG_NAME, Connection, ConnectionsFile, ignore
from vectormigrate.config.references import is_reference, resolved
from vectormigrate.errors import ConfigError, Remedy, option
from vectormigrate.model.plan import EndpointRef
from vectormigrate.model.schema import Json

APP = "vectormigrate"

Side = Literal["source", "target", ""]
"""Which end of a migration a flag or variable is about; empty where a command takes one collection only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A collection as the operator named it. Either `connection` (a name in the connections file) or `type` + `url`.

    `api_key` is the resolved secret; `api_key_ref` is what may be stored: `env:NAME`, `file:PATH`, `given` or None
    (none, or the connection's own). `url` and `options` of a connection may hold secrets, so `repr` leaves them out::

        end = Endpoint(type="qdrant", url="http://localhost:6333", collection="docs", api_key=SecretStr("…"))
        named = Endpoint(connection="prod", collection="docs")
    """

    collection: str
    type: str = ""
    url: str = field(default="", repr=False)
    connection: str | None = None
    api_key: SecretStr | None = None
    api_key_ref: str | None = None
    options: Mapping[str, Json] = field(default_factory=dict[str, Json], repr=False)
    overrides: Mapping[str, Json] = field(default_factory=dict[str, Json], repr=False)
    """Those of the options that were given beside the connection; they are stored with its name."""
    side: Side = field(default="", compare=False)
    """Which end it is, for the errors."""


def part(side: Side, name: str) -> Remedy:
    """What of an endpoint an error is about: `request.source.api_key`, or `endpoint.api_key` without a side."""
    return option(f"request.{side}.{name}" if side else f"endpoint.{name}")


def key_variable(side: Side) -> str:
    """The environment variable that holds a key when no flag and no connection does."""
    return f"VECTORMIGRATE_{side.upper()}_API_KEY" if side else "VECTORMIGRATE_API_KEY"


def safe_url(url: str) -> str:
    """The URL as people may see it: without user-info, query and fragment. A plain path is returned unchanged."""
    if "://" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.split("://", 1)[0] + "://…"
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def key_origin(endpoint: Endpoint) -> str:
    """Where the key of a resolved endpoint came from, for people; empty without one."""
    if endpoint.api_key is None:
        return ""
    if endpoint.api_key_ref is None and endpoint.connection:
        return f"connection {endpoint.connection!r}"
    named = endpoint.api_key_ref not in (None, "given")
    return str(endpoint.api_key_ref) if named else "given"


def plain_problems(error: ValidationError, most: int = 10) -> str:
    """What is wrong, in plain words and without the values, which may be secret."""
    problems: list[str] = []
    for item in error.errors(include_url=False, include_input=False, include_context=False)[:most]:
        where = ".".join(str(part) for part in item["loc"])
        text = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        problems.append(f"{where}: {text}" if where else text)
    return "; ".join(problems)


def _default_state() -> Path:
    return platformdirs.user_data_path(APP, appauthor=False) / "state.db"


def _default_config() -> Path | None:
    for path in (Path(CONFIG_NAME), platformdirs.user_config_path(APP, appauthor=False) / CONFIG_NAME):
        if path.exists():
            return path
    return None


class _FileSource(PydanticBaseSettingsSource):
    """The `[settings]` table of the file that flag, environment or default name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: `__call__` gives all values at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        named = self.current_state.get("config")
        path = Path(named).expanduser() if named else _default_config()
        if path is None:
            return {}
        table = ConnectionsFile.read(path).settings
        if "state" in table:
            table["state"] = path.parent / Path(table["state"]).expanduser()
        return table


class Settings(BaseSettings):
    """Where the state file and the connections file are. `Settings()` reads environment and file; arguments win.

    Raises ConfigError when a named file cannot be read or is wrong::

        settings = Settings(state=Path("migrations.db"), config=None)
    """

    model_config = SettingsConfigDict(env_prefix="VECTORMIGRATE_", env_ignore_empty=True, extra="forbid", frozen=True)

    state: Path = Field(default_factory=_default_state)
    config: Path | None = Field(default_factory=_default_config)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """flag > environment > file > default."""
        return init_settings, env_settings, _FileSource(settings_cls)

    @cached_property
    def connections(self) -> ConnectionsFile:
        """The connections file, read once; an empty one when there is none. Raises ConfigError."""
        return ConnectionsFile.read(self.config.expanduser()) if self.config else ConnectionsFile()


def load_settings(*, state: Path | None = None, config: Path | None = None) -> Settings:
    """Settings with the flags that were given. Raises ConfigError."""
    given = {name: path.expanduser() for name, path in (("state", state), ("config", config)) if path is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigError(f"wrong setting: {plain_problems(error)}") from error


def resolve_endpoint(
    settings: Settings,
    side: Side = "",
    *,
    connection: str | None = None,
    type: str | None = None,
    url: str | None = None,
    api_key: str | None = None,
    collection: str | None = None,
    options: Mapping[str, Json] | None = None,
    collection_needed: bool = True,
    warn: Callable[[str], None] = ignore,
) -> Endpoint:
    """The endpoint that the operator's flags mean; each of them may be None. Raises ConfigError.

    Key: the flag (`env:NAME` and `file:PATH` are read), else the connection's own, else VECTORMIGRATE_SOURCE_API_KEY or
    VECTORMIGRATE_TARGET_API_KEY.
    """
    given = _storable_options(side, options or {})
    if connection:
        # An option changes how a server is talked to; a URL would send the connection's key somewhere else.
        for name, value in (("type", type), ("url", url)):
            if value:
                raise ConfigError(
                    f"give either {_connection_part(side)} or {part(side, name)}, not both: "
                    f"connection {connection!r} has its own {name}"
                )
        entry = settings.connections.connection(connection, warn)
    elif type:
        entry = Connection(type=type, url=_storable_url(side, url or ""))
    else:
        raise ConfigError(f"missing {_connection_part(side)} (a name of {CONFIG_NAME}) or {part(side, 'type')}")
    name = collection or entry.collection
    if collection_needed and not name:
        raise ConfigError(f"missing {part(side, 'collection')}: which collection of {connection or type!r}?")
    key, ref = _key(side, api_key, entry.api_key)
    return Endpoint(
        collection=name,
        type=entry.type.replace("-", "_"),
        url=entry.url,
        connection=connection,
        api_key=key,
        api_key_ref=ref,
        options={**entry.options, **given},
        overrides=given if connection else {},
        side=side,
    )


def complete_endpoint(settings: Settings, endpoint: Endpoint, side: Side = "") -> Endpoint:
    """An endpoint whose `type`, `url`, `options` and key are filled in from its connection; a complete one is returned
    as it is. For endpoints that a program built itself. Raises ConfigError."""
    if not endpoint.connection or endpoint.type:
        return endpoint if endpoint.side == side else replace(endpoint, side=side)
    full = resolve_endpoint(
        settings,
        side,
        connection=endpoint.connection,
        collection=endpoint.collection,
        options=endpoint.options,
        collection_needed=False,
    )
    if endpoint.api_key is None:
        return full
    return replace(full, api_key=endpoint.api_key, api_key_ref=endpoint.api_key_ref or "given")


def endpoint_ref(endpoint: Endpoint, location: str) -> EndpointRef:
    """What may be stored of a complete endpoint; of a connection nothing but its name, for its URL and options may
    hold secrets. Raises ConfigError for a URL with credentials in it."""
    named = endpoint.connection is not None
    given = endpoint.api_key is not None and not named
    return EndpointRef(
        type=endpoint.type,
        collection=endpoint.collection,
        url="" if named else _storable_url("", endpoint.url),
        connection=endpoint.connection,
        api_key_ref=endpoint.api_key_ref or ("given" if given else None),
        options=dict(endpoint.overrides if named else endpoint.options),
        location=location,
    )


def endpoint_from_ref(settings: Settings, ref: EndpointRef, side: Side, key: str | None = None) -> Endpoint:
    """The endpoint of a stored migration, to resume it; `key` is what was typed this time (a reference, too).

    Raises ConfigError when the key was typed at the start and is not given again, when its variable is not set, or
    when the connection is gone.
    """
    typed = key or _stored_key(side, ref.api_key_ref)
    if ref.connection:
        return resolve_endpoint(
            settings,
            side,
            connection=ref.connection,
            api_key=typed,
            collection=ref.collection,
            options=ref.options,
        )
    return resolve_endpoint(
        settings,
        side,
        type=ref.type,
        url=ref.url,
        api_key=typed,
        collection=ref.collection,
        options=ref.options,
    )


def _connection_part(side: Side) -> str:
    return str(part(side, "connection")) if side else "a connection"


def _storable_url(side: Side, url: str) -> str:
    """The URL, which will be stored and shown. Raises ConfigError when it holds credentials or a query."""
    if safe_url(url) != url:
        raise ConfigError(
            f"the URL {safe_url(url)!r} was given with a user, a query or a fragment, which may be secret and would "
            f"be stored: pass the key with {part(side, 'api_key')} env:NAME or file:PATH, or name a connection of "
            f"{CONFIG_NAME}"
        )
    return url


def _storable_options(side: Side, options: Mapping[str, Json]) -> dict[str, Json]:
    """The options, which will be stored. Raises ConfigError when they hold what may be secret."""
    headers = options.get("headers")
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if not is_reference(str(value)):
            raise ConfigError(
                f"header {name!r} would be stored with {part(side, 'options')}: write its value as env:NAME or "
                f"file:PATH, or use a named connection of {CONFIG_NAME}"
            )
    proxy = options.get("proxy")
    if isinstance(proxy, str) and safe_url(proxy) != proxy:
        raise ConfigError(
            f"the proxy {safe_url(proxy)!r} was given with a user or a query, which would be stored: use a named "
            f"connection of {CONFIG_NAME}, or set HTTPS_PROXY"
        )
    return dict(options)


def _key(side: Side, given: str | None, own: str | None) -> tuple[SecretStr | None, str | None]:
    """The secret and its reference; `given` is the flag, `own` the connection's key."""
    if given:
        if not is_reference(given):
            return SecretStr(given), "given"
        secret, reference = resolved(given, part(side, "api_key"))
        return SecretStr(secret), reference
    if own:
        return SecretStr(own), None
    fallback = key_variable(side)
    if os.environ.get(fallback):
        return SecretStr(os.environ[fallback]), f"env:{fallback}"
    return None, None


def _stored_key(side: Side, ref: str | None) -> str | None:
    """What the flag would have to say for a stored reference."""
    if ref != "given":
        return ref
    fallback = key_variable(side)
    if not os.environ.get(fallback):
        raise ConfigError(
            f"the {side} key was typed when the migration started and is never stored: "
            f"pass it again with {part(side, 'api_key')}, or set {fallback}"
        )
    return f"env:{fallback}"
