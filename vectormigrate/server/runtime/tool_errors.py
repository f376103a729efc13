"""Errors as an agent reads them: one line with what to do next, in the words of the tools, without a secret."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError

from vectormigrate.config.redaction import scrub
from vectormigrate.config.settings import plain_problems
from vectormigrate.errors import VectorMigrateError
from vectormigrate.server.runtime.remedies import in_tool_words
from vectormigrate.server.runtime.untrusted import visible, without_folders

LONGEST = 2000
"""Characters of an error text; a server's answer may be endless."""


def one_error(error: BaseException) -> BaseException:
    """The most specific error of a group of errors: one of ours if there is one."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [one_error(inner) for inner in error.exceptions]
    return next((inner for inner in leaves if isinstance(inner, VectorMigrateError)), leaves[0])


def error_text(error: BaseException) -> str:
    """The text of an error that was expected."""
    notes: Iterable[str] = getattr(error, "__notes__", ())
    whole = "; ".join([str(error) or type(error).__name__, *notes])
    return visible(without_folders(scrub(in_tool_words(whole[: 4 * LONGEST]))), LONGEST)


def arguments_text(error: ValidationError) -> str:
    """What is wrong with arguments, without their values: they may hold what should not be repeated."""
    return error_text(ValueError(plain_problems(error)))


@contextmanager
def as_tool_errors() -> Generator[None]:
    """Inside, an expected failure becomes a ToolError, whose text the model sees. Anything else is a defect and stays
    what it is: the SDK logs it and the model sees nothing."""
    try:
        yield
    except (VectorMigrateError, OSError) as error:
        raise ToolError(error_text(error)) from error
    except BaseExceptionGroup as group:
        error = one_error(group)
        if isinstance(error, VectorMigrateError | OSError):
            raise ToolError(error_text(error)) from group
        raise
