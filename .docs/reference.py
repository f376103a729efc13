"""Writes the pages of the guide that are made from the code.

    python .docs/reference.py

A test runs it and fails when a committed page differs.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import typer

from vectormigrate import Settings, VectorMigrateError, open_service, registry
from vectormigrate.cli.main import app
from vectormigrate.cli.verbs_serve import SERVER_KEYS
from vectormigrate.config.connections import CONNECTION_KEYS, SETTING_KEYS
from vectormigrate.mapping.losses import EFFECTS, SCHEMA_EFFECTS
from vectormigrate.server.app import build
from vectormigrate.server.telemetry.metrics import Metrics

GUIDE = Path(__file__).parent.parent / "examples" / "guide"
NOTE = "<!-- Made by .docs/reference.py; change the code or that file, not this page. -->\n"
LOSSES = re.compile(r"(?<=<!-- generated: losses -->\n).*?(?=<!-- end -->)", re.DOTALL)

EXIT_CODES = {
    0: "done",
    1: "failed; resumable",
    2: "wrong command, configuration or plan; nothing was written",
    3: "validation failed: source and target differ",
    4: "no such migration or collection, or the migration is in the wrong state for the verb",
    75: "the state file is busy: another process kept it locked for a minute; try again later",
    130: "interrupted; `resume` continues",
}

KEYS = {
    "state": "State file, relative to this file.",
    "type": f"Type of the database: {', '.join(registry.offered())}.",
    "url": "Server, or file or folder.",
    "api_key": "Key; write `${NAME}` for an environment variable.",
    "collection": "Default of `--source-collection` and `--target-collection`.",
    "collections": 'Patterns such as `["docs*"]` of what agents may touch through `vectormigrate serve`; without it '
    "the default collection only.",
    "options": "Table of [options of the database type](options.md).",
    "keys": "Tables `[[server.keys]]` with `name`, `sha256` and `scopes`, as `vectormigrate mcp key new` prints them.",
    "audit": "Audit log, relative to this file; as `--audit-log`.",
    "calls_per_minute": "Calls per name over all transports, 100 by default; 0 is no limit.",
    "open_streams": "Event streams per name, 32 by default.",
    "sessions": "Sessions of Streamable HTTP per name, 64 by default; the one idle longest makes way.",
    "connections": "Connections open at once, 1,000 by default; one address may hold half of them.",
    "allowed_hosts": "Further names of this server; as `--allowed-host`.",
    "allowed_origins": "Web pages that may call this server; as `--allowed-origin`.",
    "trusted_proxies": "Reverse proxies whose X-Forwarded-For is believed; as `--trusted-proxy`.",
    "unattended": "`rollback`, `overwrite`, `cutover`, `reverse`, `complete`: allowed without a person's consent; as "
    "`--unattended`.",
    "own_migrations_only": "Keys below `admin` see their own migrations only; as `--own-migrations-only`.",
}


def cell(text: object) -> str:
    """A text inside a table."""
    return " ".join(str(text).split()).replace("|", r"\|")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, with an empty line after it."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, row)) + " |" for row in lines) + "\n\n"


def code(text: object) -> str:
    """An inline literal, also inside a table, where a bar ends the cell."""
    return f"`{text}`" if "|" not in str(text) else f"<code>{str(text).replace('|', '&#124;')}</code>"


def page(title: str, *parts: str) -> str:
    return f"# {title}\n\n{NOTE}\n" + "".join(parts).rstrip() + "\n"


def plain(text: str) -> str:
    """Without the marks of rich."""
    return re.sub(r"\[/?[a-z]*\]", "", text).strip()


def commands() -> str:
    """Every command with its arguments, options and examples."""
    return page(
        "Commands",
        "Every command with its options and examples.\n\n",
        *_command(typer.main.get_command(app), "vectormigrate"),
    )


def _command(command: Any, name: str) -> Iterable[str]:
    children = getattr(command, "commands", {})
    if not children or name == "vectormigrate":
        yield f"## {name}\n\n{plain(command.help or '')}\n\n"
        yield table(
            ("argument or option", "value", "meaning"),
            [
                (
                    ", ".join(map(code, [*item.opts, *item.secondary_opts]))
                    if item.param_type_name == "option"
                    # An argument is typed by its place.
                    else code(item.metavar or item.name),
                    code(item.metavar) if item.metavar and not getattr(item, "is_flag", False) else "",
                    plain(item.help or ""),
                )
                for item in command.params
                if not getattr(item, "hidden", False)
            ],
        )
        if command.epilog:
            yield f"```text\n{plain(command.epilog)}\n```\n\n"
    for child in sorted(children):
        yield from _command(children[child], f"{name} {child}")


async def _option_lines() -> Sequence[Any]:
    with tempfile.TemporaryDirectory() as folder:
        async with open_service(state=Path(folder) / "state.db") as service:
            return service.options()


def options() -> str:
    """Every option of every database type."""
    lines = anyio.run(_option_lines)
    parts = [
        "The options of each database type; `vectormigrate options [TYPE]` prints the same. Give one with "
        "`--source-option KEY=VALUE`, `--target-option KEY=VALUE`, or in the table `options` of a connection.\n\n"
    ]
    for type_name in sorted({line.type for line in lines}):
        rows = [
            (code(line.name), line.value, code(line.default) if line.default else "", line.meaning)
            for line in lines
            if line.type == type_name
        ]
        parts.append(f"## {type_name}\n\n" + table(("option", "value", "default", "meaning"), rows))
    return page("Options per database", *parts)


def tools() -> str:
    """Every MCP tool with its scope and arguments."""
    with tempfile.TemporaryDirectory() as folder:
        served = build(Settings(state=Path(folder) / "state.db", config=None)).tools
    parts = [
        "The tools of `vectormigrate serve`, with the scope that a key needs: `read` < `write` < `admin`. "
        "[MCP and assistants](../mcp.md)\n\n"
    ]
    for name, tool in sorted(served.items()):
        required = tool.parameters.get("required", [])
        rows = [
            (code(key) + (" (required)" if key in required else ""), value.get("description", ""))
            for key, value in tool.parameters.get("properties", {}).items()
        ]
        scope = str(tool.scope).rpartition(":")[2]
        parts.append(f"## {name}\n\n{tool.description}\n\nScope: `{scope}`\n\n")
        parts.append(table(("argument", "meaning"), rows) if rows else "")
    return page("Tools", *parts)


def configuration() -> str:
    """Every key of the connections file."""
    parts = [
        "The keys of `vectormigrate.toml`; `vectormigrate init` writes one to fill in. "
        "[Connections and keys](../connections.md)\n\n"
    ]
    for title, keys in (
        ("`[settings]`", SETTING_KEYS),
        ("`[connections.NAME]`", CONNECTION_KEYS),
        ("`[server]`", SERVER_KEYS),
    ):
        parts.append(f"## {title}\n\n" + table(("key", "meaning"), [(code(key), KEYS[key]) for key in keys]))
    parts.append("## Environment\n\n")
    parts.append(
        table(
            ("variable", "meaning"),
            [
                ("`VECTORMIGRATE_STATE`", "State file; as `--state`."),
                ("`VECTORMIGRATE_CONFIG`", "Connections file; as `--config`."),
                ("`VECTORMIGRATE_SOURCE_API_KEY`, `VECTORMIGRATE_TARGET_API_KEY`", "Keys of the two sides."),
                ("`VECTORMIGRATE_API_KEY`", "Key of a command that takes one collection."),
                ("`VECTORMIGRATE_API_KEYS`", "Keys of `serve`: `name:scope=KEY`, separated by spaces."),
                ("`VECTORMIGRATE_DEBUG=1`", "Tracebacks."),
                ("`PINECONE_API_KEY`", "Key of Pinecone where no other is given."),
                ("`OTEL_EXPORTER_OTLP_ENDPOINT`", "Collector of OpenTelemetry traces of `serve`."),
            ],
        )
    )
    return page("Configuration file", *parts)


def metrics() -> str:
    """Every series of `/metrics`."""
    made = Metrics()
    labels = {getattr(value, "_name", ""): getattr(value, "_labelnames", ()) for value in vars(made).values()}
    rows: list[tuple[str, str, str, str]] = []
    for family in made.registry.collect():
        names = labels.get(family.name, getattr(family, "_labelnames", ()))
        exposed = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append((code(exposed), family.type, ", ".join(map(code, names)), family.documentation))
    parts = (
        "The series of `/metrics` of `vectormigrate serve`, for Prometheus. [Operating a server](../server.md)\n\n",
        table(("series", "type", "labels", "meaning"), sorted(rows)),
    )
    return page("Metrics", *parts)


def tree(kind: type[VectorMigrateError] = VectorMigrateError) -> Iterable[type[VectorMigrateError]]:
    """The error classes of `vectormigrate.errors`, parents first."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == VectorMigrateError.__module__:
            yield from tree(child)


def errors() -> str:
    """Every error class."""
    rows = [
        (
            code(kind.__name__),
            "" if kind is VectorMigrateError else code(kind.__bases__[0].__name__),
            kind.exit_code,
            (kind.__doc__ or "").split("\n\n")[0],
        )
        for kind in tree()
    ]
    parts = (
        "The classes of `vectormigrate.errors`. Failed tools of MCP return the name in `structuredContent.error.kind`. "
        "What to do: [Troubleshooting](../troubleshooting.md)\n\n",
        table(("class", "a kind of", "exit code", "meaning"), rows),
    )
    return page("Errors", *parts)


def exit_codes() -> str:
    """Every exit code with its error classes."""
    rows = [
        (
            number,
            meaning,
            ", ".join(code(kind.__name__) for kind in tree() if kind.exit_code == number) if number else "",
        )
        for number, meaning in EXIT_CODES.items()
    ]
    return page("Exit codes", "How every command ends.\n\n", table(("exit code", "meaning", "errors"), rows))


def losses() -> str:
    """The table of everything that a migration may change."""
    rows = [
        (
            code(f"{name}:…" if name in SCHEMA_EFFECTS else name),
            "reversible" if effect.soft else "lossy",
            effect.text,
        )
        for name, effect in EFFECTS.items()
    ]
    return "\n" + table(("name", "outcome", "meaning"), rows)


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands,
    "options": options,
    "tools": tools,
    "configuration": configuration,
    "metrics": metrics,
    "exit-codes": exit_codes,
    "errors": errors,
}


def generated() -> dict[Path, str]:
    """Every file that is made from the code, wholly or in part, with its text."""
    made = {GUIDE / "reference" / f"{name}.md": make() for name, make in PAGES.items()}
    page_of_losses = GUIDE / "losses.md"
    text = page_of_losses.read_text(encoding="utf-8")
    return made | {page_of_losses: LOSSES.sub(lambda _: losses(), text)}


def write() -> None:
    """Write them."""
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
