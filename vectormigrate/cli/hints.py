"""The way out of an error: what to look at or to type next, below the error's own line."""

from __future__ import annotations

import shlex

from vectormigrate.config.references import is_reference
from vectormigrate.errors import (
    AdapterError,
    AuthFailed,
    CollectionNotFound,
    End,
    LossNotAccepted,
    NoConnectionsFile,
    QuotaExceeded,
    RateLimited,
    near,
)


def hints(error: BaseException) -> list[str]:
    """Lines for people; every error of a database has one."""
    if isinstance(error, LossNotAccepted):
        return ["see: every loss with --dry-run instead of running"]
    if isinstance(error, NoConnectionsFile):
        return ["make one with: vectormigrate init"]
    if not isinstance(error, AdapterError):
        return []
    end = error.end
    if end is None:
        return ["see: vectormigrate doctor"]
    where = [f"{end.connection!r} is {end.type} at {end.place!r}"] if end.connection else []
    return [*where, *_specific(error, end)]


def _specific(error: AdapterError, end: End) -> list[str]:
    if isinstance(error, CollectionNotFound):
        meant = near(end.collection, end.held)
        guess = [f"did you mean {meant[0]!r}?"] if meant else []
        return [*guess, f"see: {_command('collections', end)}"]
    if isinstance(error, AuthFailed):
        flag = f"--{end.side}-api-key" if end.side else "--api-key"
        origin = flag if end.key == "given" else end.key
        came = f"the key came from {origin}" if origin else f"no key was given; give one with {flag} env:NAME"
        return [came, f"see: {_command('doctor', end)}"]
    if isinstance(error, RateLimited):
        return ["ask for less with --rate-limit or --concurrency, then: vectormigrate resume ID"]
    if isinstance(error, QuotaExceeded):
        return ["make room on the server, then: vectormigrate resume ID"]
    return [f"see: {_command('doctor', end)}"]


def _command(verb: str, end: End) -> str:
    """The command that looks at this end; a key is named as it was given, and never shown."""
    if end.connection:
        return shlex.join(["vectormigrate", verb, end.connection])
    words = ["vectormigrate", verb, "--type", end.type, "--url", end.place]
    return shlex.join([*words, "--api-key", end.key if is_reference(end.key) else "KEY"] if end.key else words)
