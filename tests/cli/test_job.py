"""`migrate` as a step of a job: the same command can be given again and again, waits for another one, and compares."""

from __future__ import annotations

import signal

import pytest

from tests.cli.collections import count, ends, lose, seed, wait_for
from tests.cli.process import Shell
from tests.cli.test_running import CRAWLING, end, running

RECORDS = 300


@pytest.fixture
def source(shell: Shell) -> Shell:
    seed(shell.folder / "source", "docs", RECORDS)
    return shell


def test_the_same_command_again_finds_the_migration_completed_and_copies_nothing(source: Shell) -> None:
    assert source.run("migrate", "docs", *ends()).code == 0
    before = source.run("status", "docs", "--json").document
    again = source.run("migrate", "docs", *ends())
    assert again.code == 0
    assert "it is completed already; nothing is copied" in again.err
    assert "completed" in again.out
    assert source.run("migrate", "docs", *ends(), "--json").document["status"] == "completed"
    assert source.run("status", "docs", "--json").document == before


def test_a_changed_command_is_refused_with_what_differs_whatever_became_of_the_migration(source: Shell) -> None:
    assert source.run("migrate", "docs", *ends()).code == 0
    changed = source.run("migrate", "docs", *ends(), "--exclude", "title")
    assert changed.code == 2
    assert "exists with another excludes" in changed.err
    assert source.run("rollback", "docs", "--force").code == 0
    gone = source.run("migrate", "docs", *ends())
    assert gone.code == 4
    assert "is rolled back; start again under another id" in gone.err


def test_of_two_commands_at_once_one_copies_and_the_other_waits_for_it(source: Shell) -> None:
    command = ("migrate", "docs", *ends(), "--wait", "250", "--rate-limit", "200", "--batch-size", "50")
    with running(source, *command) as one, running(source, *command) as other:
        assert [end(one).code, end(other).code] == [0, 0]
    assert count(source.folder / "target") == RECORDS


def test_a_command_that_waited_takes_up_what_the_other_process_left(source: Shell) -> None:
    with running(source, "migrate", "docs", *ends(), *CRAWLING) as process:
        wait_for(source, "docs", phase="copying")
        late = source.run("migrate", "docs", *ends(), "--wait", "0.2")
        assert late.code == 75
        assert "is being run by another process" in late.err
        with running(source, "migrate", "docs", *ends(), "--wait", "200") as waiting:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert end(waiting).code == 0
    assert count(source.folder / "target") == RECORDS


@pytest.mark.parametrize(
    ("what", "compared"),
    [("full", "every record in both directions"), ("100", "100 of 300"), ("sample", "300 of 300")],
)
def test_copy_and_proof_are_one_command(source: Shell, what: str, compared: str) -> None:
    ended = source.run("migrate", "docs", *ends(), "--then-validate", what)
    assert ended.code == 0
    assert compared in " ".join(ended.out.split())
    document = source.run("migrate", "docs", *ends(), "--then-validate", what, "--json").document
    assert (document["status"], document["validation"]["passed"]) == ("completed", True)


def test_sides_that_differ_end_the_command_with_3(source: Shell) -> None:
    assert source.run("migrate", "docs", *ends()).code == 0
    lose(source.folder / "target", 5)
    ended = source.run("migrate", "docs", *ends(), "--then-validate", "full")
    assert ended.code == 3
    assert "vectormigrate validate docs" in ended.out


@pytest.mark.parametrize("what", ["all", "0", "-1", ""])
def test_a_comparison_of_another_kind_is_refused_before_anything_is_read(shell: Shell, what: str) -> None:
    refused = shell.run("migrate", "docs", *ends("nowhere"), f"--then-validate={what}")
    assert refused.code == 2
    assert "--then-validate is 'sample', 'full' or a number of records" in refused.err
