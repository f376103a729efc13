"""Everything that the gateway has to know of the server of one side, asked for in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vectormigrate.adapter.operations import CollectionFacts, Operations, operations_of
from vectormigrate.adapter.ports import Served, served_by
from vectormigrate.adapter.server_access import ServerConfig
from vectormigrate.adapter.vendor_errors import translated
from vectormigrate.capture.classify import reads, routes_of
from vectormigrate.capture.gateway.admission import Collection
from vectormigrate.capture.gateway.ports import Port, Routes, Upstream
from vectormigrate.capture.keys import Side
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.connect import configure, end_of, open_endpoint
from vectormigrate.engine.retry import located
from vectormigrate.errors import CollectionNotFound, ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A collection behind a server. `complete`: it exists, so that what requests touch can be read; before that,
    every write to it is of unknown scope."""

    side: Side
    collection: Collection
    served: Served
    config: ServerConfig
    complete: bool


async def serving(side: Side, endpoint: Endpoint) -> Serving | None:
    """Ask the server; None for a collection without one (an embedded database). Raises CollectionNotFound while it has
    no address yet, ConfigError, and what a connection may raise."""
    spec, config = configure(endpoint)
    ask, operations = served_by(spec), operations_of(spec)
    if ask is None or operations is None or not isinstance(config, ServerConfig):
        return None
    if config.proxy is not None:
        raise ConfigError(f"{end_of(endpoint)}: a server behind an HTTP proxy cannot have a gateway")
    with located(end_of(endpoint)), translated(spec.classify, "open"):
        served = await ask(config)
    if served is None:
        return None
    addresses = frozenset(operations.address(config, name) for name in served.names)
    facts = await _facts(endpoint, operations, config)
    known = {} if facts is None else {address: facts for address in addresses if address is not None}
    return Serving(
        side=side,
        collection=Collection(side=side, operations=operations, names=addresses, facts=known),
        served=served,
        config=config,
        complete=facts is not None,
    )


async def _facts(endpoint: Endpoint, operations: Operations, config: ServerConfig) -> CollectionFacts | None:
    """None while there is no collection."""
    try:
        async with open_endpoint(endpoint) as collection:
            return operations.facts(await collection.describe(), config)
    except CollectionNotFound:
        return None


def port_name(side: Side, interface: str) -> str:
    """`source-rest`."""
    return f"{side.value}-{interface}"


def gateway_ports(found: Serving, listen: Mapping[str, tuple[str, int]]) -> list[Port]:
    """A port of ours for each of the server's. `listen`: host and number by the name of the port."""
    operations = found.collection.operations
    routes = Routes(
        reads=reads(operations),
        streams=routes_of(operations, lambda row: row.stream),
        answered=routes_of(operations, lambda row: row.answer is not None),
    )
    config = found.config
    shown = None if config.client_cert is None else (config.client_cert, config.client_key or config.client_cert)
    ports: list[Port] = []
    for port in found.served.ports:
        name = port_name(found.side, port.interface)
        host, number = listen[name]
        upstream = Upstream(
            host=port.host,
            port=port.port,
            tls=port.tls,
            ca=config.ca_file,
            server_name=port.server_name,
            host_header=port.host_header,
            path=port.path,
            client_certificate=shown,
        )
        ports.append(
            Port(
                name=name,
                side=found.side,
                host=host,
                number=number,
                upstream=upstream,
                routes=routes,
                largest=port.largest,
            )
        )
    return ports
