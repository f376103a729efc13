"""Where a database's server listens, for what is put in front of it: the contract of each adapter's `ports.py`.

Plain data: which ports, under which names requests mean the collection, and, in the vendor's own terms, how clients are
pointed at other addresses.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vectormigrate.adapter import AnySpec

Interface = Literal["rest", "grpc", "http"]
"""What a port speaks; `http`: REST and gRPC on the same port."""

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPort:
    """A port of a server. `path`: what precedes the paths of its operations there, without a slash at its end, which
    clients of another address leave out. `host_header`: the name by which requests must ask for it where that is not
    the address that clients use; `server_name`: the name in its certificate, empty for `host`. `largest`: bytes of the
    largest request that it takes."""

    interface: Interface
    host: str
    port: int
    tls: bool
    largest: int
    path: str = ""
    host_header: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """The address that clients are to use instead of a port of the server."""

    host: str
    port: int
    tls: bool

    @property
    def url(self) -> str:
        """`http(s)://host:port`."""
        return f"{'https' if self.tls else 'http'}://{self.address}"

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


Fronts = Mapping[Interface, Front]
"""By the interface of the port that they replace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A collection as its server offers it. `names`: its own and every alias. `repoint`: for people, how clients are
    pointed at these addresses; lines of Python are complete expressions and indented by two spaces."""

    ports: tuple[ServerPort, ...]
    names: frozenset[str]
    repoint: Callable[[Fronts], tuple[str, ...]]


def served_by(spec: AnySpec) -> Callable[[Any], Awaitable[Served | None]] | None:
    """`served(config)`, the optional verb of a SPEC: ask the server where it listens for this collection and what names
    it has. None where it has no server (an embedded database). A name that cannot be asked for is an error: what is
    written by it would be missed. Raises CollectionNotFound while it has no address yet, and as `open`."""
    return getattr(spec, "served", None)


def split_address(address: str) -> tuple[str, int]:
    """Host (without brackets) and port of `host:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
