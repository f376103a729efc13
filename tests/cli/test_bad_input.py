"""Each mistake gets one clear line, the right exit code, and nothing written."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.cli.collections import ends, seed
from tests.cli.process import Ended, Shell

CANARY = "canary-0badc0de-key"
ENGINE = "qdrant_edge"


@pytest.fixture
def source(shell: Shell) -> Shell:
    seed(shell.folder / "source", "docs", 20)
    return shell


def refused(ended: Ended, code: int, *words: str) -> None:
    """One line with these words on stderr, perhaps a few lines of what to do, nothing on stdout, no traceback."""
    assert ended.code == code, ended.err
    assert ended.out == ""
    first, *rest = ended.err.splitlines()
    assert first.startswith("error: ")
    assert len(rest) <= 3, ended.err
    for word in words:
        assert word in first, first
    assert "Traceback" not in ended.err


def untouched(shell: Shell) -> None:
    """No target, no migration."""
    assert not (shell.folder / "target").exists()
    assert shell.run("list", "--json").document == {"migrations": []}


USAGE: list[tuple[list[str], list[str]]] = [
    (["nosuch"], ["nosuch"]),
    (["migrate"], ["'ID'"]),
    (["migrate", "a b"], ["'a b'", "characters"]),
    (["migrate", "x" * 65], ["1 to 64"]),
    (["migrate", ""], ["1 to 64"]),
    (["status", "../x"], ["'../x'"]),
    (["migrate", "m", "--nosuch"], ["--nosuch"]),
    (["migrate", "m", "--rename", "title"], ["--rename", "'title'", "old=new"]),
    (["migrate", "m", "--rename", "=new"], ["old=new"]),
    (["migrate", "m", "--source-option", "x"], ["--source-option"]),
    (["migrate", "m", "--batch-size", "0"], ["--batch-size"]),
    (["migrate", "m", "--batch-size", "many"], ["--batch-size"]),
    (["migrate", "m", "--rate-limit", "0"], ["--rate-limit"]),
    (["migrate", "m", "--min-similarity", "1.5"], ["--min-similarity"]),
    (["validate", "m", "--full", "--sample-size", "5"], ["--full", "--sample-size"]),
    (["validate", "m", "--report", "no/such/folder/r.html"], ["no/such/folder/r.html"]),
    (["list", "--status", "nosuch"], ["--status", "'nosuch'", "'completed'"]),
    (["schema", "recommend"], ["--target-type"]),
    (["schema", "recommend", "--target-type", ENGINE], ["--source-type"]),
    (
        ["schema", "recommend", "--source-type", ENGINE, "--target-type", "nosuch"],
        ["'nosuch'", "known types", "milvus"],
    ),
    (["schema", "recommend", "--target-type", ENGINE, "--source-type", ENGINE, "--field", "x"], ["NAME=TYPE"]),
    (["schema", "recommend", "--target-type", ENGINE, "--source-type", ENGINE, "--field", "x=y"], ["'y'", "keyword"]),
    (["schema", "table", "nosuch"], ["'nosuch'", "known types"]),
    (["schema", "describe"], ["--type"]),
    (["schema", "describe", "--type", ENGINE], ["--collection"]),
    (["migrate", "m"], ["--source", "--source-type"]),
    (["migrate", "m", "--source-type", ENGINE, "--source-url", "x"], ["--source-collection"]),
    (["migrate", "m", "--source-type", ENGINE, "--source-collection", "x"], ["--target", "--target-type"]),
    (["migrate", "m", "--source", "prod"], ["no connection 'prod'"]),
    (["migrate", "m", *ends(), "--source", "prod"], ["--source or --source-type"]),
    (["migrate", "m", *ends(), "--source-api-key", "env:NO_SUCH"], ["'NO_SUCH'", "not set", "--source-api-key"]),
    (["migrate", "m", *ends(), "--config", "missing.toml"], ["missing.toml"]),
]


@pytest.mark.parametrize(("arguments", "words"), USAGE, ids=[" ".join(case[0])[:60] for case in USAGE])
def test_a_wrong_command_line_ends_with_2_and_one_line(shell: Shell, arguments: list[str], words: list[str]) -> None:
    refused(shell.run(*arguments), 2, *words)
    assert list(shell.folder.iterdir()) == []


@pytest.mark.parametrize("verb", ["status", "stop", "resume", "validate", "rollback"])
def test_an_unknown_migration_ends_with_4(shell: Shell, verb: str) -> None:
    refused(
        shell.run(verb, "nosuch", *(["--force"] if verb == "rollback" else [])), 4, "'nosuch'", "vectormigrate list"
    )


def test_an_unknown_type_is_refused_with_the_known_ones(source: Shell) -> None:
    arguments = ("--source-type", "nosuch", "--source-url", "x", "--source-collection", "docs", *ends()[6:])
    refused(source.run("migrate", "m", *arguments), 2, "'nosuch'", ENGINE, "milvus")
    untouched(source)


def test_a_missing_collection_ends_with_4(source: Shell) -> None:
    refused(source.run("migrate", "m", *ends(index="nothing")), 4, "'nothing'")
    untouched(source)


def test_source_and_target_may_not_be_the_same(source: Shell) -> None:
    same = ends(target="./source/../source")
    refused(source.run("migrate", "m", *same), 2, "source and target are the same collection")


def test_a_target_that_holds_records_is_refused(source: Shell) -> None:
    seed(source.folder / "target", "docs", 3)
    refused(source.run("migrate", "m", *ends()), 2, "holds 3 records", "--into-existing")


def test_an_existing_target_of_another_shape_is_refused(source: Shell) -> None:
    seed(source.folder / "target", "docs", 3, dim=5, first=1000)
    refused(source.run("migrate", "m", *ends(), "--into-existing"), 2, "dim")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--accept-loss", "nosuch"], ["--accept-loss", "'nosuch'"]),
        (["--namespace", "nosuch"], ["namespace 'nosuch'"]),
        (["--exclude", "nosuch"], ["--exclude", "'nosuch'", "title"]),
        (["--vector", "nosuch"], ["--vector", "'nosuch'"]),
        (["--rename", "nosuch=x"], ["--rename", "'nosuch'", "title"]),
        (["--source-option", "nosuch=1"], ["nosuch"]),
    ],
)
def test_a_name_that_the_plan_does_not_know_is_refused(source: Shell, flags: list[str], words: list[str]) -> None:
    refused(source.run("migrate", "m", *ends(), *flags), 2, *words)
    untouched(source)


def test_a_missing_package_is_named_with_its_extra(source: Shell) -> None:
    # A module that is None in sys.modules cannot be imported: the package might as well not be installed.
    hidden = source.folder / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys\nsys.modules['qdrant_edge'] = None\n")
    without = Shell(source.folder, {"PYTHONPATH": f"{hidden}:{Path(__file__).parents[2]}"})
    refused(without.run("migrate", "m", *ends()), 2, "vectormigrate[qdrant-edge]")
    untouched(source)


def test_a_damaged_state_file_ends_with_1_and_is_left_alone(source: Shell) -> None:
    state = source.folder / "state.db"
    state.write_bytes(b"this is not a database, whatever it is" * 50)
    for arguments in (["list"], ["status", "m"], ["migrate", "m", *ends()]):
        refused(source.run(*arguments), 1, "state.db", "damaged")
    assert state.read_bytes().startswith(b"this is not")
    assert not (source.folder / "target").exists()


def test_a_newer_state_file_ends_with_1(source: Shell) -> None:
    assert source.run("migrate", "m", *ends()).code == 0
    with sqlite3.connect(source.folder / "state.db") as database:
        database.execute("PRAGMA user_version = 9999")
    database.close()
    refused(source.run("status", "m"), 1, "newer")


def test_a_state_file_that_cannot_be_made_ends_with_1(source: Shell) -> None:
    (source.folder / "file").write_text("")
    refused(source.run("migrate", "m", *ends(), "--state", "file/state.db"), 1, "file/state.db")
    untouched(source)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[connections.prod]\ntype = milvus\n", ["vectormigrate.toml:2", "not valid TOML"]),
        ('[connections.prod]\ntype = "x"\n\nuri = "y"\n', ["vectormigrate.toml:4", "'uri'", "known keys"]),
        ('[connections.prod]\ntype = "x"\napi_key = "${NO_SUCH}"\n', ["vectormigrate.toml:3", "NO_SUCH", "'prod'"]),
    ],
)
def test_a_wrong_connections_file_is_reported_with_its_line(shell: Shell, text: str, words: list[str]) -> None:
    (shell.folder / "vectormigrate.toml").write_text(text)
    arguments = ("--source", "prod", "--source-collection", "docs", *ends()[6:])
    refused(shell.run("migrate", "m", *arguments), 2, *words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{broken", ["not valid JSON", "line 1"]),
        ('{"a": 1}', ['{"field": "type"}']),
        ("missing.json", ["missing.json"]),
    ],
)
def test_a_wrong_list_of_fields_is_refused(shell: Shell, given: str, words: list[str]) -> None:
    arguments = ("--source-type", ENGINE, "--target-type", ENGINE, "--source-schema", given)
    refused(shell.run("schema", "recommend", *arguments), 2, *words)


def test_with_json_an_error_is_a_document_too_and_the_code_is_the_same(shell: Shell) -> None:
    ended = shell.run("status", "nosuch", "--json")
    assert ended.code == 4
    error = ended.document["error"]
    assert (error["type"], error["exit_code"]) == ("MigrationNotFound", 4)
    assert error["message"] in ended.err
    usage = shell.run("status", "--json")
    assert (usage.code, usage.document["error"]["type"]) == (2, "UsageError")


def test_a_traceback_is_shown_only_when_asked_for_and_never_with_values(shell: Shell) -> None:
    arguments = ("status", "nosuch", "--json")
    assert "Traceback" not in shell.run(*arguments).err
    debug = Shell(shell.folder, {"VECTORMIGRATE_DEBUG": "1"})
    text = debug.run("migrate", "m", *ends(index="nothing"), "--source-api-key", CANARY).err
    assert "Traceback" in text
    assert CANARY not in text


@pytest.mark.parametrize("arguments", [["list", "--json"], ["status", "nosuch", "--json"], ["list"]])
def test_a_reader_that_goes_away_is_no_defect(shell: Shell, arguments: list[str]) -> None:
    with subprocess.Popen(
        shell.command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=shell.environment
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
    assert err == b""
    assert process.returncode == 1


# -- secrets


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_key_is_shown_nowhere(source: Shell, as_json: list[str]) -> None:
    keys = ("--source-api-key", CANARY, "--target-api-key", CANARY)
    debug = Shell(source.folder, {"VECTORMIGRATE_DEBUG": "1", "OTHER": CANARY})
    commands = [
        ["migrate", "m", *ends(), *keys, "--dry-run"],
        ["migrate", "m", *ends(index="nothing"), *keys],
        ["migrate", "m", *ends(), *keys],
        ["status", "m"],
        ["resume", "m", *keys],
        ["validate", "m", "--queries", "0", *keys],
        ["rollback", "m", "--force", "--target-api-key", CANARY],
        ["migrate", "m", "--source-type", "nosuch", "--source-collection", "x", *keys, *ends()[6:]],
        ["migrate", "m", *ends()[:6], "--target-type", ENGINE, "--target-url", f"http://u:{CANARY}@h", *keys],
    ]
    for command in commands:
        ended = debug.run(*command, *as_json)
        assert CANARY not in ended.out + ended.err, command
    for path in source.folder.glob("state.db*"):
        assert CANARY.encode() not in path.read_bytes()


def test_a_key_that_was_typed_must_be_typed_again(source: Shell) -> None:
    source.run("migrate", "m", *ends(), "--source-api-key", CANARY)
    refused(source.run("validate", "m"), 2, "--source-api-key", "VECTORMIGRATE_SOURCE_API_KEY")
    assert source.run("validate", "m", "--queries", "0", "--source-api-key", CANARY).code == 0
    more = Shell(source.folder, {"VECTORMIGRATE_SOURCE_API_KEY": CANARY})
    assert more.run("validate", "m", "--queries", "0").code == 0


def test_a_stored_plan_names_a_connection_and_not_what_it_holds(source: Shell) -> None:
    (source.folder / "vectormigrate.toml").write_text(
        f'[connections.here]\ntype = "{ENGINE}"\nurl = "source"\napi_key = "${{K}}"\ncollection = "docs"\n'
    )
    shell = Shell(source.folder, {"K": CANARY})
    ended = shell.run("migrate", "m", "--source", "here", *ends()[6:], "--dry-run", "--json")
    assert ended.document["spec"]["source"]["connection"] == "here"
    assert ended.document["spec"]["source"]["api_key_ref"] is None
    assert CANARY not in json.dumps(ended.document)
