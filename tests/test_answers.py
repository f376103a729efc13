"""What `--json` and the tools answer stays what programs were written for: names may be added, none goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.answers import SHAPES, everything, shape

KEPT: dict[str, dict[str, Any]] = json.loads(SHAPES.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return everything(tmp_path_factory.mktemp("answers"))


@pytest.mark.parametrize(("front_end", "verb"), [(end, verb) for end, verbs in KEPT.items() for verb in verbs])
def test_an_answer_has_every_name_that_it_had_with_the_same_kind_of_value(
    found: dict[str, Any], front_end: str, verb: str
) -> None:
    assert missing(KEPT[front_end][verb], shape(found[front_end][verb])) == []


def test_every_verb_and_tool_of_the_sample_is_compared(found: dict[str, Any]) -> None:
    assert {end: set(verbs) for end, verbs in found.items()} == {end: set(verbs) for end, verbs in KEPT.items()}


def test_a_name_that_is_gone_and_a_kind_that_changed_are_found() -> None:
    kept = {"a": "number", "b": [{"c": "text"}]}
    assert missing(kept, {"a": "number", "b": [{"c": "text", "new": "null"}], "new": []}) == []
    assert missing(kept, {"a": "text", "b": [{}]}) == [".a", ".b[].c"]


def missing(kept: Any, now: Any, path: str = "") -> list[str]:
    """Paths of the kept shape that the shape of now does not have."""
    if isinstance(kept, dict) and isinstance(now, dict):
        lost = [f"{path}.{name}" for name in kept if name not in now]
        return lost + [
            gone for name in kept if name in now for gone in missing(kept[name], now[name], f"{path}.{name}")
        ]
    if isinstance(kept, list) and isinstance(now, list):
        fitting = [min((missing(item, other, f"{path}[]") for other in now), key=len, default=[path]) for item in kept]
        return [gone for gones in fitting for gone in gones]
    return [] if kept == now else [path]
