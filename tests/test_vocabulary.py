"""Public docstrings and help texts use the field's standard words."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import typer

from vectormigrate.cli.main import app
from vectormigrate.config.settings import Settings
from vectormigrate.server.app import INSTRUCTIONS, build

PACKAGE = Path(__file__).parent.parent / "vectormigrate"

BANNED = re.compile(
    r"\b(says?|said|tells?|told|go(es)? on|going on|stands?|beside|anew|made up|mend(s|ed)?|word of)\b", re.IGNORECASE
)
"""Private words. Their standard counterparts: returns, states, holds; continues, resumes; is at, next to; again;
generated; fixed; notification."""


def docstrings(path: Path) -> Iterator[str]:
    """Of the module and of every public class and function in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            public = isinstance(node, ast.Module) or not node.name.startswith("_")
            text = ast.get_docstring(node) if public else None
            if text:
                yield text


def test_public_docstrings_use_standard_words() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}: {match.group()!r} in {text.splitlines()[0]!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for text in docstrings(path)
        for match in BANNED.finditer(text)
    ]
    assert found == []


def test_help_texts_use_standard_words() -> None:
    found = [f"{name}: {text!r}" for name, text in help_texts(typer.main.get_command(app), "") if BANNED.search(text)]
    assert found == []


def test_descriptions_of_tools_and_metrics_use_standard_words() -> None:
    server = build(Settings(config=None))
    texts = [INSTRUCTIONS, *(metric.documentation for metric in server.accounting.metrics.registry.collect())]
    for tool in server.tools.values():
        texts += [tool.description, *descriptions(tool.parameters), *descriptions(tool.output_schema or {})]
    assert len(texts) > 100
    assert [text for text in texts if BANNED.search(text)] == []


def descriptions(schema: object) -> Iterator[str]:
    """Every description in a JSON schema."""
    match schema:
        case dict():
            for name, item in schema.items():
                if name == "description" and isinstance(item, str):
                    yield item
                yield from descriptions(item)
        case list():
            for item in schema:
                yield from descriptions(item)
        case _:
            pass


def help_texts(command: object, name: str) -> Iterator[tuple[str, str]]:
    """Of a command, its parameters and the commands below it."""
    for text in (getattr(command, "help", None), getattr(command, "epilog", None)):
        if text:
            yield name, text
    for parameter in getattr(command, "params", ()):
        if getattr(parameter, "help", None):
            yield f"{name} {parameter.name}", parameter.help
    for below, inner in getattr(command, "commands", {}).items():
        yield from help_texts(inner, f"{name} {below}")
