"""Runs that are watched, stopped, killed and detached, as processes with signals."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.collections import count, ends, seed, wait_for
from tests.cli.process import TIMEOUT, Ended, Shell

RECORDS = 3000
CANARY = "canary-51c0ffee-key"
# A page holds 1,000 records and a run stops between pages: at this rate each page takes two seconds.
SLOWLY = ["--rate-limit", "500", "--batch-size", "100"]
# For runs that are ended from outside: none comes to its end by itself before that, however busy the machine is.
CRAWLING = ["--rate-limit", "20", "--batch-size", "100"]


@pytest.fixture
def source(shell: Shell) -> Shell:
    seed(shell.folder / "source", "docs", RECORDS)
    return shell


@contextmanager
def running(shell: Shell, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """The command, killed at the end if it still runs."""
    process = shell.start(*arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> Ended:
    out, err = process.communicate(timeout=TIMEOUT)
    return Ended(process.returncode, out, err)


def assert_resumable(shell: Shell) -> None:
    """Resume goes on to the end and everything is there."""
    assert shell.run("resume", "docs", "--rate-limit", "1000000", "--batch-size", "1000").code == 0
    assert shell.run("validate", "docs", "--full", "--queries", "0").code == 0
    assert count(shell.folder / "target") == RECORDS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_after_the_batch_in_flight_and_prints_the_command_to_go_on(
    source: Shell, number: signal.Signals
) -> None:
    state = str(source.folder / "other.db")
    with running(source, "migrate", "docs", *ends(), *CRAWLING, "--state", state) as process:
        wait_for(Shell(source.folder, {"VECTORMIGRATE_STATE": state}), "docs", phase="copying")
        process.send_signal(number)
        ended = end(process)
    assert ended.code == 130
    assert "stopping after the batch in flight" in ended.err
    assert f"vectormigrate resume docs --state {state}" in ended.err
    other = Shell(source.folder, {"VECTORMIGRATE_STATE": state})
    assert other.run("status", "docs", "--json").document["status"] == "stopped"
    assert_resumable(other)


def test_a_second_signal_leaves_at_once_and_loses_nothing(source: Shell) -> None:
    # One page would take minutes: only the second signal can end this in time.
    with running(source, "migrate", "docs", *ends(), "--rate-limit", "5", "--batch-size", "1") as process:
        wait_for(source, "docs", phase="copying")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert any("once more to leave at once" in line for line in iter(process.stderr.readline, ""))
        process.send_signal(signal.SIGINT)
        ended = end(process)
    assert (ended.code, ended.err) == (130, "")
    assert_resumable(source)


def test_a_signal_with_json_still_gives_one_document(source: Shell) -> None:
    with running(source, "migrate", "docs", *ends(), *CRAWLING, "--json") as process:
        wait_for(source, "docs", phase="copying")
        process.send_signal(signal.SIGINT)
        ended = end(process)
    assert ended.code == 130
    assert ended.document["error"]["type"] == "Interrupted"
    assert any("vectormigrate resume docs" in hint for hint in ended.document["error"]["hints"])


def test_stop_from_another_terminal_ends_both_commands_with_0(source: Shell) -> None:
    with running(source, "migrate", "docs", *ends(), *CRAWLING) as process:
        wait_for(source, "docs", phase="copying")
        stopped = source.run("stop", "docs")
        ended = end(process)
    assert (stopped.code, ended.code) == (0, 0)
    assert "docs is stopped" in stopped.out
    assert "vectormigrate resume docs" in stopped.out
    assert "stopped" in ended.out
    assert_resumable(source)


def test_a_killed_run_is_shown_as_dead_and_goes_on_with_resume(source: Shell) -> None:
    with running(source, "migrate", "docs", *ends(), *CRAWLING) as process:
        wait_for(source, "docs", phase="copying")
        process.kill()
        process.communicate()
    text = source.run("status", "docs")
    assert text.code == 0
    assert "its process died" in text.out
    assert "vectormigrate resume docs" in text.out
    assert_resumable(source)


def test_watch_without_a_terminal_waits_for_the_end_and_prints_one_document(source: Shell) -> None:
    with running(source, "migrate", "docs", *ends(), *SLOWLY) as process:
        wait_for(source, "docs", phase="copying")
        watched = source.run("status", "docs", "--watch", "--json")
        assert end(process).code == 0
    assert watched.document["status"] == "completed"


def test_a_second_run_of_the_same_migration_is_refused(source: Shell) -> None:
    with running(source, "migrate", "docs", *ends(), *CRAWLING):
        wait_for(source, "docs", phase="copying")
        codes = [source.run("migrate", "docs", *ends()).code, source.run("resume", "docs").code]
    assert codes == [75, 4]


def test_a_detached_run_outlives_its_shell_and_can_be_followed(source: Shell) -> None:
    keys = ("--source-api-key", CANARY, f"--target-api-key={CANARY}")
    ended = source.run("migrate", "docs", *ends(), *keys, *SLOWLY, "--detach", "--json")
    assert (ended.code, ended.err) == (0, "")
    document = ended.document
    assert CANARY not in Path(f"/proc/{document['pid']}/cmdline").read_text()
    status = source.run("status", "docs", "--watch", "--json").document
    assert status["status"] == "completed"
    log = Path(document["log"])
    assert log.parent == source.folder
    assert log.stat().st_mode & 0o077 == 0
    assert "copying" in log.read_text()
    assert "\x1b" not in log.read_text()
    assert_nowhere(source.folder, CANARY)


def test_a_detached_run_that_fails_early_says_so_as_if_it_were_not_detached(source: Shell) -> None:
    arguments = ("migrate", "docs", *ends(index="nothing"))
    plain, detached = source.run(*arguments), source.run(*arguments, "--detach")
    assert plain.code == detached.code == 4
    assert "nothing" in plain.err
    assert detached.err == plain.err
    assert detached.out == ""
    assert source.run(*arguments, "--detach", "--json").document == source.run(*arguments, "--json").document


def test_run_options_given_to_resume_change_only_themselves(source: Shell) -> None:
    with running(source, "migrate", "docs", *ends(), *CRAWLING) as process:
        wait_for(source, "docs", phase="copying")
        source.run("stop", "docs")
        end(process)
    before = source.run("status", "docs", "--json").document
    assert source.run("resume", "docs", "--rate-limit", "100000").code == 0
    after = source.run("status", "docs", "--json").document
    rest = RECORDS - before["migrated_records"]
    # Still batches of 100, as first asked for; the default would be the same only by chance.
    assert after["batches"] - before["batches"] == rest // 100


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, RECORDS), ("", 1, RECORDS), ("y", 0, None)])
def test_a_rollback_on_a_terminal_says_what_goes_and_asks(
    source: Shell, answer: str, code: int, left: int | None
) -> None:
    assert source.run("migrate", "docs", *ends()).code == 0
    screen, ours = pty.openpty()
    with subprocess.Popen(
        source.command("rollback", "docs"),
        stdin=ours,
        stdout=subprocess.PIPE,
        stderr=ours,
        env=source.environment,
        cwd=source.folder,
    ) as process:
        os.close(ours)
        seen = read_until(screen, b"Go on?")
        os.write(screen, answer.encode() + b"\n")
        process.communicate(timeout=TIMEOUT)
    os.close(screen)
    assert b"3,000 records" in seen
    assert process.returncode == code
    if left is None:
        assert not (source.folder / "target" / "docs").exists()
    else:
        assert count(source.folder / "target") == left


def test_bars_are_drawn_on_a_terminal_and_stdout_stays_clean(source: Shell) -> None:
    screen, ours = pty.openpty()
    with subprocess.Popen(
        source.command("migrate", "docs", *ends()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=ours,
        env={**source.environment, "TERM": "xterm-256color", "COLUMNS": "100"},
        cwd=source.folder,
        text=True,
    ) as process:
        os.close(ours)
        seen = rest_of(screen)
        out, _ = process.communicate(timeout=TIMEOUT)
    os.close(screen)
    assert process.returncode == 0
    for words in (b"reading for the plan", b"copying", b"3,000/3,000"):
        assert words in seen
    assert "\x1b" not in out
    assert "completed" in out


def read_until(screen: int, words: bytes) -> bytes:
    """What a person sees until these words are there, or until the program has gone."""
    seen = b""
    while words not in seen:
        try:
            seen += os.read(screen, 4096)
        except OSError:
            break
    assert words in seen, seen
    return seen


def rest_of(screen: int) -> bytes:
    """What a person sees until the program closes the terminal."""
    seen = b""
    try:
        while chunk := os.read(screen, 4096):
            seen += chunk
    except OSError:  # how Linux says that nobody holds the other side any more
        pass
    return seen


def assert_nowhere(folder: Path, secret: str) -> None:
    """No file of ours holds it."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).parts[0] not in ("source", "target"):
            assert secret.encode() not in path.read_bytes(), path
