"""Who is at the other end: the address of a connection, or the one that a trusted proxy reports.

`X-Forwarded-For` is text that anybody can send. It is believed only of addresses that the operator named, from its
right end, up to the first address that is no trusted proxy; what is no address ends the search.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from vectormigrate.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxies whose word is taken; by default none."""

    networks: tuple[Network, ...] = ()

    @staticmethod
    def of(texts: Iterable[str]) -> Proxies:
        """From addresses and networks such as `10.0.0.7` and `10.0.0.0/8`. Raises ConfigError."""
        found: list[Network] = []
        for text in texts:
            try:
                found.append(ipaddress.ip_network(text, strict=False))
            except ValueError as error:
                raise ConfigError(f"--trusted-proxy {text!r}: write an IP address or a network, 10.0.0.0/8") from error
        return Proxies(networks=tuple(found))

    def trusts(self, address: str) -> bool:
        """Whether the one at this address may name for whom it asks."""
        found = _address(address)
        return found is not None and any(found in network for network in self.networks)

    def client(self, scope: Scope) -> str:
        """The address that a request comes from, "" when the transport knows none."""
        direct = peer_of(scope)
        if not self.trusts(direct):
            return direct
        said = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        nearest = direct
        for text in reversed(said):
            found = _address(text.strip())
            if found is None:
                break
            nearest = str(found)
            if not self.trusts(nearest):
                break
        return nearest


def peer_of(scope: Scope) -> str:
    """The address in a scope, "" when there is none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _address(text: str) -> Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
