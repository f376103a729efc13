"""Where a Qdrant collection is (a server's REST address), and what the operator can choose."""

from __future__ import annotations

from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from vectormigrate.adapter.server_access import ServerConfig, is_local

NAMESPACE_FIELD = "_vm_namespace"
"""Payload key that holds the namespace; records of the default namespace lack it."""

DEFAULT_SHARD = "_vm_default"
"""Shard key of the default namespace, where the namespaces are shard keys."""

REST_PORT = 6333
GRPC_PORT = 6334
MAX_DIM = 65_536


class QdrantConfig(ServerConfig):
    """`url` is the REST address `http(s)://host[:port][/prefix]` (port 6333 unless given).

    `grpc_port`: where the same server answers gRPC; 6334 with port 6333, for any other it must be given.
    `prefer_grpc`: use it for records; without it, or when nothing answers there, or the key may not see that both are
    one server, everything goes over REST, which is several times slower.
    `timeout`: seconds for one call; `connect_timeout`: for the first answer; `ready_timeout`: for `finalize`.
    `channels`: gRPC connections. `compression`: let the server compress answers (slow links only).

    `namespace_field`: the payload field (an index with `is_tenant`) by which the collection is divided into
    namespaces; by default the one with which it was made or from which its records come home, else our own.
    `shard_key`: in a collection with custom sharding, read and write only this key.
    `divide_by`: what namespaces are; by default the shard keys of an existing collection with custom sharding for
    which no `shard_key` is named, else a payload field.
    `consistency`: replicas that must agree on a read; by default the majority where there are replicas.
    `ordering`: of writes. `bulk_load`: how to put off indexing in collections made here until `finalize`.
    `settings`: which collection settings to carry: those that differ from Qdrant's defaults, or all.
    """

    grpc_port: int | None = Field(default=None, ge=1, le=65_535)
    prefer_grpc: bool = True
    timeout: float = Field(default=60.0, gt=0)
    connect_timeout: float = Field(default=10.0, gt=0)
    ready_timeout: float = Field(default=3600.0, gt=0)
    channels: int = Field(default=4, ge=1, le=32)
    compression: bool = False
    namespace_field: str | None = Field(default=None, min_length=1)
    shard_key: int | str | None = None
    divide_by: Literal["payload", "shard_key"] | None = None
    consistency: Literal["majority", "quorum", "all"] | int | None = None
    ordering: Literal["weak", "medium", "strong"] = "weak"
    bulk_load: Literal["indexing_threshold", "hnsw", "off"] = "indexing_threshold"
    settings: Literal["explicit", "all"] = "explicit"

    @field_validator("url")
    @classmethod
    def _server_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the url must be http(s)://host[:port] of the REST interface")
        if parts.query or parts.fragment:
            raise ValueError("the url must not have a query or fragment")
        if parts.username or parts.password:
            raise ValueError("the url must not hold credentials; use api_key")
        try:
            _ = parts.port
        except ValueError as error:
            raise ValueError("the port of the url is not a number in 1…65535") from error
        return url

    @field_validator("shard_key")
    @classmethod
    def _shard_key(cls, key: int | str | None) -> int | str | None:
        if isinstance(key, int) and not 0 <= key < 2**64:
            raise ValueError("a shard key is text or a number in 0…2^64-1")
        return key

    @model_validator(mode="after")
    def _one_division(self) -> QdrantConfig:
        if self.divide_by == "shard_key" and (self.shard_key is not None or self.namespace_field is not None):
            raise ValueError("with divide_by='shard_key', neither shard_key nor namespace_field may be named")
        return self

    @model_validator(mode="after")
    def _own_grpc_port(self) -> QdrantConfig:
        port = self._parts().port or REST_PORT
        if self.prefer_grpc and self.grpc_port is None and port != REST_PORT:
            raise ValueError(
                f"port {port} is not Qdrant's default {REST_PORT}, so {GRPC_PORT} may be another server's gRPC port: "
                f"give this server's with the option grpc_port (such as grpc_port={port % 65_535 + 1}), or use REST "
                "alone with prefer_grpc=false"
            )
        return self

    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def secure(self) -> bool:
        return self._parts().scheme == "https"

    @property
    def host(self) -> str:
        return self._parts().hostname or ""

    @property
    def local(self) -> bool:
        """Whether the server is on this machine."""
        return is_local(self.host)

    def address(self) -> str:
        """`host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self._parts().port or REST_PORT}"

    def grpc_address(self) -> str:
        """`host:port` of the gRPC interface."""
        return f"{self.address().rpartition(':')[0]}:{self.grpc_port or GRPC_PORT}"

    def base(self) -> str:
        """The REST address without a slash at its end."""
        parts = self._parts()
        return f"{parts.scheme}://{self.address()}{parts.path.rstrip('/')}"

    def location(self) -> str:
        key = "" if self.shard_key is None else f"#{self.shard_key!r}"
        return f"qdrant:{self.base().partition('://')[2]}/{self.collection}{key}"
