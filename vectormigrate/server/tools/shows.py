"""Answers of tools from the declarations of the model, so that a field is declared once.

A class marked with `shows(Declaration)` has the fields of that dataclass, as JSON types, and `of` fills them. What it
declares itself comes on top, or in place of a field that is more than a figure or a text::

    @shows(SearchCheck, without=("note",), described={"k": "Neighbours per query."})
    class SearchLine(Answer):
        \"\"\"Search parity of one vector field.\"\"\"

    SearchLine.of(check)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from types import NoneType, UnionType
from typing import Any, ClassVar, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

A = TypeVar("A", bound="Answer")


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True)

    shown_fields: ClassVar[Mapping[type, Mapping[str, str]]] = {}
    """By declaration: the name of its field -> its name here."""

    @classmethod
    def of(cls, *declared: Any, **own: Any) -> Self:
        """The answer for objects of the declarations that it shows; `own`: what else it has, and what is not to be
        shown as it is."""
        values: dict[str, Any] = {}
        for item in declared:
            for name, shown in cls.shown_fields[type(item)].items():
                if shown not in own:
                    value = getattr(item, name)
                    values[shown] = str(value.value) if isinstance(value, Enum) else value
        return cls(**values, **own)


def shows(
    declaration: type,
    *,
    without: Sequence[str] = (),
    renamed: Mapping[str, str] | None = None,
    described: Mapping[str, str] | None = None,
    optional: bool = False,
) -> Callable[[type[A]], type[A]]:
    """Give an answer the fields of `declaration`: all but those `without`, some `renamed` (their name -> the name in
    the answer), some `described` to agents (by the name in the answer). `optional`: each may also be null."""
    hints = get_type_hints(declaration)
    names = {item.name: (renamed or {}).get(item.name, item.name) for item in fields(declaration)}
    names = {name: shown for name, shown in names.items() if name not in without}

    def derive(cls: type[A]) -> type[A]:
        own: dict[str, Any] = {name: (item.annotation, item) for name, item in cls.model_fields.items()}
        ordered: dict[str, Any] = {}
        for name, shown in names.items():
            ordered[shown] = own.pop(shown, None) or _shown(hints[name], (described or {}).get(shown), optional)
        made = create_model(
            cls.__name__, __base__=cls.__mro__[1], __doc__=cls.__doc__, __module__=cls.__module__, **ordered, **own
        )
        made.shown_fields = {**cls.shown_fields, declaration: names}
        return made

    return derive


def _shown(hint: Any, description: str | None, optional: bool) -> tuple[Any, Any]:
    kind = json_type(hint)
    if optional:
        return kind | None, Field(default=None, description=description)
    return kind, Field(description=description)


def json_type(hint: Any) -> Any:
    """The type of a field in JSON. Raises TypeError for one that the answer has to declare itself."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in (str, int, float, bool, NoneType):
        return hint
    if isinstance(hint, type) and issubclass(hint, Enum):
        return str
    if origin in (Union, UnionType):
        return Union[tuple(json_type(item) for item in arguments)]  # noqa: UP007
    if origin is tuple:
        return list[json_type(arguments[0])]
    raise TypeError(f"an answer cannot show {hint} as it is: declare the field in it")
