"""Where a secret is kept, in the place of the secret: `env:NAME` (a variable) or `file:PATH` (a file, as orchestrators
mount one). Only these are stored."""

from __future__ import annotations

import os
from pathlib import Path

from vectormigrate.errors import ConfigError, Remedy

LONGEST = 65_536
"""Bytes of a file with a secret: another file was meant by one that is larger."""


def is_reference(text: str) -> bool:
    """Whether this may be stored and shown, unlike a secret."""
    return text.startswith(("env:", "file:"))


def resolved(reference: str, instead: Remedy | str) -> tuple[str, str]:
    """The secret, and the reference with an absolute path. Surrounding white space in a file does not count, as editors
    end files with a line feed. Raises ConfigError where there is none, with what to give `instead`."""
    kind, _, name = reference.partition(":")
    if kind == "env":
        if not os.environ.get(name):
            raise ConfigError(
                f"the environment variable {name!r}, which should hold the key, is not set; set it or pass {instead}"
            )
        return os.environ[name], reference
    path = Path(name).expanduser().absolute()
    try:
        with path.open("rb") as file:
            secret = file.read(LONGEST + 1).decode().strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"the file {str(path)!r}, which should hold the key, cannot be read: {why}") from error
    if not secret or len(secret) > LONGEST:
        what = "is too large for one" if secret else "is empty"
        raise ConfigError(f"the file {str(path)!r}, which should hold the key, {what}; pass {instead}")
    return secret, f"file:{path}"
