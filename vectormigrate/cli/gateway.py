"""`vectormigrate gateway`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vectormigrate.cli import options as opt
from vectormigrate.cli.inputs import Common
from vectormigrate.cli.run import run_verb
from vectormigrate.errors import ConfigError


def _numbers(values: list[str] | None) -> list[str]:
    for value in values or []:
        name, _, number = value.partition("=")
        if not name or not number.isdecimal() or not 0 < int(number) < 2**16:
            raise typer.BadParameter(f"{value!r}: write it as source-rest=6333")
    return values or []


def gateway(
    migration_id: opt.Id,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST", help="Address of the ports for the application.")
    ] = "127.0.0.1",
    port: Annotated[
        list[str] | None,
        typer.Option(
            "--port",
            metavar="NAME=N",
            callback=_numbers,
            help="Number of a port, such as rest=6333 or target-grpc=6334; repeatable. Default: as last time, else the "
            "server's own where it is free.",
        ),
    ] = None,
    http: Annotated[
        str,
        typer.Option(
            "--http", metavar="HOST:PORT", help="Page for the authority, marks and metrics; default on this machine."
        ),
    ] = "",
    http_token: Annotated[
        str | None,
        typer.Option("--http-token", metavar="env:NAME", help="A token that callers of it must show; or file:PATH."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain of the ports, PEM.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Private key, PEM.")] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", metavar="DIR", help="Folder of the journal; default where the migration has it."),
    ] = None,
    fail_open: Annotated[
        bool,
        typer.Option(
            "--fail-open",
            help="Forward writes also when the journal fails: the cut-over then needs a full comparison. Default: "
            "refuse them.",
        ),
    ] = False,
    envoy: Annotated[
        Path | None, typer.Option("--envoy", metavar="FILE", help="Your own Envoy, 1.36 or newer.")
    ] = None,
    marks_only: Annotated[
        bool, typer.Option("--marks-only", help="Without Envoy: writers mark their writes over HTTP.")
    ] = False,
    source_api_key: opt.SourceKey = None,
    target_api_key: opt.TargetKey = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Capture the writes of the application for a live migration.

    The application reads and writes through it from then on.
    Prints the addresses that the application is to use. May be started before the migration. Ends on Ctrl-C or SIGTERM.
    """
    from vectormigrate.cli import verbs_gateway

    if bool(tls_cert) != bool(tls_key):
        raise ConfigError("--tls-cert and --tls-key belong together")
    asked = verbs_gateway.Asked(
        listen=listen,
        ports={name: int(number) for name, _, number in (value.partition("=") for value in port or ())},
        http=http,
        http_token=http_token,
        certificate=(tls_cert, tls_key) if tls_cert and tls_key else None,
        journal=journal,
        fail_open=fail_open,
        envoy=envoy,
        marks_only=marks_only,
        source_key=source_api_key,
        target_key=target_api_key,
    )
    common = Common(state=state, config=config, as_json=as_json)
    return run_verb(partial(verbs_gateway.gateway, common, migration_id, asked))
