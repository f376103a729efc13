"""The flags, each written once. Little but typer is imported here, so that `--help` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vectormigrate.cli import completing
from vectormigrate.model.ids import MIGRATION_ID, MIGRATION_ID_RULE

SOURCE = "Source"
TARGET = "Target"
WHAT = "What to copy, and how it may change"
RUN = "How to run"
LIVE = "While the application writes"
OUTPUT = "State and output"


EARLIER_NAMES = {
    "source-index": "source-collection",
    "target-index": "target-collection",
    "index": "collection",
    "map": "rename",
    "plain": "no-sidecar",
}
"""Flags that were renamed, by their first names: scripts may keep them, help shows the present ones only."""


def present_name(flag: str) -> str:
    """The name of a flag that may be typed by its first name, both without dashes."""
    return EARLIER_NAMES.get(flag, flag)


def _migration_id(value: str) -> str:
    if not MIGRATION_ID.fullmatch(value):
        raise typer.BadParameter(f"{value!r}: {MIGRATION_ID_RULE}")
    return value


def _pair(value: str) -> str:
    name, equals, other = value.partition("=")
    if not (name and equals and other):
        raise typer.BadParameter(f"{value!r}: write it as old=new")
    return value


def _pairs(values: list[str] | None) -> list[str]:
    return [_pair(value) for value in values or []]


Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        callback=_migration_id,
        help="Name of the migration: letters, digits, '.', '_', '-'.",
        autocompletion=completing.migrations,
    ),
]

# Every command.
State = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="State file.  Environment: VECTORMIGRATE_STATE.",
        dir_okay=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        help="Connections file; default ./vectormigrate.toml.  Environment: VECTORMIGRATE_CONFIG.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", rich_help_panel=OUTPUT, help="Print one JSON document, also for an error.")
]

# The two ends.
_KEY_HELP = "API key; [bold]env:NAME[/] or [bold]file:PATH[/] reads it from there.  Used, never stored."
_OPTION_HELP = (
    "Setting of the database type, see [bold]vectormigrate options[/]; also next to a connection; repeatable."
)
_TYPES = "pinecone, qdrant, weaviate, milvus (also Milvus Lite) or qdrant_edge."

SourceConnection = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="CONNECTION",
        rich_help_panel=SOURCE,
        help="Name in vectormigrate.toml.",
        autocompletion=completing.connections,
    ),
]
SourceType = Annotated[
    str | None,
    typer.Option("--source-type", metavar="TYPE", rich_help_panel=SOURCE, help=_TYPES, autocompletion=completing.types),
]
SourceUrl = Annotated[
    str | None, typer.Option("--source-url", metavar="URL", rich_help_panel=SOURCE, help="Server, or file or folder.")
]
SourceKey = Annotated[
    str | None, typer.Option("--source-api-key", metavar="KEY", rich_help_panel=SOURCE, help=_KEY_HELP)
]
SourceIndex = Annotated[
    str | None, typer.Option("--source-collection", metavar="NAME", rich_help_panel=SOURCE, help="Collection to read.")
]
SourceOption = Annotated[
    list[str] | None,
    typer.Option("--source-option", metavar="KEY=VALUE", rich_help_panel=SOURCE, callback=_pairs, help=_OPTION_HELP),
]
TargetConnection = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="CONNECTION",
        rich_help_panel=TARGET,
        help="Name in vectormigrate.toml.",
        autocompletion=completing.connections,
    ),
]
TargetType = Annotated[
    str | None,
    typer.Option("--target-type", metavar="TYPE", rich_help_panel=TARGET, help=_TYPES, autocompletion=completing.types),
]
TargetUrl = Annotated[
    str | None, typer.Option("--target-url", metavar="URL", rich_help_panel=TARGET, help="Server, or file or folder.")
]
TargetKey = Annotated[
    str | None, typer.Option("--target-api-key", metavar="KEY", rich_help_panel=TARGET, help=_KEY_HELP)
]
TargetIndex = Annotated[
    str | None,
    typer.Option(
        "--target-collection",
        metavar="NAME",
        rich_help_panel=TARGET,
        help="Collection to write; default: the name of the source's.",
    ),
]
TargetOption = Annotated[
    list[str] | None,
    typer.Option("--target-option", metavar="KEY=VALUE", rich_help_panel=TARGET, callback=_pairs, help=_OPTION_HELP),
]

# One collection (schema describe, doctor).
Type = Annotated[str | None, typer.Option("--type", metavar="TYPE", help=_TYPES, autocompletion=completing.types)]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="Server, or file or folder.")]
Key = Annotated[str | None, typer.Option("--api-key", metavar="KEY", help=_KEY_HELP)]
Index = Annotated[str | None, typer.Option("--collection", metavar="NAME", help="Collection.")]
Option = Annotated[list[str] | None, typer.Option("--option", metavar="KEY=VALUE", callback=_pairs, help=_OPTION_HELP)]

# What to copy.
Namespaces = Annotated[
    list[str] | None,
    typer.Option("--namespace", metavar="NAME", rich_help_panel=WHAT, help="Only this one; repeatable. Default: all."),
]
Partitions = Annotated[
    int | None,
    typer.Option("--partitions", metavar="N", min=1, rich_help_panel=WHAT, help="Units of parallel reading."),
]
Renames = Annotated[
    list[str] | None,
    typer.Option(
        "--rename",
        metavar="OLD=NEW",
        rich_help_panel=WHAT,
        callback=_pairs,
        help="Rename a metadata field; repeatable.",
    ),
]
Excludes = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="FIELD", rich_help_panel=WHAT, help="Leave a metadata field out; repeatable."),
]
Vectors = Annotated[
    list[str] | None,
    typer.Option(
        "--vector",
        metavar="NAME",
        rich_help_panel=WHAT,
        help="Carry only this vector field; repeatable. Where the target holds fewer fields than the source; naming "
        "some accepts the loss of the others.",
    ),
]
AcceptLoss = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-loss",
        metavar="NAME",
        rich_help_panel=WHAT,
        help="Accept a loss that the plan names; repeatable.",
        autocompletion=completing.losses,
    ),
]
Plain = Annotated[
    bool,
    typer.Option("--no-sidecar", rich_help_panel=WHAT, help="No origin sidecar: its effects become losses to accept."),
]
IntoExisting = Annotated[
    bool,
    typer.Option("--into-existing", rich_help_panel=WHAT, help="Allow a target collection that holds records."),
]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", rich_help_panel=WHAT, help="Replace records with the same id (no rollback for them)."),
]
MinSimilarity = Annotated[
    float,
    typer.Option(
        "--min-similarity", metavar="X", min=0.0, max=1.0, rich_help_panel=WHAT, help="Floor of the cosine per vector."
    ),
]

ProfileLimit = Annotated[
    int | None,
    typer.Option(
        "--profile-limit",
        metavar="N",
        min=1,
        rich_help_panel=WHAT,
        help="Read about N records to plan; default all. The plan shows what the unread ones leave open.",
    ),
]

Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        rich_help_panel=WHAT,
        help="Read the source's metadata again, although a dry run of today did.",
    ),
]

# Live.
Live = Annotated[
    bool,
    typer.Option(
        "--live",
        rich_help_panel=LIVE,
        help="Follow the source while the application writes to it, through the gateway, until you complete or abort.",
    ),
]
Fenced = Annotated[
    bool,
    typer.Option("--fenced", rich_help_panel=LIVE, help="Every writer goes through the gateway already."),
]
OneWay = Annotated[
    bool, typer.Option("--one-way", rich_help_panel=LIVE, help="Accept that there is no way back after the cut-over.")
]
SourceDeadline = Annotated[
    float | None,
    typer.Option(
        "--source-deadline",
        metavar="S",
        min=0.1,
        rich_help_panel=LIVE,
        help="A request to the source takes effect within S seconds, or never; default 60.",
    ),
]
TargetDeadline = Annotated[
    float | None,
    typer.Option(
        "--target-deadline", metavar="S", min=0.1, rich_help_panel=LIVE, help="The same of the target; default 60."
    ),
]
LagLimit = Annotated[
    float | None,
    typer.Option(
        "--lag-limit", metavar="S", min=0.1, rich_help_panel=LIVE, help="Ready while changes wait for less; default 5."
    ),
]
Hook = Annotated[
    str | None,
    typer.Option(
        "--hook",
        metavar="CMD",
        rich_help_panel=LIVE,
        help="Run before copying, before each step of a switch and before the end, where its failure refuses it, and "
        "after a switch.",
    ),
]
Journal = Annotated[
    Path | None,
    typer.Option(
        "--journal",
        metavar="DIR",
        rich_help_panel=LIVE,
        file_okay=False,
        help="Folder of the journal; default next to the state file.",
    ),
]

# How to run. None keeps what is stored (resume) or the default (migrate).
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", metavar="N", min=1, rich_help_panel=RUN, help="Records per write; default 100."),
]
MaxRetries = Annotated[
    int | None,
    typer.Option("--max-retries", metavar="N", min=0, rich_help_panel=RUN, help="Tries after the first; default 3."),
]
ValidateEvery = Annotated[
    int | None,
    typer.Option(
        "--validate-every",
        metavar="N",
        min=0,
        rich_help_panel=RUN,
        help="Read back and compare a sample every N batches; default 10, 0 is never.",
    ),
]
Concurrency = Annotated[
    int | None, typer.Option("--concurrency", metavar="N", min=1, rich_help_panel=RUN, help="Most writes in flight.")
]
RateLimit = Annotated[
    float | None,
    typer.Option("--rate-limit", metavar="R", min=0.001, rich_help_panel=RUN, help="Most records per second."),
]
MaxRejects = Annotated[
    int | None,
    typer.Option(
        "--max-rejects", metavar="N", min=0, rich_help_panel=RUN, help="Fail beyond N refused records; default 0."
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait",
        rich_help_panel=RUN,
        help="Return when all records are written, can be read and are counted; the target keeps building its index.",
    ),
]
Wait = Annotated[
    float,
    typer.Option(
        "--wait",
        min=0,
        metavar="SECONDS",
        rich_help_panel=RUN,
        help="Wait this long for another process that runs this migration, before it is left to that one (exit 75).",
    ),
]
ThenValidate = Annotated[
    str | None,
    typer.Option(
        "--then-validate",
        metavar="WHAT",
        rich_help_panel=RUN,
        help="Compare afterwards: sample, full, or a number of records; exit 3 when the sides differ.",
    ),
]
RetryRejects = Annotated[
    bool, typer.Option("--retry-rejects", rich_help_panel=RUN, help="Try the refused records again.")
]
Detach = Annotated[
    bool,
    typer.Option("--detach", rich_help_panel=RUN, help="Run in a background process that outlives this shell."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", rich_help_panel=RUN, help="Print the plan with its losses; write nothing.")
]
