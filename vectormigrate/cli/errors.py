"""Errors in one line, as text on stderr and with `--json` as a document on stdout; every exit code is decided here."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import typer

from vectormigrate.cli.detach import report_failure
from vectormigrate.cli.failure import INTERRUPTED, USAGE, Failure
from vectormigrate.cli.hints import hints
from vectormigrate.cli.remedies import in_commands
from vectormigrate.config.redaction import redact
from vectormigrate.errors import VectorMigrateError

DEBUG = "VECTORMIGRATE_DEBUG"

# typer keeps its own copy of click (or uses the real one, in older versions): the base is found from a public subclass.
USAGE_ERROR = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def leaf(error: BaseException) -> BaseException:
    """The most specific error of a group of errors: one of ours if there is one."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [leaf(inner) for inner in error.exceptions]
    return next((inner for inner in leaves if isinstance(inner, VectorMigrateError)), leaves[0])


def guarded(action: Callable[[], Any], *, as_json: bool) -> int:
    """Run a command; its exit code. Whatever it raises is shown in one line."""
    try:
        return _run(action, as_json)
    except BrokenPipeError:
        # The reader went away (`| head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(action: Callable[[], Any], as_json: bool) -> int:
    try:
        return int(action() or 0)
    except BrokenPipeError:
        raise
    except (KeyboardInterrupt, EOFError):
        return INTERRUPTED
    except BaseExceptionGroup as group:
        return _tell(leaf(group), as_json)
    except Exception as error:
        return _tell(error, as_json)


def _tell(error: BaseException, as_json: bool) -> int:
    """Print the error and give the exit code."""
    from vectormigrate.cli.render.console import clean

    if isinstance(error, KeyboardInterrupt | EOFError):
        return INTERRUPTED
    code, message, hints = _describe(error)
    if os.environ.get(DEBUG):
        text = "".join(traceback.format_exception(error, chain=True))
        sys.stderr.write(redact(text))
    failure = Failure(
        type="UsageError" if isinstance(error, USAGE_ERROR) else type(error).__name__,
        message=redact(clean(in_commands(message))),
        exit_code=code,
        hints=[redact(in_commands(hint)) for hint in hints],
    )
    report_failure(failure)
    return print_failure(failure, as_json)


def print_failure(failure: Failure, as_json: bool) -> int:
    """The error on the screen; gives its exit code."""
    from vectormigrate.cli.render.console import document, err, notice

    if as_json:
        document({"error": asdict(failure)})
    word = "interrupted" if failure.exit_code == INTERRUPTED else "error"
    err().print(f"{word}: {failure.message}", style="red", soft_wrap=True)
    for hint in failure.hints:
        notice(hint)
    return failure.exit_code


def _usage(error: BaseException) -> str:
    """What typer says about a wrong command line, on one line."""
    text = " ".join(str(getattr(error, "format_message", error.__str__)()).split())
    text = text.replace(": Value error, ", ": ").removesuffix(".")
    return text[:1].lower() + text[1:]


def _describe(error: BaseException) -> tuple[int, str, list[str]]:
    """Exit code, message, and the lines below it: the notes that the command added to the error."""
    notes: list[str] = list(getattr(error, "__notes__", ()))
    if isinstance(error, VectorMigrateError):
        return error.exit_code, str(error) or type(error).__name__, [*notes, *hints(error)]
    if isinstance(error, USAGE_ERROR):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "vectormigrate"
        return getattr(error, "exit_code", USAGE), _usage(error), [f"see: {command} --help"]
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename!r}" if error.filename else ""
        return 1, f"{error.strerror}{where}", notes
    hint = f"this is a defect of vectormigrate; run again with {DEBUG}=1 to see where it happened"
    return 1, f"unexpected {type(error).__name__}: {error}", [hint, *notes]
