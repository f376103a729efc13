"""Where Envoy sends things: to the database's server, and its questions to our process."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path
from typing import Any

from vectormigrate.capture.gateway.ports import MEBIBYTE, Port, Upstream
from vectormigrate.errors import ConfigError

ASKED = "asked"
"""The cluster of our process. Envoy does not notice a wrong name until a write comes."""

IDLE_SECONDS = 2
"""Connections to the server are closed by us before the server would (after 5 s in some): a write on one that it is
just closing would fail, with an unknown outcome."""

MOST_AT_ONCE = 100_000
"""Connections and requests; the default of 1,024 refuses bursts."""

_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")

_TYPE = "type.googleapis.com/envoy"
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Json = dict[str, Any]


def keep_case() -> Json:
    """Header names of HTTP/1.1 as they were written."""
    kind = f"{_TYPE}.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig"
    stateful = {"name": "preserve_case", "typed_config": {"@type": kind}}
    return {"header_key_format": {"stateful_formatter": stateful}}


def asked_cluster(socket: Path) -> Json:
    """Our process, on a socket of the file system."""
    windows = {"initial_stream_window_size": 64 * MEBIBYTE, "initial_connection_window_size": 256 * MEBIBYTE}
    return {
        "name": ASKED,
        "connect_timeout": "5s",
        "type": "STATIC",
        "per_connection_buffer_limit_bytes": 256 * MEBIBYTE,
        "circuit_breakers": _circuit_breakers(),
        "typed_extension_protocol_options": {
            _OPTIONS: {
                "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": windows},
            }
        },
        "load_assignment": _endpoint(ASKED, {"pipe": {"path": str(socket)}}),
    }


def upstream_cluster(port: Port) -> Json:
    """The database's server behind a port."""
    upstream = port.upstream
    cluster: Json = {
        "name": port.name,
        "connect_timeout": "10s",
        "type": "STATIC" if _is_address(upstream.host) else "LOGICAL_DNS",
        # One server with several addresses, of which any that answers will do. With STRICT_DNS each would be a server
        # of its own: every second request to a localhost that listens on 127.0.0.1 alone would go to ::1 and fail.
        "dns_lookup_family": "ALL",
        "per_connection_buffer_limit_bytes": port.largest,
        "circuit_breakers": _circuit_breakers(),
        "typed_extension_protocol_options": {_OPTIONS: _protocol(port)},
        "load_assignment": _endpoint(
            port.name, {"socket_address": {"address": upstream.host, "port_value": upstream.port}}
        ),
    }
    if upstream.tls:
        cluster["transport_socket"] = _tls_out(upstream)
    return cluster


def _protocol(port: Port) -> Json:
    """The server is spoken to in the protocol in which the application speaks to us."""
    return {
        "@type": f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"},
        "use_downstream_protocol_config": {
            "http_protocol_options": keep_case(),
            "http2_protocol_options": {
                "initial_stream_window_size": port.largest,
                "initial_connection_window_size": min(4 * port.largest, 2**31 - 1),
            },
        },
    }


def _tls_out(upstream: Upstream) -> Json:
    """Envoy verifies nothing unless it is told whom to believe, and whose name to expect."""
    name = upstream.server_name or upstream.host
    kind = "IP_ADDRESS" if _is_address(name) else "DNS"
    common: Json = {
        "validation_context": {
            "trusted_ca": {"filename": str(upstream.ca or _system_authorities())},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
        }
    }
    if upstream.client_certificate is not None:
        certificate, key = upstream.client_certificate
        common["tls_certificates"] = [
            {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
        ]
    context: Json = {
        "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": common,
    }
    if kind == "DNS":
        context["sni"] = name
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def _system_authorities() -> Path:
    """The file of the authorities that the system believes. Raises ConfigError where it has none."""
    paths = ssl.get_default_verify_paths()
    for name in (paths.cafile or "", *_AUTHORITIES):
        if name and Path(name).is_file():
            return Path(name)
    raise ConfigError("the system has no file of certificate authorities; name one with the option ca_file")


def _circuit_breakers() -> Json:
    # A write that is tried again is a second write: nothing is, anywhere.
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), MOST_AT_ONCE)
    return {"thresholds": [{"priority": priority, **most, "max_retries": 0} for priority in ("DEFAULT", "HIGH")]}


def _endpoint(name: str, address: Json) -> Json:
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
