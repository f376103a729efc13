"""The command line: one function per verb, which turns flags into a call of `verbs_look`. The commands that copy, the
groups `schema`, `mcp` and `audit` and the long `serve` have files of their own.

Everything heavy (service, pydantic, numpy, vendor packages) is imported inside the functions, so `--help` stays fast.
"""

from __future__ import annotations

import io
import sys
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from vectormigrate.cli import completing, examples
from vectormigrate.cli import options as opt
from vectormigrate.cli.copy_commands import migrate, resume, stop
from vectormigrate.cli.errors import guarded
from vectormigrate.cli.gateway import gateway
from vectormigrate.cli.inputs import Common, Place
from vectormigrate.cli.live_commands import add_live_commands
from vectormigrate.cli.mcp.commands import audit_app, mcp_app
from vectormigrate.cli.run import run_verb
from vectormigrate.cli.schema import schema_app
from vectormigrate.cli.serve import serve
from vectormigrate.cli.sync import sync
from vectormigrate.config.connections import CONFIG_NAME
from vectormigrate.errors import ConfigError
from vectormigrate.model.status import Status

app = typer.Typer(
    name="vectormigrate",
    help="Move vector collections between databases, and prove that nothing was lost.",
    epilog=examples.EXIT_CODES,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"], "token_normalize_func": opt.present_name},
)
app.add_typer(schema_app, name="schema")
app.add_typer(mcp_app, name="mcp")
app.add_typer(audit_app, name="audit")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vectormigrate {installed_version('vectormigrate')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Move vector collections between databases, and prove that nothing was lost."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


app.command(epilog=examples.MIGRATE)(migrate)
app.command(epilog=examples.RESUME)(resume)
app.command(epilog=examples.STOP)(stop)
app.command(epilog=examples.GATEWAY)(gateway)
app.command(epilog=examples.SYNC)(sync)


@app.command(epilog=examples.STATUS)
def status(
    migration_id: opt.Id,
    watch: Annotated[bool, typer.Option("--watch", help="Refresh until it has ended.")] = False,
    rejects: Annotated[
        int | None, typer.Option("--rejects", metavar="N", min=1, help="List the first N refused records.")
    ] = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Show how far a migration is."""
    from vectormigrate.cli import verbs_look

    common = Common(state=state, config=config, as_json=as_json)
    return run_verb(partial(verbs_look.status, common, migration_id, watch=watch, rejects=rejects))


@app.command("list", epilog=examples.LIST)
def list_(
    status: Annotated[Status | None, typer.Option("--status", help="Only those in this status.")] = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """List the migrations of the state file."""
    from vectormigrate.cli import verbs_look

    return run_verb(partial(verbs_look.list_all, Common(state=state, config=config, as_json=as_json), status))


@app.command(epilog=examples.VALIDATE)
def validate(
    migration_id: opt.Id,
    sample_size: Annotated[
        int | None,
        typer.Option("--sample-size", metavar="N", min=1, help="Compare N random records; default 1000."),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Compare every record, in both directions.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Copy what differs again; delete extras that this migration wrote.")
    ] = False,
    queries: Annotated[
        int, typer.Option("--queries", metavar="N", min=0, help="Searches to compare; 0 for none.")
    ] = 50,
    min_similarity: Annotated[
        float | None,
        typer.Option(
            "--min-similarity", metavar="X", min=0.0, max=1.0, help="Floor of the cosine; default as planned."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a report with plots.", dir_okay=False)
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Also what the comparison proves, and the figures of every vector field.")
    ] = False,
    source_api_key: opt.SourceKey = None,
    target_api_key: opt.TargetKey = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Compare source and target: counts, contents, searches. Exit code 3 when they differ."""
    if full and sample_size is not None:
        raise ConfigError("--full compares every record: leave out --sample-size")
    from vectormigrate.cli import verbs_look

    verb = partial(
        verbs_look.validate,
        Common(state=state, config=config, as_json=as_json),
        migration_id,
        sample_size=sample_size,
        full=full,
        repair=repair,
        queries=queries,
        min_similarity=min_similarity,
        report=report,
        details=details,
        source_key=source_api_key,
        target_key=target_api_key,
    )
    return run_verb(verb)


@app.command(epilog=examples.ROLLBACK)
def rollback(
    migration_id: opt.Id,
    force: Annotated[bool, typer.Option("--force", help="Do not ask.")] = False,
    target_api_key: opt.TargetKey = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Remove what a migration wrote, and nothing else.

    A collection that it created is dropped; from one that existed, the records that it added are deleted.
    """
    from vectormigrate.cli import verbs_look

    common = Common(state=state, config=config, as_json=as_json)
    return run_verb(partial(verbs_look.rollback, common, migration_id, force=force, target_key=target_api_key))


@app.command(epilog=examples.COLLECTIONS)
def collections(
    connection: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONNECTION]",
            help="Name in vectormigrate.toml, or use --type.",
            autocompletion=completing.connections,
        ),
    ] = None,
    type: opt.Type = None,
    url: opt.Url = None,
    api_key: opt.Key = None,
    option: opt.Option = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """List what a server holds: collections with their records and vectors."""
    from vectormigrate.cli import verbs_look

    place = Place(side="", connection=connection, type=type, url=url, key=api_key, options=tuple(option or ()))
    return run_verb(partial(verbs_look.collections, Common(state=state, config=config, as_json=as_json), place))


@app.command(epilog=examples.OPTIONS)
def options(
    types: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TYPE]...", help="Databases; default all.", autocompletion=completing.types),
    ] = None,
    as_json: opt.AsJson = False,
) -> int:
    """List the settings of each database, for --source-option, --target-option and the connections file."""
    from vectormigrate.cli import verbs_look

    common = Common(state=None, config=None, as_json=as_json)
    return run_verb(partial(verbs_look.options, common, tuple(types or ())))


@app.command(epilog=examples.INIT)
def init(config: opt.Config = None, as_json: opt.AsJson = False) -> int:
    """Write a commented connections file, to be filled in."""
    from vectormigrate.cli import init as made
    from vectormigrate.cli.render.console import document, show

    path = config or Path(CONFIG_NAME)
    made.write(path)
    common = Common(state=None, config=config, as_json=as_json)
    if as_json:
        document({"config": str(path), "next": common.command("doctor")})
    else:
        show(f"made {path}; fill it in, then:  {common.command('doctor')}")
    return 0


@app.command(epilog=examples.DOCTOR)
def doctor(
    connections: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CONNECTION]...",
            help="Names in vectormigrate.toml; default all of them.",
            autocompletion=completing.connections,
        ),
    ] = None,
    type: opt.Type = None,
    url: opt.Url = None,
    api_key: opt.Key = None,
    index: opt.Index = None,
    option: opt.Option = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Check installed packages, the state file and connections. Exit code 1 when something is wrong."""
    from vectormigrate.cli import verbs_look

    places = [Place(side="", connection=name, index=index) for name in connections or ()]
    if type or url:
        places.append(Place(side="", type=type, url=url, key=api_key, index=index, options=tuple(option or ())))
    return run_verb(partial(verbs_look.doctor, Common(state=state, config=config, as_json=as_json), places))


add_live_commands(app)
app.command(epilog=examples.SERVE)(serve)


@app.command(epilog=examples.DEMO)
def demo(
    records: Annotated[int, typer.Option("--records", metavar="N", min=1, help="Most records to use.")] = 10_000,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", file_okay=False, help="Where to leave data and state.")
    ] = Path("vectormigrate-demo"),
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="Between real servers, while an application reads and writes: kill each process, cut over, reverse, "
            "and compare every record with what the application did. Two minutes; up to 4000 records.",
        ),
    ] = False,
    as_json: opt.AsJson = False,
) -> int:
    """Watch a real collection move from Milvus Lite to Qdrant Edge, be killed half-way, resume and be proved.

    Needs no server and no account; with `--live` it brings its servers.
    """
    if live:
        from vectormigrate.cli.demo.live.run import run_live_demo

        return run_verb(partial(run_live_demo, records, directory, as_json))
    from vectormigrate.cli.demo.run import run_demo

    return run_verb(partial(run_demo, records, directory, as_json))


def run() -> NoReturn:
    """The entry point of the installed command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:]
    command = typer.main.get_command(app)
    main = partial(command.main, args=arguments, prog_name="vectormigrate", standalone_mode=False)
    sys.exit(guarded(main, as_json="--json" in arguments))
