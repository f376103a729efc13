"""What databases hold, made fit to be read by a model: names, ids and reasons are somebody else's text.

Cut to a length, in all and each; whatever cannot be seen or changes how the rest is seen (line breaks, control
characters, writing direction, lone surrogates) is written as an escape. Folders of this machine are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vectormigrate.figures import counted
from vectormigrate.model.schema import Json

LONGEST = 500
"""Characters of a text that may be somebody else's."""

LONGEST_OWN = 2500
"""Characters of a text that is ours, and may quote others."""

MOST = 100_000
"""Characters of all texts of an answer; beyond that each keeps its beginning."""

BEGINNING = 40
MOST_ITEMS = 500

_OWN = frozenset({"next_step", "error", "message", "problem", "statement"})
_WITH_PLACES = _OWN | {"source", "target", "warnings", "errors", "detail", "location", "url", "id_salt"}

_FOLDERS = re.compile(r"(?<![\w/.])(?:/(?:[^/\s'\":]{1,100}/){1,40}|[A-Za-z]:\\(?:[^\\\s'\":]{1,100}\\){1,40})")


def visible(text: str, longest: int = LONGEST) -> str:
    """The beginning of a text, with escapes for what cannot be seen."""
    cut = text[:longest]
    if not cut.isprintable():
        cut = "".join(char if char.isprintable() else _escape(char) for char in cut)
    return cut if len(text) <= longest else f"{cut}… ({counted(len(text))} characters)"


def without_folders(text: str) -> str:
    """The text with the last part of each absolute path only."""
    return _FOLDERS.sub("…/", text)


def shown(value: Any, most: int = MOST) -> Any:
    """A copy of JSON that may be shown, the keys of objects included."""
    return _Showing(left=most).value(value, "")


def compact(value: Json) -> str:
    """JSON in one line, which costs a model a third less than an indented one."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _escape(char: str) -> str:
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    code = ord(char)
    return known.get(char) or (f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


@dataclass(slots=True)
class _Showing:
    left: int

    def value(self, value: Any, key: str) -> Any:
        """The copy of a value under this key."""
        if isinstance(value, str):
            return self.text(value, key)
        if isinstance(value, Mapping):
            found = {self.text(str(name), ""): self.value(item, str(name)) for name, item in _first(value.items())}
            return found if len(value) <= MOST_ITEMS else {**found, "…": f"({counted(len(value))} entries)"}
        if isinstance(value, list | tuple):
            items = [self.value(item, key) for item in _first(value)]
            return items if len(value) <= MOST_ITEMS else [*items, f"… ({counted(len(value))} entries)"]
        return value

    def text(self, text: str, key: str) -> str:
        longest = LONGEST_OWN if key in _OWN else LONGEST
        if key in _WITH_PLACES:
            text = without_folders(text[: 2 * longest]) if len(text) > longest else without_folders(text)
        made = visible(text, longest if self.left > 0 else BEGINNING)
        self.left -= len(made)
        return made


def _first(items: Any) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if len(found) == MOST_ITEMS:
            break
        found.append(item)
    return found
