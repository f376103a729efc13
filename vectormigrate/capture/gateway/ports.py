"""What the gateway offers: a port of its own for each port of a database's server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vectormigrate.capture.classify import Route
from vectormigrate.capture.keys import Side

MEBIBYTE = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """How requests are distinguished by method and path; what fits nothing is a write. `reads` are forwarded without a
    question, of `streams` both sides send while the call is open, of `answered` the answer is needed as well."""

    reads: Sequence[Route]
    streams: Sequence[Route] = ()
    answered: Sequence[Route] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A port of the database's server. `tls`: encrypted; `ca`: file of the authorities to believe, default the
    system's; `server_name`: the name in its certificate, default the host. `host_header`: the name by which requests
    ask for it, where that has to be another one than the application's; `path`: is put before the path of each
    request."""

    host: str
    port: int
    tls: bool = False
    ca: Path | None = None
    server_name: str = ""
    host_header: str = ""
    path: str = ""
    client_certificate: tuple[Path, Path] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port for the application. `name` is unique (`source-rest`). `certificate`: the files of certificate and key,
    None for plain text. `largest`: bytes of a request, which are kept in memory while it is asked about."""

    name: str
    side: Side
    host: str
    number: int
    upstream: Upstream
    routes: Routes
    certificate: tuple[Path, Path] | None = None
    largest: int = 256 * MEBIBYTE
