"""Where a Weaviate collection is: `http(s)://host[:port]` for REST and a second address for gRPC."""

from __future__ import annotations

from enum import StrEnum
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from vectormigrate.adapter.server_access import ServerConfig

REST_PORTS = {"http": 8080, "https": 443}
GRPC_PORT = 50051


class Consistency(StrEnum):
    """How many replicas must take part in a read or write."""

    ONE = "ONE"
    QUORUM = "QUORUM"
    ALL = "ALL"


class Dangling(StrEnum):
    """What to do with references whose target never appears, where Weaviate refuses them (see references.py)."""

    FAIL = "fail"
    DROP = "drop"


class WeaviateConfig(ServerConfig):
    """`url` is `http(s)://host[:port][/prefix]`, also what Weaviate Cloud calls the REST endpoint.

    `grpc_url`: `[http(s)://]host[:port]`; without it the host of `url` and `grpc_port`.
    `grpc_port`: 50051 with a default REST port, and must be given with any other. Weaviate Cloud needs neither.
    `collection`: a first letter in lower case is raised, as the server does.
    `activate_tenants`: switch inactive and offloaded tenants on as they are needed, and back at the end.
    `consistency`: for reads and writes. `dangling_references`: fail or drop, see Dangling.
    `timeout`: seconds for one call; `connect_timeout`: for the first answer of a server; `ready_timeout`: for
    building indexes and switching tenants.
    """

    grpc_url: str = ""
    grpc_port: int | None = Field(default=None, gt=0, lt=65536)
    activate_tenants: bool = False
    consistency: Consistency = Consistency.QUORUM
    dangling_references: Dangling = Dangling.FAIL
    timeout: float = Field(default=60.0, gt=0)
    connect_timeout: float = Field(default=5.0, gt=0)
    ready_timeout: float = Field(default=3600.0, gt=0)

    @field_validator("url")
    @classmethod
    def _rest_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in REST_PORTS or not parts.hostname:
            raise ValueError("the url must look like http://host:8080 or https://host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the url may hold no user name or password; use the API key")
        if parts.query or parts.fragment:
            raise ValueError("the url may hold host, port and a path before /v1, nothing else")
        _ = parts.port
        return url

    @field_validator("grpc_url")
    @classmethod
    def _grpc_address(cls, url: str) -> str:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if url and (parts.scheme not in REST_PORTS or not parts.hostname or parts.path.strip("/")):
            raise ValueError("the gRPC url must look like host:50051 or https://host:443")
        _ = parts.port
        return url

    @field_validator("collection")
    @classmethod
    def _named(cls, collection: str) -> str:
        if not collection:
            raise ValueError("the collection needs a name")
        return collection[0].upper() + collection[1:]

    @model_validator(mode="after")
    def _own_grpc_port(self) -> WeaviateConfig:
        parts = urlsplit(self.url)
        usual = REST_PORTS[parts.scheme]
        port = parts.port or usual
        if self.grpc_url or self.grpc_port or port == usual or _cloud_grpc(parts.hostname or ""):
            return self
        raise ValueError(
            f"port {port} is not the default {usual} of {parts.scheme}, so {GRPC_PORT} may be another server's gRPC "
            f"port: give this server's with the option grpc_port (such as grpc_port={GRPC_PORT + 1}) or grpc_url"
        )

    @property
    def secure(self) -> bool:
        """Whether REST speaks TLS."""
        return self.url.startswith("https://")

    def rest(self) -> str:
        """`scheme://host:port[/prefix]/v1`."""
        parts = urlsplit(self.url)
        prefix = parts.path.rstrip("/").removesuffix("/v1")
        return f"{parts.scheme}://{_host(parts.hostname)}:{parts.port or REST_PORTS[parts.scheme]}{prefix}/v1"

    def grpc(self) -> tuple[str, bool]:
        """`host:port` of gRPC, and whether it speaks TLS."""
        host = urlsplit(self.url).hostname or ""
        usual = self.grpc_port or GRPC_PORT
        if not self.grpc_url:
            cloud = _cloud_grpc(host)
            return (f"{cloud}:443", True) if cloud else (f"{_host(host)}:{usual}", self.secure)
        parts = urlsplit(self.grpc_url if "://" in self.grpc_url else f"//{self.grpc_url}")
        secure = self.secure if not parts.scheme else parts.scheme == "https"
        port = parts.port or (443 if parts.scheme == "https" else usual)
        return f"{_host(parts.hostname)}:{port}", secure

    def location(self) -> str:
        """`weaviate:<scheme>://<host>:<port>#<collection>`."""
        return f"weaviate:{self.rest().removesuffix('/v1')}#{self.collection}"


def _cloud_grpc(host: str) -> str:
    """The gRPC host of a cluster of Weaviate Cloud, as Weaviate's own client forms it; empty for other hosts."""
    if host.endswith(".weaviate.network"):
        name, _, domain = host.partition(".")
        return f"{name}.grpc.{domain}"
    return f"grpc-{host}" if host.endswith(".weaviate.cloud") else ""


def _host(host: str | None) -> str:
    return f"[{host}]" if host and ":" in host else host or ""
