"""Errors as an agent reads them: one line with what to do next, in the words of the tools, without a secret."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import ValidationError

from vectormigrate.config.redaction import scrub
from vectormigrate.config.settings import plain_problems
from vectormigrate.errors import VectorMigrateError
from vectormigrate.server.runtime.untrusted import visible, without_folders

LONGEST = 2000
"""Characters of an error text; a server's answer may be endless."""

_ID = r"(?P<id>[A-Za-z0-9._-]+)"
# The flags in their earlier spellings too: state files keep error texts of earlier versions.
_WORDS: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(rf"vectormigrate resume {_ID}"), r"resume_migration(migration_id='\g<id>')"),
    (re.compile(rf"vectormigrate status {_ID} --rejects \d+"), r"list_rejects(migration_id='\g<id>')"),
    (re.compile(rf"vectormigrate status {_ID}"), r"migration_status(migration_id='\g<id>')"),
    (re.compile(rf"vectormigrate stop {_ID}"), r"stop_migration(migration_id='\g<id>')"),
    (
        re.compile(rf"vectormigrate validate {_ID} --full --repair"),
        r"validate_migration(migration_id='\g<id>', full=true)",
    ),
    (re.compile(rf"vectormigrate validate {_ID}(?P<full> --full)?"), r"validate_migration(migration_id='\g<id>')"),
    (re.compile(rf"vectormigrate rollback {_ID}"), r"rollback_migration(migration_id='\g<id>')"),
    (re.compile(r"vectormigrate list\b"), "list_migrations"),
    (re.compile(r"vectormigrate migrate\b"), "plan_migration"),
    (re.compile(r"(?:--accept-loss [\w.:-]+ ?)+"), ""),
    (re.compile(r"--into-existing\b"), "into_existing=true"),
    (re.compile(r"--overwrite\b"), "overwrite=true"),
    (re.compile(r"--max-rejects (\d+)"), r"max_rejects=\1"),
    (re.compile(r"--max-rejects\b"), "max_rejects"),
    (re.compile(r"--retry-rejects\b"), "retry_rejects=true"),
    (re.compile(r"--(source|target)-(?:collection|index)\b"), r"\1_collection"),
    (re.compile(r"--(source|target)\b(?!-)"), r"\1"),
    (re.compile(r"--min-similarity\b"), "min_similarity"),
    (re.compile(r"--vector\b"), "vectors"),
    (re.compile(r"--exclude\b"), "excludes"),
    (re.compile(r"--(?:rename|map)\b"), "renames"),
    (re.compile(r"--(?:no-sidecar|plain)\b"), "plain=true"),
    (re.compile(r"--fresh\b"), "fresh=true"),
]
_LOSSES = re.compile(r"--accept-loss ([\w.:-]+)")


def in_tool_words(text: str) -> str:
    """Commands and flags of the command line replaced by the tools and arguments that do the same."""
    losses = _LOSSES.findall(text)
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    if losses:
        listed = ", ".join(f'"{name}"' for name in losses)
        text = f"{text.rstrip()} accept_losses=[{listed}], if the user agrees to it"
    return text


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
