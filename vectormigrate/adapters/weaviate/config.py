"""Where a Weaviate collection is: `http(s)://host[:port]` for REST and a second address for gRPC."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from vectormigrate.adapter import ConnectionConfig

REST_PORTS = {"http": 8080, "https": 443}
CLOUD_DOMAINS = (".weaviate.cloud", ".weaviate.network")


class Consistency(StrEnum):
    """How many replicas must take part in a read or write."""

    ONE = "ONE"
    QUORUM = "QUORUM"
    ALL = "ALL"


class Dangling(StrEnum):
    """What to do with references whose target never appears, where Weaviate refuses them (see references.py)."""

    FAIL = "fail"
    DROP = "drop"


class WeaviateConfig(ConnectionConfig):
    """`url` is `http(s)://host[:port]`, also what Weaviate Cloud calls the REST endpoint.

    `grpc_url`: `[http(s)://]host[:port]`; without it the host of `url` (`grpc-<host>:443` for Weaviate Cloud) and
    `grpc_port`. `collection`: a first letter in lower case is raised, as the server does.
    `activate_tenants`: switch inactive and offloaded tenants on as they are needed, and back at the end.
    `consistency`: for reads and writes. `dangling_references`: fail or drop, see Dangling.
    `timeout`: seconds for one call; `connect_timeout`: for the first answer of a server; `ready_timeout`: for
    building indexes and switching tenants.
    `ca_file`: PEM file with the certificate authority of an https server.
    """

    grpc_url: str = ""
    grpc_port: int = Field(default=50051, gt=0, lt=65536)
    activate_tenants: bool = False
    consistency: Consistency = Consistency.QUORUM
    dangling_references: Dangling = Dangling.FAIL
    timeout: float = Field(default=60.0, gt=0)
    connect_timeout: float = Field(default=5.0, gt=0)
    ready_timeout: float = Field(default=3600.0, gt=0)
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _rest_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in REST_PORTS or not parts.hostname:
            raise ValueError("the url must look like http://host:8080 or https://host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("the url may hold no user name or password; use the API key")
        if parts.query or parts.fragment or parts.path.strip("/") not in ("", "v1"):
            raise ValueError("the url may hold host and port, nothing else")
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

    @property
    def secure(self) -> bool:
        """Whether REST speaks TLS."""
        return self.url.startswith("https://")

    def rest(self) -> str:
        """`scheme://host:port/v1`."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{_host(parts.hostname)}:{parts.port or REST_PORTS[parts.scheme]}/v1"

    def grpc(self) -> tuple[str, bool]:
        """`host:port` of gRPC, and whether it speaks TLS."""
        host = urlsplit(self.url).hostname or ""
        if not self.grpc_url:
            if host.endswith(CLOUD_DOMAINS):
                return f"grpc-{host}:443", True
            return f"{_host(host)}:{self.grpc_port}", self.secure
        parts = urlsplit(self.grpc_url if "://" in self.grpc_url else f"//{self.grpc_url}")
        secure = self.secure if not parts.scheme else parts.scheme == "https"
        port = parts.port or (443 if parts.scheme == "https" else self.grpc_port)
        return f"{_host(parts.hostname)}:{port}", secure

    def location(self) -> str:
        """`weaviate:<scheme>://<host>:<port>#<collection>`."""
        return f"weaviate:{self.rest().removesuffix('/v1')}#{self.collection}"


def _host(host: str | None) -> str:
    return f"[{host}]" if host and ":" in host else host or ""
