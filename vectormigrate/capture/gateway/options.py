"""What a gateway is started with, and what it reports. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.config.settings import Endpoint
from vectormigrate.model.live import GatewayInfo, LiveOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """How a gateway is to run. `listen`: host of its ports. `ports`: numbers by name (`source-rest`, or `rest` of the
    source), else the last gateway's, else the server's own where they are free. `http`: `host:port` of its own pages,
    default a free port of this machine. `certificate`: files of certificate and key, None for plain text. `fail_open`:
    forward without the journal when that fails. `marks_only`: without Envoy, for writers that mark their writes."""

    listen: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    http: str = ""
    http_token: str = field(default="", repr=False)
    certificate: tuple[Path, Path] | None = None
    fail_open: bool = False
    envoy: Path | None = None
    marks_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """What the gateway has to know of the live migration. `identity`: of its journal, empty when not known; `seen`: a
    number that was in it."""

    id: str
    folder: LiveFolder
    source: Endpoint
    target: Endpoint
    source_location: str
    target_location: str
    options: LiveOptions
    identity: str = ""
    seen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """What happened. `kind`: waiting, adopted, started, ports, tainted, thawed, stopped, failed. `info`: of started."""

    kind: str
    text: str
    info: GatewayInfo | None = None


Listener = Callable[[GatewayEvent], None]
