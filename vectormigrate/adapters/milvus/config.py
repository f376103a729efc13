"""Where a Milvus collection is: a Milvus Lite database (a `*.db` path) or a server (`http(s)://host:port`)."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from vectormigrate.adapter.server_access import ServerConfig

DEFAULT_PORTS = {"http": 19530, "https": 443}
DEFAULT_DATABASE = "default"


class MilvusConfig(ServerConfig):
    """`url` is a path ending in `.db` (Milvus Lite) or `http(s)://host[:port][/database]`.

    `api_key` is the token: a Zilliz API key or `user:password`; user-info in the URL is taken when it is missing.
    `database`: instead of the one in the URL.
    `timeout`: seconds for one call; `connect_timeout`: for the first answer of a server.
    `ready_timeout`: seconds for building indexes and loading.
    `load`: load a collection that is released on the server, which costs the server memory, and release it again at the
    end. Without it, such a collection is refused; a Lite database is always loaded.
    `lock_wait`: seconds to wait for another process to let go of a Lite database.
    `count_by_scan`: count distinct ids by reading all of them. A server that got one id twice through `insert` counts
    both rows, of which a scan returns one.
    """

    database: str = ""
    timeout: float = Field(default=60.0, gt=0)
    connect_timeout: float = Field(default=5.0, gt=0)
    ready_timeout: float = Field(default=3600.0, gt=0)
    load: bool = False
    lock_wait: float = Field(default=30.0, ge=0)
    count_by_scan: bool = False

    @field_validator("url")
    @classmethod
    def _known_url(cls, url: str) -> str:
        if "://" not in url:
            if not url.endswith(".db"):
                raise ValueError("the url must be a path ending in .db (Milvus Lite) or start with http:// or https://")
            return url
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS:
            raise ValueError("the url must start with http:// or https://, or be a path ending in .db")
        if not parts.hostname:
            raise ValueError("the url names no host")
        _port(parts)
        if parts.query or parts.fragment or "/" in parts.path.strip("/"):
            raise ValueError("the url may hold host, port and a database name, nothing else")
        return url

    @field_validator("collection")
    @classmethod
    def _named(cls, collection: str) -> str:
        if not collection:
            raise ValueError("the collection needs a name")
        return collection

    @model_validator(mode="after")
    def _one_database(self) -> MilvusConfig:
        in_url = "" if self.lite else urlsplit(self.url).path.strip("/")
        if in_url and self.database and in_url != self.database:
            raise ValueError("the url and `database` name two databases")
        return self

    @property
    def lite(self) -> bool:
        """Whether this is a Milvus Lite path."""
        return "://" not in self.url

    def path(self) -> Path:
        """The absolute Lite path, with links resolved."""
        return Path(self.url).expanduser().resolve()

    def address(self) -> str:
        """`host:port` of the server."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        return f"[{host}]:{_port(parts)}" if ":" in host else f"{host}:{_port(parts)}"

    @property
    def secure(self) -> bool:
        """Whether the server speaks TLS."""
        return self.url.startswith("https://")

    def database_name(self) -> str:
        """The database, `default` when none is named."""
        in_url = "" if self.lite else unquote(urlsplit(self.url).path.strip("/"))
        return self.database or in_url or DEFAULT_DATABASE

    def token(self) -> str | None:
        """The secret to send, None for a server without authentication."""
        if self.api_key is not None:
            return self.api_key.get_secret_value() or None
        parts = urlsplit(self.url)
        if self.lite or parts.username is None:
            return None
        return f"{unquote(parts.username)}:{unquote(parts.password or '')}"

    def location(self) -> str:
        """`milvus:<path>/<database>#<collection>` or `milvus:<scheme>://<host>:<port>/<database>#<collection>`."""
        place = str(self.path()) if self.lite else f"{'https' if self.secure else 'http'}://{self.address()}"
        return f"milvus:{place}/{self.database_name()}#{self.collection}"


def _port(parts: SplitResult) -> int:
    """The port; raises ValueError for one that is no port."""
    return parts.port or DEFAULT_PORTS[parts.scheme]
