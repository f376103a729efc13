"""Which Host and Origin headers are served: the guard against DNS rebinding and against other people's web pages.

A page in a browser can be made to call any address, under a name that its owner points at it. Names are therefore
served only when they are known; an address cannot be pointed elsewhere and is always fine.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("localhost", "localhost.localdomain")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def name_of(authority: str) -> str | None:
    """The host of `host[:port]`, lower-case, without brackets; None when it is not well-formed."""
    try:
        parts = urlsplit(f"//{authority}")
        port = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment or port == 0:
        return None
    return parts.hostname


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """`names` are served under any port. `any_address`: so are IP addresses; without it only loopback ones are."""

    names: frozenset[str]
    any_address: bool = False
    origins: frozenset[str] = frozenset()

    @staticmethod
    def of(bind: str, allowed_hosts: Iterable[str] = (), allowed_origins: Iterable[str] = ()) -> HostPolicy:
        """The policy of a server that listens on `bind`: this machine's own names, plus those that the operator
        allows. `allowed_origins` are whole origins of web pages, such as `https://tools.example.com`."""
        local = is_loopback(bind)
        own = () if local else (socket.gethostname().lower(), bind.lower())
        return HostPolicy(
            names=frozenset((*LOOPBACK_NAMES, *own, *(host.lower() for host in allowed_hosts))),
            any_address=not local,
            origins=frozenset(origin.lower().rstrip("/") for origin in allowed_origins),
        )

    def serves_host(self, header: str | None) -> bool:
        """Whether a request with this Host header is served."""
        name = name_of(header or "")
        if not name:
            return False
        if name in self.names:
            return True
        return _is_address(name) and (self.any_address or is_loopback(name))

    def shares_with(self, header: str | None) -> bool:
        """Whether a page of this origin, which is not this server's own, may read the answers."""
        return header is not None and header.lower() in self.origins

    def serves_origin(self, header: str | None) -> bool:
        """Whether a request with this Origin header is served. Programs send none; a page of this server or of an
        allowed origin may call."""
        if header is None:
            return True
        origin = header.lower()
        if origin in self.origins:
            return True
        scheme, found, authority = origin.partition("://")
        return bool(found) and scheme in ("http", "https") and self.serves_host(authority)
