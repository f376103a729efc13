"""An answer has the fields of the declaration that it shows, so that a new one is declared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from vectormigrate.server.tools.shows import Answer, shows


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    id: int
    colour: Colour = Colour.RED
    sizes: tuple[int, ...] = (1, 2)
    weight: float | None = None
    secret: str = "hidden"
    parts: Mapping[str, object] = field(default_factory=dict[str, object])


@shows(
    Thing,
    without=("secret", "parts"),
    renamed={"id": "thing_id"},
    described={"weight": "In grams."},
)
class ThingAnswer(Answer):
    """A thing."""

    next_step: str


def test_an_answer_shows_every_field_that_is_not_left_out_under_its_name() -> None:
    answer = ThingAnswer.of(Thing(id=7), next_step="none")
    assert answer.model_dump(mode="json") == {
        "thing_id": 7,
        "colour": "red",
        "sizes": [1, 2],
        "weight": None,
        "next_step": "none",
    }


def test_the_schema_has_json_types_and_what_agents_are_told() -> None:
    schema = ThingAnswer.model_json_schema()
    assert schema["description"] == "A thing."
    assert schema["properties"]["colour"]["type"] == "string"
    assert schema["properties"]["weight"]["description"] == "In grams."
    assert set(schema["required"]) == {"thing_id", "colour", "sizes", "weight", "next_step"}


def test_a_value_that_is_given_takes_the_place_of_the_declared_one() -> None:
    assert ThingAnswer.of(Thing(id=7), next_step="", colour="blue").model_dump()["colour"] == "blue"


def test_an_optional_answer_is_empty_without_its_declaration() -> None:
    @shows(Thing, without=("secret", "parts"), optional=True)
    class Later(Answer):
        """A thing that may not be known yet."""

    assert set(Later.of().model_dump().values()) == {None}


def test_a_field_without_a_plain_type_must_be_declared_by_the_answer() -> None:
    with pytest.raises(TypeError, match="declare the field"):

        @shows(Thing)
        class Whole(Answer):  # pyright: ignore[reportUnusedClass]
            """Also the parts."""
