"""`vectormigrate serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from vectormigrate.cli import options as opt
from vectormigrate.cli.inputs import Common


def serve(
    addr: Annotated[
        str | None, typer.Option("--addr", metavar="[HOST]:PORT", help="Serve HTTP there; default: stdin and stdout.")
    ] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            "--api-key",
            metavar="[NAME[:SCOPE]=]KEY",
            help="Key that clients must show; repeatable; [bold]env:NAME[/] reads it from a variable.  "
            "Environment: VECTORMIGRATE_API_KEYS.",
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Leave out the tools that start, stop and roll back.")
    ] = False,
    resume_on_start: Annotated[
        bool, typer.Option("--resume-on-start", help="Resume what the last server was running.")
    ] = False,
    allow_inline_connections: Annotated[
        bool, typer.Option("--allow-inline-connections", help="Tools take TYPE=URL for a connection; stdio only.")
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain, PEM.", dir_okay=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Private key, PEM.", dir_okay=False)
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", metavar="NAME", help="Further name of this server; repeatable."),
    ] = None,
    allowed_origin: Annotated[
        list[str] | None,
        typer.Option("--allowed-origin", metavar="URL", help="Web page that may call this server; repeatable."),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(
            "--trusted-proxy",
            metavar="ADDRESS",
            help="Reverse proxy whose X-Forwarded-For is believed, or a network such as 10.0.0.0/8; repeatable.",
        ),
    ] = None,
    audit_log: Annotated[
        Path | None,
        typer.Option(
            "--audit-log",
            metavar="FILE",
            help="Where every request is written down; default audit.jsonl next to the state file.",
            dir_okay=False,
        ),
    ] = None,
    calls_per_minute: Annotated[
        int | None, typer.Option("--calls-per-minute", metavar="N", min=0, help="Per key; default 100, 0 is no limit.")
    ] = None,
    unattended: Annotated[
        list[str] | None,
        typer.Option(
            "--unattended",
            metavar="rollback|overwrite|cutover|reverse|complete",
            help="Allow it without a person's consent, for clients that cannot ask.",
        ),
    ] = None,
    own_migrations_only: Annotated[
        bool,
        typer.Option(
            "--own-migrations-only",
            help="A key without the scope admin sees and touches only migrations that keys of its name started.",
        ),
    ] = False,
    insecure_short_key: Annotated[
        bool, typer.Option("--insecure-short-key", help="Accept keys under 32 characters; loopback only.")
    ] = False,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], typer.Option("--log-level", help="Logs go to stderr as JSON.")
    ] = "info",
    state: opt.State = None,
    config: opt.Config = None,
) -> int:
    """Serve AI assistants and scripts over MCP.

    Ends on Ctrl-C, SIGTERM or the end of stdin: running migrations stop with a checkpoint, within 5 seconds.
    """
    from vectormigrate.cli import verbs_serve

    return verbs_serve.serve(
        Common(state=state, config=config, as_json=False),
        verbs_serve.Serve(
            addr=addr,
            api_keys=tuple(api_key or ()),
            insecure_short_key=insecure_short_key,
            read_only=read_only,
            inline=allow_inline_connections,
            resume_on_start=resume_on_start,
            tls_cert=tls_cert,
            tls_key=tls_key,
            allowed_hosts=tuple(allowed_host or ()),
            allowed_origins=tuple(allowed_origin or ()),
            trusted_proxies=tuple(trusted_proxy or ()),
            unattended=tuple(unattended or ()),
            own_only=own_migrations_only,
            audit=audit_log,
            calls_per_minute=calls_per_minute,
            log_level=log_level,
        ),
    )
