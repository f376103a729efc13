"""The two streams: data on stdout, everything else on stderr. Nothing from a database reaches the terminal raw."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, is_dataclass
from functools import cache
from typing import Any

import orjson
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vectormigrate.cli.remedies import in_commands

PIPED_WIDTH = 200
"""Columns when stdout is no terminal: nothing is cut off or wrapped early for the program that reads it."""

NARROW = 70
"""Columns of a terminal below which a table becomes a block of lines per row: its cells would be torn to pieces."""

PROGRAM = "vectormigrate"


def clean(text: object) -> str:
    """Text on one line, with control characters (terminal escapes in a record's id, for example) made visible."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in " ".join(str(text).splitlines())
    )


def worded(text: str) -> str:
    """A text from below, on one line and with its remedies as commands and flags."""
    return clean(in_commands(text))


@cache
def out() -> Console:
    """stdout."""
    terminal = sys.stdout.isatty()
    width = None if terminal or os.environ.get("COLUMNS") else PIPED_WIDTH
    return Console(file=sys.stdout, markup=False, emoji=False, highlight=False, width=width)


@cache
def err() -> Console:
    """stderr."""
    return Console(file=sys.stderr, markup=False, emoji=False, highlight=False)


def show(*parts: RenderableType) -> None:
    """Print data for people."""
    for part in parts:
        # Lines are not broken for a program that reads them; the width matters to tables only.
        out().print(part, soft_wrap=isinstance(part, str | Text) and not out().is_terminal)


def show_command(label: str, command: str) -> None:
    """A command to be copied: the terminal may wrap it, we do not."""
    out().print(Text(f"{label:<13}{command}"), soft_wrap=True)


def notice(message: str, style: str = "") -> None:
    """One line for people, on stderr."""
    err().print(clean(message), style=style, soft_wrap=True)


def warn(message: str) -> None:
    """One line that begins with `warning:`, on stderr."""
    notice(f"warning: {message}", "yellow")


def is_terminal() -> bool:
    """Whether a person can see stderr and answer on stdin."""
    return sys.stdin.isatty() and sys.stderr.isatty()


class Rows(Table):
    """A table; on a narrow terminal a block per row, headed by the first cell."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not console.is_terminal or options.max_width >= NARROW:
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(str(self.title), style="bold")
        names = [str(column.header) for column in self.columns]
        for head, *rest in zip(*(column.cells for column in self.columns), strict=True):
            yield head
            block = _grid()
            for name, cell in zip(names[1:], rest, strict=True):
                if str(cell):
                    block.add_row(name, cell)
            if block.row_count:
                yield Padding(block, (0, 0, 0, 2))


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Rows:
    """An empty table; long cells fold, so nothing is cut off. The columns named in `right` hold numbers."""
    style = box.SIMPLE_HEAD if out().is_terminal else None
    made = Rows(
        title=title or None,
        title_justify="left",
        title_style="bold",
        min_width=len(title),
        box=style,
        pad_edge=False,
        show_edge=False,
    )
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def pairs(rows: list[tuple[str, str]]) -> RenderableType:
    """Names and values, two columns without a header; plain lines when no terminal is there to fold for."""
    if not out().is_terminal:
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
    made = _grid()
    for name, value in rows:
        made.add_row(name, value)
    return made


def _grid() -> Table:
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    return made


def _default(value: Any) -> Any:
    if isinstance(value, frozenset | set):
        return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


def encode(data: Any) -> bytes:
    """JSON with two spaces of indentation. Text that is no UTF-8 (half a surrogate pair) is written as an escape."""
    try:
        return orjson.dumps(data, default=_default, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
    except orjson.JSONEncodeError:
        return json.dumps(data, default=_default, indent=2).encode()


def document(data: Any) -> None:
    """Print the one JSON document of a command."""
    sys.stdout.flush()
    sys.stdout.buffer.write(encode(data) + b"\n")
    sys.stdout.buffer.flush()
