"""How a server is reached: certificates, names, headers and proxies, alike for every database and both kinds of calls.

`ServerConfig` holds the options; the functions make from them what httpx and gRPC take.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import Field, SecretStr, field_validator, model_validator

from vectormigrate.adapter import ConnectionConfig
from vectormigrate.adapter.grpc_options import CHANNEL_OPTIONS
from vectormigrate.config.redaction import keep_secret

if TYPE_CHECKING:
    import grpc.aio

HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OURS = frozenset({"host", "content-type", "content-length", "te", "user-agent", "connection"})


class ServerConfig(ConnectionConfig):
    """`ca_file`: PEM file with the certificate authorities to trust. `client_cert`, `client_key`: PEM files with which
    we show who we are (the key may be in the first one). `tls_server_name`: the name in the server's certificate, where
    it is not the host of the URL.

    `headers`: further headers of every call, REST and gRPC. A value `env:NAME` or `file:PATH` is read from there.
    `proxy`: URL of an HTTP proxy; without it HTTPS_PROXY, HTTP_PROXY and NO_PROXY count, but never for this machine.
    """

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    tls_server_name: str | None = Field(default=None, min_length=1)
    headers: Mapping[str, SecretStr] = Field(default_factory=dict[str, SecretStr], exclude=True, repr=False)
    proxy: str | None = Field(default=None, exclude=True, repr=False)

    @field_validator("ca_file", "client_cert", "client_key")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        path = path.expanduser()
        if not os.access(path, os.R_OK):
            raise ValueError(f"the file {str(path)!r} cannot be read")
        return path

    @field_validator("headers", mode="before")
    @classmethod
    def _resolved(cls, headers: Any) -> Any:
        if not isinstance(headers, Mapping):
            raise ValueError('headers must be a table such as {"x-team": "env:TEAM_KEY"}')
        return {str(name): _secret(str(name), value) for name, value in headers.items()}

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, proxy: str | None) -> str | None:
        if proxy is not None and (urlsplit(proxy).scheme not in ("http", "https") or not urlsplit(proxy).hostname):
            raise ValueError("the proxy must be http://host:port")
        return proxy

    @model_validator(mode="after")
    def _pair(self) -> ServerConfig:
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert, the certificate that belongs to it")
        return self


def _secret(name: str, value: Any) -> SecretStr:
    """The value of a header. No error shows it."""
    if HEADER.fullmatch(name) is None or name.lower() in OURS or name.lower().startswith("grpc-"):
        raise ValueError(f"{name!r} cannot be an extra header")
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    kind, _, place = text.partition(":")
    if kind == "env":
        if place not in os.environ:
            raise ValueError(f"header {name!r} needs the environment variable {place!r}, which is not set")
        text = os.environ[place]
    elif kind == "file":
        try:
            text = Path(place).expanduser().read_text().strip()
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"header {name!r}: the file {place!r} cannot be read") from None
    if not text.isascii() or not text.isprintable():
        raise ValueError(f"the value of header {name!r} holds characters that no header has")
    if kind in ("env", "file"):
        keep_secret(text)
    return SecretStr(text)


def is_local(host: str) -> bool:
    """Whether the host is this machine."""
    return host in ("localhost", "::1") or host.startswith("127.")


def environment_proxy(url: str) -> str | None:
    """The proxy that the environment names for the URL, for clients that do not look themselves."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_local(host) or proxy_bypass(host):
        return None
    found = getproxies()
    return found.get(parts.scheme) or found.get("all")


class _NamedContext(ssl.SSLContext):
    """Asks every server for the certificate of one name."""

    name: str

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        return super().wrap_bio(incoming, outgoing, server_side, self.name, session)


def tls_context(config: ServerConfig) -> ssl.SSLContext:
    """What httpx and the SDKs on it verify servers with."""
    trusted = config.ca_file or os.environ.get("SSL_CERT_FILE") or None
    if trusted is None:
        import certifi

        trusted = certifi.where()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if config.tls_server_name is not None:
        context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
        context.name = config.tls_server_name
    context.load_verify_locations(cafile=str(trusted))
    if config.client_cert is not None:
        context.load_cert_chain(config.client_cert, config.client_key)
    return context


def header_values(config: ServerConfig) -> dict[str, str]:
    """The extra headers in clear."""
    return {name.lower(): value.get_secret_value() for name, value in config.headers.items()}


def http_options(config: ServerConfig, url: str) -> dict[str, Any]:
    """`verify`, `proxy` and `trust_env` of an httpx client of this server."""
    parts = urlsplit(url)
    verify: ssl.SSLContext | bool = tls_context(config) if parts.scheme == "https" else False
    return {"verify": verify, "proxy": config.proxy, "trust_env": not is_local(parts.hostname or "")}


def grpc_channel(
    config: ServerConfig, address: str, *, secure: bool, options: Sequence[tuple[str, Any]] = ()
) -> grpc.aio.Channel:
    """A channel to `host:port`."""
    import grpc
    import grpc.aio

    every = [*CHANNEL_OPTIONS, *options]
    if config.proxy is not None:
        every.append(("grpc.http_proxy", config.proxy))
    elif is_local(address.rpartition(":")[0].strip("[]")):
        every.append(("grpc.enable_http_proxy", 0))
    if not secure:
        return grpc.aio.insecure_channel(address, options=every)
    if config.tls_server_name is not None:
        every.append(("grpc.ssl_target_name_override", config.tls_server_name))
    chain = config.client_cert.read_bytes() if config.client_cert is not None else None
    key = config.client_key.read_bytes() if config.client_key is not None else chain
    roots = config.ca_file.read_bytes() if config.ca_file is not None else None
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(roots, key, chain), options=every)
