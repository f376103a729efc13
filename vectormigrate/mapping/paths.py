"""Field paths as people and plans write them: `a.b` is key `b` in object `a`; `a\\.b` is the one key `a.b`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.model.batch import Metadata, Value

_SPLIT = re.compile(r"((?:[^\\.]|\\.)*)(?:\.|$)", re.DOTALL)


def parse_path(text: str) -> tuple[str, ...]:
    """The keys of a path. `parse_path(format_path(keys)) == keys` for one or more keys."""
    keys: list[str] = []
    start = 0
    while True:
        match = _SPLIT.match(text, start)
        if match is None:  # a lone backslash at the end stands for itself
            keys.append(_unescape(text[start:]))
            return tuple(keys)
        keys.append(_unescape(match[1]))
        start = match.end()
        if start == len(text) and not (match[0].endswith(".") and len(match[0]) > len(match[1])):
            return tuple(keys)


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\.])", r"\1", text)


def format_path(keys: Sequence[str]) -> str:
    """The path of these keys."""
    return ".".join(key.replace("\\", "\\\\").replace(".", "\\.") if "\\" in key or "." in key else key for key in keys)


class _Missing:
    pass


_MISSING = _Missing()


class Renamer:
    """Leaves fields out and renames them, as the operator asked. Never changes its input."""

    def __init__(self, renames: Mapping[str, str], excludes: Sequence[str]) -> None:
        self._excludes = [(f"excluded:{path}", parse_path(path)) for path in excludes]
        self._renames = [(old, parse_path(old), new, parse_path(new)) for old, new in renames.items()]

    def __bool__(self) -> bool:
        return bool(self._excludes or self._renames)

    def apply(self, metadata: Metadata, effects: set[str]) -> Metadata:
        """The metadata under its new names. An object whose last field moves out goes with it, and one that is needed
        is made, so that the opposite rename undoes both. Raises RecordRejected when a new name is taken here."""
        result = dict(metadata)
        for effect, path in self._excludes:
            if not isinstance(_pop(result, path, prune=False), _Missing):
                effects.add(effect)
        moved = [(item, _pop(result, item[1], prune=True)) for item in self._renames]
        for (old, _, new, path), value in moved:
            if isinstance(value, _Missing):
                continue
            if _has_empty_object(metadata, path) or not _put(result, path, value):
                raise RecordRejected("rename", f"{old!r} cannot become {new!r}: the record holds that field already")
        return result


def _pop(holder: Metadata, path: Sequence[str], *, prune: bool) -> Value | _Missing:
    """Take a value out; objects on the way are copied, because they belong to the caller's record."""
    if len(path) == 1:
        return holder.pop(path[0], _MISSING)
    inner = holder.get(path[0])
    if not isinstance(inner, dict):
        return _MISSING
    inner = dict(inner)
    value = _pop(inner, path[1:], prune=prune)
    if isinstance(value, _Missing):
        return _MISSING
    if inner or not prune:
        holder[path[0]] = inner
    else:
        del holder[path[0]]
    return value


def _has_empty_object(metadata: Metadata, path: Sequence[str]) -> bool:
    """Whether an object around the new place was empty from the start: the opposite rename would remove it."""
    holder: Value | _Missing = metadata
    for key in path[:-1]:
        holder = holder.get(key, _MISSING) if isinstance(holder, dict) else _MISSING
        if holder == {}:
            return True
    return False


def _put(metadata: Metadata, path: Sequence[str], value: Value) -> bool:
    holder = metadata
    for key in path[:-1]:
        inner = holder.get(key, _MISSING)
        if isinstance(inner, _Missing):
            inner = {}
        if not isinstance(inner, dict):
            return False
        holder[key] = inner = dict(inner)
        holder = inner
    if path[-1] in holder:
        return False
    holder[path[-1]] = value
    return True
