"""What must never be shown: the credentials that this process has seen, and texts and fields that hold one.

Used by error texts, logs and the audit log. Known values are replaced wherever they occur; unknown ones are recognised
by the name of their field or by the user-info of a URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from vectormigrate.figures import counted

MASK = "***"

_secrets: set[str] = set()

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|credential|authorization|cookie|private|(api|access|auth|signing)[_-]?key|^key$"
    r"|^dsn$|bearer",
    re.IGNORECASE,
)
# The scheme is bounded: callers write some of these texts, and a search from every letter of a long one to its end
# takes hours.
_URL = re.compile(r"\b([a-z][a-z0-9+.-]{0,30}://)([^/\s@]*@)?([^\s?#\"']*)(\?[^\s\"']*)?(#[^\s\"']*)?", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)


def keep_secret(secret: str | None) -> None:
    """From now on no error text, log line or audit entry shows this value, even if a server repeats it."""
    if secret:
        _secrets.update((secret, quote(secret, safe="")))


def redact(text: str) -> str:
    """The text without any known secret."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def scrub(text: str) -> str:
    """The text without known secrets, without user-info, query and fragment of URLs, and without bearer tokens."""
    return _BEARER.sub(rf"\1 {MASK}", _URL.sub(_bare_url, redact(text)))


def clipped(text: str, longest: int) -> str:
    """The beginning of `scrub`bed text. Callers write it, so no more is looked at than may be shown."""
    return scrub(text[: 4 * longest])[:longest]


def _bare_url(match: re.Match[str]) -> str:
    return f"{match[1]}{match[3]}"


def names_a_secret(name: str) -> bool:
    """Whether a field of this name holds a credential."""
    return _SECRET_NAME.search(name) is not None


def masked(
    value: Any,
    *,
    secret: Callable[[str], bool] = lambda _: False,
    hide: Callable[[str], str] = lambda text: text,
    depth: int = 5,
    longest: int = 256,
    most: int = 16,
) -> Any:
    """A copy that may be written down: fields named like credentials, texts that `secret` recognises, and what `hide`
    finds within texts are replaced; texts are cut at `longest` characters, lists and objects at `most` items, nesting
    at `depth`."""

    def inner(value: Any, depth: int) -> Any:
        if isinstance(value, str):
            text = MASK if secret(value) else clipped(hide(value[: 4 * longest]), longest)
            return text if len(value) <= longest else f"{text}… ({counted(len(value))} characters)"
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return fields(value, depth)
        if isinstance(value, Sequence):
            if depth == 0 or len(value) > most:
                return f"({len(value)} items)"
            return [inner(item, depth - 1) for item in value]
        return f"({type(value).__name__})"

    def fields(value: Mapping[Any, Any], depth: int) -> Any:
        if depth == 0:
            return f"({counted(len(value))} fields)"
        shown: dict[str, Any] = {}
        for key, item in list(value.items())[:most]:
            name = clipped(hide(str(key)[: 4 * longest]), longest)
            shown[name] = MASK if names_a_secret(str(key)[:longest]) else inner(item, depth - 1)
        return shown if len(value) <= most else {**shown, "…": f"({counted(len(value))} fields)"}

    return inner(value, depth)
