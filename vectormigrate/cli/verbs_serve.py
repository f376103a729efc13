"""`serve`: checks what was asked for, then hands the process to the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio

from vectormigrate.cli.inputs import Common
from vectormigrate.engine.allocator import keep_memory_flat
from vectormigrate.errors import ConfigError, MissingExtra
from vectormigrate.model.schema import Json

if TYPE_CHECKING:
    from vectormigrate.config.settings import Settings
    from vectormigrate.server.app import App
    from vectormigrate.server.audit.accounting import Accounting

PACKAGES = ("mcp", "limits", "prometheus_client")
SERVER_KEYS = (
    *("keys", "audit", "calls_per_minute", "open_streams", "sessions", "connections"),
    *("allowed_hosts", "allowed_origins", "trusted_proxies", "unattended", "own_migrations_only"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """The flags of `serve`. `api_keys` are secrets."""

    addr: str | None
    api_keys: tuple[str, ...]
    insecure_short_key: bool
    read_only: bool
    inline: bool
    resume_on_start: bool
    tls_cert: Path | None
    tls_key: Path | None
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    unattended: tuple[str, ...]
    own_only: bool
    audit: Path | None
    calls_per_minute: int | None
    log_level: Literal["debug", "info", "warning", "error"]

    def __repr__(self) -> str:
        return f"Serve({self.addr!r})"


def serve(common: Common, asked: Serve) -> int:
    """Serve until asked to end. Raises ConfigError."""
    for package in PACKAGES:
        if find_spec(package) is None:
            raise MissingExtra("serve", "mcp", package)
    _check(asked)
    # Before anything of the SDK is made: the first set-up of the logs wins.
    from vectormigrate.server.telemetry.logs import set_up

    set_up(asked.log_level)
    keep_memory_flat()
    from vectormigrate.cli.common import settings_of
    from vectormigrate.server.app import build
    from vectormigrate.server.telemetry.tracing import tracing
    from vectormigrate.server.tools.consent import destructive_of

    settings = settings_of(common)
    table = settings.connections.server
    unknown = sorted(set(table) - set(SERVER_KEYS))
    if unknown:
        where = settings.connections.where("server", unknown[0])
        raise ConfigError(f"{where}: unknown key {unknown[0]!r} in server; known keys: {', '.join(SERVER_KEYS)}")

    own_only = asked.own_only or _yes(table, "own_migrations_only")

    def made(*, local: bool) -> App:
        accounting = _accounting(asked, table, settings, local=local)
        if own_only and not local and not accounting.ring:
            raise ConfigError("--own-migrations-only tells callers apart by their keys: set --api-key, or leave it out")
        return build(
            settings,
            accounting=accounting,
            local=local,
            read_only=asked.read_only,
            inline=asked.inline,
            resume_on_start=asked.resume_on_start,
            unattended=destructive_of((*asked.unattended, *_texts(table, "unattended"))),
            own_only=own_only,
        )

    if asked.addr is None:
        from vectormigrate.server.stdio import serve_stdio

        with tracing():
            anyio.run(serve_stdio, made(local=True))
        return 0
    from vectormigrate.server.http.host_policy import HostPolicy
    from vectormigrate.server.http.listener import CONNECTIONS, ConnectionLimits
    from vectormigrate.server.http.peers import Proxies
    from vectormigrate.server.http.serve import Address, Tls, serve_http

    address = Address.parse(asked.addr)
    if asked.insecure_short_key and not address.is_loopback:
        raise ConfigError("--insecure-short-key is for loopback addresses only")
    hosts = HostPolicy.of(
        address.host,
        (*asked.allowed_hosts, *_texts(table, "allowed_hosts")),
        (*asked.allowed_origins, *_texts(table, "allowed_origins")),
    )
    tls = Tls(certificate=asked.tls_cert, key=asked.tls_key) if asked.tls_cert and asked.tls_key else None
    proxies = Proxies.of((*asked.trusted_proxies, *_texts(table, "trusted_proxies")))
    caps = ConnectionLimits.of(_number(table, "connections") or CONNECTIONS)
    with tracing():
        anyio.run(serve_http, made(local=False), address, hosts, tls, proxies, caps)
    return 0


def _check(asked: Serve) -> None:
    """Flags that do not go together."""
    if asked.read_only and asked.resume_on_start:
        raise ConfigError("--resume-on-start resumes migrations, which --read-only rules out; leave one of them out")
    if bool(asked.tls_cert) != bool(asked.tls_key):
        raise ConfigError("--tls-cert and --tls-key belong together")
    if asked.addr is None:
        given = {
            "--api-key": asked.api_keys,
            "--tls-cert": asked.tls_cert,
            "--allowed-host": asked.allowed_hosts,
            "--allowed-origin": asked.allowed_origins,
            "--trusted-proxy": asked.trusted_proxies,
            "--own-migrations-only": asked.own_only,
        }
        wrong = [flag for flag, value in given.items() if value]
        if wrong:
            raise ConfigError(f"{wrong[0]} is for HTTP: add --addr 127.0.0.1:8080")
    elif asked.inline:
        raise ConfigError(
            "--allow-inline-connections is for stdio only: others could make this server call any address"
        )


def _accounting(asked: Serve, table: Mapping[str, Json], settings: Settings, *, local: bool) -> Accounting:
    """Keys, limits, metrics and the audit log."""
    from vectormigrate.server.access.auth import KeyRing
    from vectormigrate.server.access.limiter import CALLS_PER_MINUTE, OPEN_STREAMS, Limiter
    from vectormigrate.server.access.sessions import SESSIONS, Sessions
    from vectormigrate.server.audit.accounting import Accounting
    from vectormigrate.server.audit.log import AuditLog, default_log

    table = settings.connections.server
    calls = asked.calls_per_minute if asked.calls_per_minute is not None else _number(table, "calls_per_minute")
    streams, sessions = _number(table, "open_streams"), _number(table, "sessions")
    ring = None
    if not local:
        ring = KeyRing.open(asked.api_keys, settings.config, insecure_short_key=asked.insecure_short_key)
    return Accounting(
        ring=ring,
        limiter=Limiter(
            calls_per_minute=CALLS_PER_MINUTE if calls is None else calls,
            open_streams=OPEN_STREAMS if streams is None else streams,
        ),
        audit=AuditLog(asked.audit or default_log(settings)),
        sessions=Sessions(SESSIONS if sessions is None else sessions),
    )


def _number(table: Mapping[str, Json], name: str) -> int | None:
    value = table.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ConfigError(f"server.{name} in the connections file must be a whole number, 0 for no limit")


def _yes(table: Mapping[str, Json], name: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise ConfigError(f"server.{name} in the connections file must be true or false")
    return value


def _texts(table: Mapping[str, Json], name: str) -> tuple[str, ...]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"server.{name} in the connections file must be a list of texts")
    return tuple(value)
