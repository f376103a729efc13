"""`vectormigrate schema …`: the shape of a collection, and the one it should have elsewhere."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from vectormigrate.cli import completing, examples
from vectormigrate.cli import options as opt
from vectormigrate.cli.inputs import Common, Place
from vectormigrate.cli.run import run_verb

schema_app = typer.Typer()


@schema_app.callback(invoke_without_command=True)
def schema(context: typer.Context) -> None:
    """Look at the shape of a collection, and at the shape it should have elsewhere."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@schema_app.command(epilog=examples.DESCRIBE)
def describe(
    connection: Annotated[
        str | None,
        typer.Argument(
            metavar="CONNECTION",
            help="Name in vectormigrate.toml, or use --type.",
            autocompletion=completing.connections,
        ),
    ] = None,
    type: opt.Type = None,
    url: opt.Url = None,
    api_key: opt.Key = None,
    index: opt.Index = None,
    option: opt.Option = None,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=0, help="Records to look at.")] = 10_000,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Show vectors, fields, namespaces and counts of a collection."""
    from vectormigrate.cli import verbs_look

    place = Place(
        side="", connection=connection, type=type, url=url, key=api_key, index=index, options=tuple(option or ())
    )
    return run_verb(partial(verbs_look.describe, Common(state=state, config=config, as_json=as_json), place, sample))


@schema_app.command(epilog=examples.RECOMMEND)
def recommend(
    target_type: Annotated[
        str | None,
        typer.Option("--target-type", metavar="TYPE", help="Where it shall go.", autocompletion=completing.types),
    ] = None,
    source: opt.SourceConnection = None,
    source_type: opt.SourceType = None,
    source_url: opt.SourceUrl = None,
    source_api_key: opt.SourceKey = None,
    source_index: opt.SourceIndex = None,
    source_option: opt.SourceOption = None,
    source_schema: Annotated[
        str | None,
        typer.Option("--source-schema", metavar="JSON|FILE", help='Fields instead of a collection: {"field": "type"}.'),
    ] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="NAME=TYPE", help="One field instead; repeatable.")
    ] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Also the evidence; with --json also the target schema and losses.")
    ] = False,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=0, help="Records to look at.")] = 10_000,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Recommend a schema on another database, with a confidence per field and every loss.

    A sample of the collection is read. Without a collection, --source-schema or --field name fields and their types.
    """
    from vectormigrate.cli import verbs_look

    place = Place(
        side="source",
        connection=source,
        type=source_type,
        url=source_url,
        key=source_api_key,
        index=source_index,
        options=tuple(source_option or ()),
    )
    common = Common(state=state, config=config, as_json=as_json)
    fields = tuple(field or ())
    verb = partial(verbs_look.recommend, common, place, target_type, schema=source_schema, fields=fields)
    return run_verb(partial(verb, sample=sample, details=details))


@schema_app.command(name="table", epilog=examples.TABLE)
def outcome_table(
    types: Annotated[
        list[str] | None, typer.Argument(metavar="[TYPE]...", help="Databases; default all that need a package.")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option("--also", metavar="TYPE", help="Show how this one differs; repeatable.")
    ] = None,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Show what is exact, reversible or lossy between databases.

    Found by asking the planner for each pair and kind of thing; nothing is connected to. Printed as Markdown.
    """
    from vectormigrate.cli import verbs_look

    common = Common(state=state, config=config, as_json=as_json)
    return run_verb(partial(verbs_look.outcome_table, common, tuple(types or ()), tuple(also or ())))
