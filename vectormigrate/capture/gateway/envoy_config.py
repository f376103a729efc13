"""The configuration of Envoy: bytes as they came, a question before each write, and nothing forwarded without answer.

Every setting that differs from Envoy's default is here because its default loses, changes or blocks something; the
reason is next to it. `validate` lets Envoy itself read the result.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectormigrate.capture.classify import Route
from vectormigrate.capture.gateway.envoy_clusters import ASKED, asked_cluster, keep_case, upstream_cluster
from vectormigrate.capture.gateway.ports import Port
from vectormigrate.errors import ConfigError

INTENT_HEADER = "x-vm-intent"
"""Bears the nonce of an intent between two filters of Envoy, and never leaves it."""

PORT_HEADER = "x-vm-port"
"""Names the port in the call to our process."""

HOLD_SECONDS = 60
"""How long our process may take to answer; the default of 200 ms would refuse each write that is held."""

EXT_PROC = "envoy.filters.http.ext_proc"
BELT = "envoy.filters.http.rbac"
_TYPE = "type.googleapis.com/envoy"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """What Envoy is started with. `socket`: that of our process; `admin`: that of Envoy's own pages; `nonce`: proves
    that our process admitted a request, known to nobody else. `late`: a folder in which Envoy looks for further ports
    while it runs (`late_config`): a target may get its address only when it is made."""

    ports: Sequence[Port]
    socket: Path
    admin: Path
    nonce: str
    late: Path | None = None


LATE = (("cds_config", "clusters.json"), ("lds_config", "listeners.json"))
"""What Envoy calls these files. Clusters come first: a listener needs its own."""


def envoy_config(gateway: Gateway) -> Json:
    """The whole configuration, as JSON."""
    # The paths of reads are exact, which takes regexes beyond the default size of 100.
    sizes = {f"re2.max_program_size.{level}_level": 10_000 for level in ("error", "warn")}
    late: Json = {}
    if gateway.late is not None:
        late["node"] = {"id": "vectormigrate", "cluster": "vectormigrate"}
        late["dynamic_resources"] = {
            kind: {"path_config_source": {"path": str(gateway.late / name)}, "resource_api_version": "V3"}
            for kind, name in LATE
        }
    return {
        **late,
        "layered_runtime": {"layers": [{"name": "static", "static_layer": sizes}]},
        "admin": {"address": {"pipe": {"path": str(gateway.admin), "mode": 0o600}}},
        "static_resources": {
            "listeners": [_listener(gateway, port) for port in gateway.ports],
            "clusters": [asked_cluster(gateway.socket), *(upstream_cluster(port) for port in gateway.ports)],
        },
    }


def late_config(gateway: Gateway, ports: Sequence[Port]) -> dict[str, Json]:
    """The files with these further ports, by their names in the order in which they are to be written."""
    kinds = ("envoy.config.cluster.v3.Cluster", "envoy.config.listener.v3.Listener")
    made = ([upstream_cluster(port) for port in ports], [_listener(gateway, port) for port in ports])
    return {
        name: {"resources": [{"@type": f"type.googleapis.com/{kind}", **each} for each in resources]}
        for (_, name), kind, resources in zip(LATE, kinds, made, strict=True)
    }


def validate(envoy: Path, config: Path) -> None:
    """Let Envoy read its configuration. Raises ConfigError with what it complains of."""
    done = subprocess.run(
        [envoy, "--mode", "validate", "-l", "error", "-c", config], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ConfigError(f"Envoy refuses its configuration: {done.stderr.strip() or done.stdout.strip()}")


def _listener(gateway: Gateway, port: Port) -> Json:
    chain: Json = {"filters": [_connection_manager(gateway, port)]}
    if port.certificate is not None:
        chain["transport_socket"] = _tls_in(*port.certificate)
    return {
        "name": port.name,
        "address": {"socket_address": {"address": port.host, "port_value": port.number}},
        "per_connection_buffer_limit_bytes": port.largest,
        "filter_chains": [chain],
    }


def _tls_in(certificate: Path, key: Path) -> Json:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [
                    {"certificate_chain": {"filename": str(certificate)}, "private_key": {"filename": str(key)}}
                ],
            },
        },
    }


def _connection_manager(gateway: Gateway, port: Port) -> Json:
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": port.name,
            # HTTP/1.1, HTTP/2 without TLS and gRPC come to one port, as they do on a server of Milvus.
            "codec_type": "AUTO",
            # What follows keeps requests and answers as they came: no header added, none changed, no path rewritten.
            "server_header_transformation": "PASS_THROUGH",
            "generate_request_id": False,
            "skip_xff_append": True,
            "use_remote_address": False,
            "normalize_path": False,
            "merge_slashes": False,
            "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
            "common_http_protocol_options": {"headers_with_underscores_action": "ALLOW"},
            "http_protocol_options": keep_case(),
            "max_request_headers_kb": 256,
            # A long search or import is not cut off by us.
            "stream_idle_timeout": "0s",
            "request_timeout": "0s",
            # A request over HTTP/2 that is asked about must fit the window: beyond it the answer would be 413.
            "http2_protocol_options": {
                "initial_stream_window_size": port.largest,
                "initial_connection_window_size": min(4 * port.largest, 2**31 - 1),
            },
            "route_config": {"name": port.name, "virtual_hosts": [_virtual_host(port)]},
            "http_filters": [_ask(port), _belt(gateway.nonce), _router()],
        },
    }


def _virtual_host(port: Port) -> Json:
    routes = port.routes
    return {
        "name": port.name,
        "domains": ["*"],
        # Envoy adds the first; the second is ours and nobody's business.
        "request_headers_to_remove": ["x-forwarded-proto", INTENT_HEADER],
        "routes": [
            *(_route(port, route, _unasked()) for route in routes.reads),
            *(_route(port, route, _asked_about_each_message()) for route in routes.streams),
            *(_route(port, route, _asked_with_answer()) for route in routes.answered),
            _route(port, None, {}),
        ],
    }


def _route(port: Port, route: Route | None, filters: Json) -> Json:
    match: Json = {"prefix": "/"}
    if route is not None:
        # One path may be a read with one method and a write with another.
        method = {"name": ":method", "string_match": {"exact": route.method}}
        match = {"safe_regex": {"regex": route.regex}, "headers": [method]}
    action: Json = {
        "cluster": port.name,
        # The default cuts a request off after 15 s, and a long batch with it.
        "timeout": "0s",
        "idle_timeout": "0s",
    }
    if port.upstream.host_header:
        action["host_rewrite_literal"] = port.upstream.host_header
    if port.upstream.path:
        action["regex_rewrite"] = {"pattern": {"regex": "^/"}, "substitution": f"{port.upstream.path}/"}
    return {"match": match, "route": action, "typed_per_filter_config": filters}


def _unasked() -> Json:
    """For reads: they pass without our process, also while it is down."""
    return {
        EXT_PROC: {"@type": f"{_TYPE}.extensions.filters.http.ext_proc.v3.ExtProcPerRoute", "disabled": True},
        BELT: {"@type": f"{_TYPE}.extensions.filters.http.rbac.v3.RBACPerRoute"},
    }


def _override(**modes: str) -> Json:
    return {
        EXT_PROC: {
            "@type": f"{_TYPE}.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
            "overrides": {"processing_mode": {**_MODE, **modes}},
        }
    }


def _asked_about_each_message() -> Json:
    """For streams: their bodies never end while the call is open, so they cannot be held as a whole."""
    return _override(request_body_mode="STREAMED", response_trailer_mode="SEND")


def _asked_with_answer() -> Json:
    return _override(response_body_mode="BUFFERED")


_MODE = {
    # Skipping the headers would forward requests without a body unasked, and headers before the body was asked about.
    "request_header_mode": "SEND",
    "request_body_mode": "BUFFERED",
    "request_trailer_mode": "SKIP",
    "response_header_mode": "SEND",
    "response_body_mode": "NONE",
    "response_trailer_mode": "SKIP",
}


def _ask(port: Port) -> Json:
    return {
        "name": EXT_PROC,
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "grpc_service": {
                "envoy_grpc": {"cluster_name": ASKED},
                "timeout": "0s",
                "initial_metadata": [{"key": PORT_HEADER, "value": port.name}],
            },
            # Without our answer nothing is forwarded. The default status of 500 would be an unknown error to gRPC
            # clients, which they do not try again.
            "failure_mode_allow": False,
            "status_on_error": {"code": "ServiceUnavailable"},
            "message_timeout": f"{HOLD_SECONDS}s",
            "processing_mode": {**_MODE},
            # Tell an answer of the server from one that Envoy made because the server did not.
            "response_attributes": ["response.code_details"],
        },
    }


def _belt(nonce: str) -> Json:
    """Refuses what our process did not admit: a stream of questions that ends in order means "forward it" to Envoy."""
    admitted = {"header": {"name": INTENT_HEADER, "string_match": {"exact": nonce}}}
    return {
        "name": BELT,
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": {"admitted": {"permissions": [admitted], "principals": [{"any": True}]}},
            },
        },
    }


def _router() -> Json:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": True,
        },
    }
