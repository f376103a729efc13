"""Which addresses the gateway listens on: those of the last gateway, so that no application has to be changed."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from vectormigrate.adapter.ports import Front, Interface
from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.gateway.files import kept_numbers
from vectormigrate.capture.gateway.ports import Port
from vectormigrate.capture.gateway.serving import Serving, port_name
from vectormigrate.capture.keys import Side
from vectormigrate.errors import ConfigError, listed
from vectormigrate.model.live import GatewayPort

LOOPBACK = "127.0.0.1"
RANGE = range(20_000, 32_000)
EVERYWHERE = ("0.0.0.0", "::")


class Place(NamedTuple):
    """An address to listen on."""

    host: str
    number: int


def places(
    folder: LiveFolder, servers: Mapping[Side, Serving], *, listen: str, asked: Mapping[str, int], http: str
) -> dict[str, Place]:
    """By the name of the port, and of the gateway's own page as `http`. In this order: what was asked for, the number
    of the last gateway on this host, the server's own number where it is free, any that is free. Raises ConfigError for
    a number that is asked for a port which there is not."""
    kept = kept_numbers(folder)
    wanted = _asked(servers, asked)
    taken: set[int] = set(wanted.values())
    found: dict[str, Place] = {}
    for side, server in servers.items():
        for port in server.served.ports:
            name = port_name(side, port.interface)
            number = wanted.get(name) or kept.get(name, ("", 0))[1]
            if not number:
                number = next(each for each in (port.port, 0) if each not in taken and _is_free(listen, each))
                number = number or _free(listen)
            taken.add(number)
            found[name] = Place(listen, number)
    found["http"] = _own_page(http, kept)
    return found


def _asked(servers: Mapping[Side, Serving], asked: Mapping[str, int]) -> dict[str, int]:
    names = {port_name(side, port.interface): side for side, server in servers.items() for port in server.served.ports}
    found: dict[str, int] = {}
    for name, number in asked.items():
        full = name if name in names else port_name(Side.SOURCE, name)
        if full not in names:
            raise ConfigError(f"there is no port {name!r}; there are: {listed(sorted(names))}")
        found[full] = number
    return found


def _own_page(http: str, kept: Mapping[str, tuple[str, int]]) -> Place:
    if http:
        host, _, number = http.rpartition(":")
        if not number.isdecimal() or not 0 < int(number) < 2**16:
            raise ConfigError(f"{http!r} is no address: write it as host:port")
        return Place(host.strip("[]") or LOOPBACK, int(number))
    if "http" in kept and _is_free(*kept["http"]):
        return Place(*kept["http"])
    return Place(LOOPBACK, _free(LOOPBACK))


def _is_free(host: str, number: int) -> bool:
    """Also below 1024, where the system may not allow it."""
    try:
        with _bound(host, number):
            return True
    except OSError:
        return False


def _free(host: str) -> int:
    """Below the numbers that the system gives to clients: one of those may take it until Envoy listens, or while no
    gateway runs."""
    for number in random.sample(RANGE, 100):
        if _is_free(host, number):
            return number
    with _bound(host, 0) as sock:
        return sock.getsockname()[1]


def _bound(host: str, number: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, number))
    except BaseException:
        sock.close()
        raise
    return sock


def shown_ports(servers: Iterable[Serving], ports: Sequence[Port]) -> tuple[GatewayPort, ...]:
    """The ports as people and programs are shown them, with how clients are pointed at them."""
    shown: list[GatewayPort] = []
    for server in servers:
        own = {port.name: port for port in ports if port.side is server.side}
        fronts: dict[Interface, Front] = {}
        for each in server.served.ports:
            port = own.get(port_name(server.side, each.interface))
            if port is not None:
                host = socket.gethostname() if port.host in EVERYWHERE else port.host
                fronts[each.interface] = Front(host=host, port=port.number, tls=port.certificate is not None)
        lines = server.served.repoint(fronts) if fronts else ()
        for interface, front in fronts.items():
            shown.append(
                GatewayPort(
                    name=port_name(server.side, interface),
                    side=server.side.value,
                    interface=interface,
                    address=front.address,
                    tls=front.tls,
                    repoint=lines,
                )
            )
    return tuple(shown)
