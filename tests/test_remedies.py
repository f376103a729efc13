"""Remedies: texts below the front ends name verbs and attributes, and each front end has words for all of them."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from vectormigrate import Endpoint, MigrationRequest, RunOptions, Service, Settings
from vectormigrate.cli.main import app
from vectormigrate.cli.remedies import COMMANDS, FLAGS, POSITIONAL, in_commands
from vectormigrate.cli.remedies import words as command_words
from vectormigrate.errors import LossNotAccepted, MigrationNotFound, Remedy, in_words, option, remedies_in, remedy
from vectormigrate.model.live import LiveOptions
from vectormigrate.server.app import build
from vectormigrate.server.runtime.remedies import ARGUMENTS, FOR_A_PERSON, TOOLS, in_tool_words
from vectormigrate.server.runtime.remedies import words as tool_words

PACKAGE = Path(__file__).parent.parent / "vectormigrate"
FRONT_ENDS = ("cli", "server")
MAIN: Any = typer.main.get_command(app)
SIDES = ("source", "target")


def calls(name: str) -> Iterator[ast.Call]:
    """The calls of a function of this name below the front ends."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in FRONT_ENDS:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                    yield node


def used_verbs() -> dict[str, set[str]]:
    """Verb -> arguments, of every remedy in the code."""
    found: dict[str, set[str]] = {}
    for call in calls("remedy"):
        assert isinstance(call.args[0], ast.Constant), ast.unparse(call)
        found.setdefault(str(call.args[0].value), set()).update(str(item.arg) for item in call.keywords)
    return found


def used_attributes() -> set[str]:
    """The attribute of every option that is named in the code; an f-string stands for what it can become."""
    names = {ast.literal_eval(call.args[0]) for call in calls("option") if isinstance(call.args[0], ast.Constant)}
    parts = {ast.literal_eval(call.args[1]) for call in calls("part") if isinstance(call.args[1], ast.Constant)}
    parts |= {"type", "url"}
    names |= {f"request.{side}.{part}" for side in SIDES for part in parts}
    return names | {f"endpoint.{part}" for part in parts - {"connection"}}


def test_every_remedy_is_a_verb_and_an_option_of_the_library() -> None:
    run_options = {item.name for item in dataclasses.fields(RunOptions)}
    for verb, arguments in used_verbs().items():
        assert arguments - run_options <= inspect.signature(getattr(Service, verb)).parameters.keys(), verb
    endpoint = {item.name for item in dataclasses.fields(Endpoint)}
    fields = {
        "request": {item.name for item in dataclasses.fields(MigrationRequest)},
        "options": run_options,
        "endpoint": endpoint,
        "live": {item.name for item in dataclasses.fields(LiveOptions)},
        "settings": {*Settings.model_fields},
    }
    for attribute in used_attributes():
        holder, *names = attribute.split(".")
        assert names[0] in fields[holder], attribute
        if holder == "request" and names[0] in SIDES:
            assert names[1] in endpoint, attribute


def test_every_remedy_is_a_command_and_a_flag() -> None:
    flags = {name: {text for item in found.params for text in item.opts} for name, found in MAIN.commands.items()}
    for verb, arguments in used_verbs().items():
        assert {FLAGS[name] for name in arguments - {POSITIONAL}} <= flags[COMMANDS[verb]], verb
    anywhere = {flag for found in flags.values() for flag in found}
    for attribute in used_attributes():
        assert command_words(option(attribute)), attribute
        holder = attribute.split(".")[0]
        if attribute in FLAGS:
            assert FLAGS[attribute] in (flags["migrate"] if holder in ("request", "options") else anywhere), attribute


def test_every_remedy_is_a_tool_and_an_argument_or_for_a_person() -> None:
    tools = build(Settings(config=None)).tools
    arguments = {name: {*tool.parameters["properties"]} for name, tool in tools.items()}
    for verb, given in used_verbs().items():
        said = tool_words(remedy(verb, "orders"))
        assert said
        if not said.startswith(FOR_A_PERSON):
            assert {ARGUMENTS[name] for name in given if name in ARGUMENTS} <= arguments[TOOLS[verb]], verb
    anywhere = {name for found in arguments.values() for name in found}
    for attribute in used_attributes():
        said = tool_words(option(attribute))
        assert said, attribute
        if attribute in ARGUMENTS:
            planned = attribute.split(".")[0] in ("request", "options")
            assert said in (arguments["plan_migration"] if planned else anywhere), attribute
        else:
            assert "operator" in said, attribute


def test_no_tool_and_no_command_is_worded_that_does_not_exist() -> None:
    assert {*TOOLS.values()} <= build(Settings(config=None)).tools.keys()
    assert {*COMMANDS.values()} <= MAIN.commands.keys()


WORDED: dict[str, tuple[Remedy, str, str]] = {
    "a verb": (
        remedy("resume", "orders"),
        "vectormigrate resume orders",
        "resume_migration(migration_id='orders')",
    ),
    "a verb with an option": (
        remedy("resume", "orders", retry_rejects=True),
        "vectormigrate resume orders --retry-rejects",
        "resume_migration(migration_id='orders', retry_rejects=true)",
    ),
    "a verb that another command does": (
        remedy("rejects", "orders", limit=20),
        "vectormigrate status orders --rejects 20",
        "list_rejects(migration_id='orders')",
    ),
    "a verb of no migration": (remedy("list"), "vectormigrate list", "list_migrations"),
    "what only a person does": (
        remedy("validate", "orders", full=True, repair=True),
        "vectormigrate validate orders --full --repair",
        "for the operator: vectormigrate validate orders --full --repair",
    ),
    "an argument without a flag": (
        remedy("options", types=("milvus",)),
        "vectormigrate options milvus",
        "for the operator: vectormigrate options",
    ),
    "an option": (option("options.max_rejects", 3), "--max-rejects 3", "max_rejects=3"),
    "an option of no value": (option("request.excludes"), "--exclude", "excludes"),
    "a switch": (option("request.overwrite", True), "--overwrite", "overwrite=true"),
    "a switch of another name": (option("request.plain", True), "--no-sidecar", "plain=true"),
    "losses": (
        option("request.accepted_losses", ("null-values", "index:a b")),
        "--accept-loss null-values --accept-loss 'index:a b'",
        'accept_losses=["null-values", "index:a b"], if the user agrees to it',
    ),
    "a rename": (option("request.renames", {"old": "new"}), "--rename old=new", 'renames={"old": "new"}'),
    "a part of an end": (
        option("request.target.collection", "docs"),
        "--target-collection docs",
        'target_collection="docs"',
    ),
    "what a connection holds": (
        option("request.source.api_key"),
        "--source-api-key",
        "for the operator: api_key of the source connection",
    ),
    "an option of a database": (
        option("endpoint.options.grpc_port"),
        "grpc_port (--source-option or --target-option grpc_port=VALUE)",
        "grpc_port (an option of the connection, which is the operator's)",
    ),
    "a value of a database's option": (
        option("endpoint.options.prefer_grpc", False),
        "prefer_grpc=false",
        "prefer_grpc=false (an option of the connection, which is the operator's)",
    ),
    "quotes and ticks in names": (
        option("request.accepted_losses", ("index:`a'\"",)),
        "--accept-loss 'index:`a'\"'\"'\"'",
        'accept_losses=["index:`a\'\\""], if the user agrees to it',
    ),
}


@pytest.mark.parametrize("name", WORDED)
def test_each_front_end_has_its_own_words(name: str) -> None:
    found, command, tool = WORDED[name]
    assert in_commands(f"do it with: {found}, or wait") == f"do it with: {command}, or wait"
    assert in_tool_words(f"do it with: {found}, or wait") == f"do it with: {tool}, or wait"
    assert remedies_in(f"do it with: {found}, or wait") == [found]


def test_an_error_reads_as_what_a_program_writes_and_carries_its_remedies() -> None:
    error = LossNotAccepted({"null-values": "null values are left out"})
    assert error.remedies == [Remedy(options={"request.accepted_losses": ("null-values",)})]
    assert str(error).endswith("accept with: `request.accepted_losses=('null-values',)`")
    assert MigrationNotFound("orders").remedies == [Remedy("list")]


@pytest.mark.parametrize(
    "text",
    [
        "`service.drop('x')`",
        "`service.resume(import os)`",
        "`service.resume('orders', **x)`",
        "`request.overwrite=open('x')`",
        "`request.nothing`",
        "`title` and `vectors` are missing",
    ],
)
def test_what_a_server_wrote_is_not_taken_for_a_remedy(text: str) -> None:
    assert in_commands(text) == text
    assert in_tool_words(text) == text
    assert in_words(text, lambda found: None) == text


def test_an_endless_expression_is_no_remedy_either() -> None:
    text = f"`service.resume({'-' * 20_000}1)`"
    assert in_commands(text) == text
