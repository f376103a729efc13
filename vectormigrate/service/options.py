"""The settings of a database as its configuration declares them, with the meaning that its docstring gives."""

from __future__ import annotations

import re
import types
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from vectormigrate import registry
from vectormigrate.model.answers import OptionLine

PLACE = ("url", "api_key", "collection")
"""Settings that have flags and keys of their own."""

_NAMES = re.compile(r"((?:`\w+`(?:, (?:and )?| and )?)+): ")


def option_lines(type: str) -> tuple[OptionLine, ...]:
    """Every option of this database type. Raises UnknownAdapter."""
    spec = registry.load(type)
    meanings = _meanings(spec.config)
    return tuple(
        OptionLine(
            type=spec.name,
            name=name,
            value=_words(field.annotation),
            default="" if field.default in (None, "", PydanticUndefined) else _shown(field.default),
            meaning=meanings.get(name, ""),
        )
        for name, field in spec.config.model_fields.items()
        if name not in PLACE
    )


def _meanings(config: type[BaseModel]) -> dict[str, str]:
    """`name`, `other`: text. The text ends where the next names begin; a later one is the more exact."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        doc = " ".join((base.__doc__ or "").split()) if issubclass(base, BaseModel) else ""
        parts = _NAMES.split(doc)
        for names, meaning in zip(parts[1::2], parts[2::2], strict=True):
            named = re.findall(r"\w+", names)
            text = meaning if len(named) == 1 else meaning.partition(". ")[0]
            found |= dict.fromkeys(named, text.strip(" ;,."))
    return found


def _words(annotation: Any) -> str:
    """The values that it takes."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if origin in (Union, types.UnionType):
        return " | ".join(_words(item) for item in get_args(annotation) if item is not types.NoneType)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(str(item.value) for item in annotation)
    plain = {str: "text", int: "integer", float: "number", bool: "true | false", Path: "file"}
    if annotation in plain:
        return plain[annotation]
    return {dict: "table", list: "list", tuple: "list"}.get(origin, "secret" if "Secret" in str(annotation) else "text")


def _shown(default: Any) -> str:
    value = default.value if isinstance(default, Enum) else default
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")
