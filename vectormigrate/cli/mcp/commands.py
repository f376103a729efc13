"""`vectormigrate mcp …` and `vectormigrate audit …`: keys, installation, bundles, and the check of the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vectormigrate.cli import options as opt
from vectormigrate.cli.inputs import Common
from vectormigrate.cli.mcp import examples

mcp_app = typer.Typer()
key_app = typer.Typer()
audit_app = typer.Typer()
mcp_app.add_typer(key_app, name="key")

KeyScope = Annotated[
    str, typer.Option("--scope", metavar="SCOPE", help="read, write (and read) or admin (everything).")
]


@mcp_app.callback(invoke_without_command=True)
def mcp(context: typer.Context) -> None:
    """Set up the MCP server: assistants, keys, bundles."""
    _help_when_alone(context)


@key_app.callback(invoke_without_command=True)
def key(context: typer.Context) -> None:
    """Make API keys for the server."""
    _help_when_alone(context)


@audit_app.callback(invoke_without_command=True)
def audit(context: typer.Context) -> None:
    """Check the audit log of the server."""
    _help_when_alone(context)


def _help_when_alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@mcp_app.command(epilog=examples.MCP_INSTALL)
def install(
    host: Annotated[
        str, typer.Argument(metavar="HOST", help="claude-desktop, claude-code, cursor or vscode.", show_default=False)
    ],
    project: Annotated[
        Path | None,
        typer.Option("--project", metavar="DIR", help="Write the project's file, not your own.", file_okay=False),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Name of the entry.")] = "vectormigrate",
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME", help="Write this variable's value into the entry; repeatable."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Without the tools that change anything.")] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take the entry out.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, write nothing.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Print the entry only; touch no file.")] = False,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Add the server to an assistant's configuration.

    Only this entry changes; a copy of the old file stays next to it. Doing it again changes nothing.
    """
    from vectormigrate.cli.mcp import verbs

    return verbs.install(
        Common(state=state, config=config, as_json=as_json),
        host,
        project=project,
        name=name,
        env=tuple(env or ()),
        read_only=read_only,
        remove=remove,
        dry_run=dry_run,
        show_only=show,
    )


@mcp_app.command(epilog=examples.MCP_BUNDLE)
def bundle(
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="Where to write.", file_okay=False)] = Path(
        "mcp-bundle"
    ),
    namespace: Annotated[
        str, typer.Option("--namespace", metavar="NAME", help="Of the registry: a reversed domain name of yours.")
    ] = "io.github.vectormigrate",
    as_json: opt.AsJson = False,
) -> int:
    """Write server.json for the MCP registry, and an .mcpb bundle for desktop programs."""
    from vectormigrate.cli.mcp import verbs

    return verbs.bundle(Common(state=None, config=None, as_json=as_json), output, namespace)


@key_app.command("new", epilog=examples.MCP_KEY_NEW)
def key_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is; keys of one name are one owner.")],
    scope: KeyScope = "read",
    as_json: opt.AsJson = False,
) -> int:
    """Make a key, and the lines that let it in.

    The key goes to stdout once and is kept nowhere; vectormigrate.toml gets its SHA-256 only.
    """
    from vectormigrate.cli.mcp import verbs

    return verbs.key_new(Common(state=None, config=None, as_json=as_json), name, scope)


@key_app.command("hash", epilog=examples.MCP_KEY_HASH)
def key_hash(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    scope: KeyScope = "read",
    as_json: opt.AsJson = False,
) -> int:
    """Print the lines that let in a key that you have; it is read from stdin."""
    from vectormigrate.cli.mcp import verbs

    return verbs.key_hash(Common(state=None, config=None, as_json=as_json), name, scope)


@audit_app.command(epilog=examples.AUDIT_VERIFY)
def verify(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="The log; default next to the state file.", dir_okay=False)
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", metavar="HASH", help="A hash noted earlier, which must occur.")
    ] = None,
    archived: Annotated[
        bool, typer.Option("--archived", help="The oldest files were taken away: begin where the log begins.")
    ] = False,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Check that no line of the audit log was changed, removed or inserted.

    Exit code 0: intact. 2: there is no log, or it cannot be read. 3: it was tampered with.
    """
    from vectormigrate.cli.mcp import verbs

    common = Common(state=state, config=config, as_json=as_json)
    return verbs.audit_verify(common, file, head=head, archived=archived)
