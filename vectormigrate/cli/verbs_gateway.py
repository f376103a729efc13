"""`gateway`: runs until it is ended, and prints the addresses that the application is to use."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
from rich.text import Text

from vectormigrate.capture.gateway.options import GatewayEvent, GatewayOptions
from vectormigrate.cli.common import settings_of
from vectormigrate.cli.inputs import Common
from vectormigrate.cli.remedies import in_commands
from vectormigrate.cli.render.console import notice, show, warn
from vectormigrate.cli.signals import stop_on_signal
from vectormigrate.config.redaction import keep_secret
from vectormigrate.config.references import is_reference, resolved
from vectormigrate.errors import ConfigError, VectorMigrateError
from vectormigrate.model.live import GatewayInfo
from vectormigrate.service import open_service


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The flags."""

    listen: str
    ports: Mapping[str, int]
    http: str
    http_token: str | None
    certificate: tuple[Path, Path] | None
    journal: Path | None
    fail_open: bool
    envoy: Path | None
    marks_only: bool
    source_key: str | None = field(repr=False)
    target_key: str | None = field(repr=False)


async def gateway(common: Common, migration_id: str, asked: Asked) -> int:
    """Serve until Ctrl-C or SIGTERM; the second one leaves at once, and Envoy to the next gateway."""
    for key in (asked.source_key, asked.target_key):
        if key and not is_reference(key):
            keep_secret(key)
    options = GatewayOptions(
        listen=asked.listen,
        ports=asked.ports,
        http=asked.http,
        http_token=_token(asked.http_token),
        certificate=asked.certificate,
        fail_open=asked.fail_open,
        envoy=asked.envoy,
        marks_only=asked.marks_only,
    )
    async with open_service(settings_of(common)) as service:
        try:
            with stop_on_signal(service.stop_now, lambda: None):
                await service.gateway(
                    migration_id,
                    options,
                    _print_json if common.as_json else _print,
                    journal=asked.journal,
                    source_key=asked.source_key,
                    target_key=asked.target_key,
                )
        except VectorMigrateError as error:
            if not common.as_json:
                raise
            _print_json(GatewayEvent(kind="failed", text=str(error)))
            return error.exit_code
    return 0


def _token(reference: str | None) -> str:
    if reference is None:
        return ""
    if not is_reference(reference):
        raise ConfigError("--http-token names where the token is, as env:NAME or file:PATH")
    token, _ = resolved(reference, "another one with --http-token")
    keep_secret(token)
    return token


def _print_json(event: GatewayEvent) -> None:
    """One object per line, at once: a program waits for it."""
    about = {"text": in_commands(event.text)} if event.info is None else asdict(event.info)
    sys.stdout.write(orjson.dumps({"event": event.kind, **about}).decode() + "\n")
    sys.stdout.flush()


def _print(event: GatewayEvent) -> None:
    match event.kind:
        case "started":
            assert event.info is not None
            show(_addresses(event.info))
        case "tainted" | "thawed":
            warn(event.text)
        case _:
            notice(event.text)


def _addresses(info: GatewayInfo) -> Text:
    """Per port the address, per side how clients are pointed there."""
    text = Text()
    for side in ("source", "target"):
        ports = [port for port in info.ports if port.side == side]
        if not ports:
            continue
        when = "now" if side == "source" else "from the cut-over on"
        text.append(f"{side}, {when}:\n", "bold")
        for port in ports:
            text.append(f"  {port.interface:<5} {'https' if port.tls else 'http'}://{port.address}\n")
        for line in ports[0].repoint:
            text.append(f"  {line}\n", "dim" if not line.startswith(" ") else "")
    text.append(f"authority, marks and metrics: {info.http}\n")
    if info.ports:
        text.append("reads continue when this process ends by accident; writes wait for the next gateway\n", "dim")
    return text
