"""Help, version and what they import."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.cli.process import Shell
from vectormigrate.cli import examples

COMMANDS = [
    "migrate",
    "resume",
    "stop",
    "status",
    "list",
    "validate",
    "rollback",
    "schema describe",
    "schema recommend",
    "schema table",
    "collections",
    "options",
    "init",
    "doctor",
    "serve",
    "demo",
]
MIGRATE_FLAGS = {
    *("--source", "--source-type", "--source-url", "--source-api-key", "--source-collection"),
    *("--target", "--target-type", "--target-url", "--target-api-key", "--target-collection"),
    *("--batch-size", "--max-retries", "--validate-every", "--dry-run", "--detach", "--concurrency", "--rate-limit"),
    *(
        "--max-rejects",
        "--namespace",
        "--partitions",
        "--accept-loss",
        "--no-sidecar",
        "--into-existing",
        "--overwrite",
    ),
    *("--min-similarity", "--rename", "--exclude", "--vector", "--state", "--config", "--json"),
}
HEAVY = ["numpy", "pydantic_settings", "anyio", "aiosqlite", "pymilvus", "milvus_lite", "qdrant_edge", "grpc"]


def flags(text: str) -> set[str]:
    return set(re.findall(r"--[a-z][a-z-]*", text))


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    # typer itself imports pydantic once there is a value to convert.
    [(["--help"], [*HEAVY, "pydantic"]), (["--version"], [*HEAVY, "pydantic"]), (["migrate", "--help"], HEAVY)],
)
def test_help_and_version_import_nothing_heavy(arguments: list[str], heavy: list[str]) -> None:
    code = (
        "import sys, json\n"
        f"sys.argv = ['vectormigrate', *{arguments!r}]\n"
        "from vectormigrate.cli.main import run\n"
        "try:\n    run()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        f"print('LOADED', json.dumps([name for name in {heavy!r} if name in sys.modules]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(ended.stdout.rpartition("LOADED")[2]) == []


def test_the_top_help_lists_every_command_and_the_exit_codes(shell: Shell) -> None:
    ended = shell.run("--help")
    assert ended.code == 0
    for name in {command.split()[0] for command in COMMANDS}:
        assert re.search(rf"^\W*{name} ", ended.out, re.MULTILINE), name
    for code in ("0", "1", "2", "3", "4", "130"):
        assert re.search(rf"(^|\s){code}  \w", ended.out), code
    assert "\x1b" not in ended.out


def test_no_command_at_all_shows_the_help(shell: Shell) -> None:
    assert shell.run().out == shell.run("--help").out


# What it prints is the protocol.
WITHOUT_JSON = ("serve",)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_json_and_examples_that_begin_with_its_name(shell: Shell, command: str) -> None:
    ended = shell.run(*command.split(), "--help")
    assert ended.code == 0
    assert ("--json" in flags(ended.out)) is (command not in WITHOUT_JSON)
    assert "Examples" in ended.out
    assert f"vectormigrate {command}" in ended.out.split("Examples")[1]


def test_migrate_has_every_flag_of_the_original_tool_and_ours(shell: Shell) -> None:
    assert flags(shell.run("migrate", "--help").out) >= MIGRATE_FLAGS


def test_the_examples_use_only_flags_that_exist(shell: Shell) -> None:
    """Each example is given to its command with `--help`, after which flags that do not exist would be an error."""
    texts = [examples.MIGRATE, examples.RESUME, examples.STOP, examples.STATUS, examples.LIST, examples.VALIDATE]
    texts += [examples.ROLLBACK, examples.DESCRIBE, examples.RECOMMEND, examples.TABLE]
    texts += [examples.COLLECTIONS, examples.OPTIONS, examples.INIT, examples.DOCTOR]
    texts += [examples.SERVE, examples.DEMO]
    for command, text in zip(COMMANDS, texts, strict=True):
        assert flags(text) <= flags(shell.run(*command.split(), "--help").out), command


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    ended = shell.run("--version")
    assert (ended.code, ended.err) == (0, "")
    assert re.fullmatch(r"vectormigrate \d+\.\d+\.\d+\S*\n", ended.out)


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_a_completion_script_can_be_printed(shell: Shell, name: str) -> None:
    more = Shell(shell.folder, {"_VECTORMIGRATE_COMPLETE": f"source_{name}"})
    ended = more.run()
    assert ended.code == 0
    assert "_VECTORMIGRATE_COMPLETE=complete_" in ended.out


def test_completion_knows_the_commands(shell: Shell) -> None:
    more = Shell(
        shell.folder,
        {"_VECTORMIGRATE_COMPLETE": "complete_bash", "COMP_WORDS": "vectormigrate va", "COMP_CWORD": "1"},
    )
    assert "validate" in more.run().out
