"""Floats that Qdrant (servers and the embedded engine) cannot return exactly, and how they are kept all the same.

Qdrant stores payloads as JSON text and reads that with the fast float parser of serde_json, which is up to two
units in the last place off: of random doubles one in ten comes back altered. Over REST the parser runs once more on
the way in, and each time that segments are merged the stored text is read and written again, so a value drifts along
a fixed path. A record with such floats carries their exact values in one more payload field, as JSON text
`[[path, value], …]`.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from vectormigrate.model.batch import Metadata, Value

EXACT_FIELD = "_vm_exact"
"""Payload key that holds exact floats. Most records lack it."""

Path = list[str | int]

_POWERS = [float(f"1e{exponent}") for exponent in range(309)]

DRIFT = 64
"""Most times that a stored value is taken to have been read and written again."""


def as_returned(value: float) -> float:
    """What one pass through Qdrant's parser makes of this finite float (serde_json `f64_from_parts` without
    `float_roundtrip`)."""
    text = repr(value)
    if len(text) <= 16 and "e" not in text:
        return value  # the digits are below 2^53 and the power of ten is exact, so one rounding is the right one
    mantissa, _, exponent_text = text.lstrip("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    exponent = int(exponent_text or 0) - len(fraction)
    parsed = float(int(whole + fraction))
    if exponent < -308:
        parsed, exponent = parsed / 1e308, exponent + 308
    parsed = parsed * _POWERS[exponent] if exponent >= 0 else parsed / _POWERS[-exponent]
    return math.copysign(parsed, value)


def may_become(value: float, seen: float) -> bool:
    """Whether `seen` is what some passes through Qdrant's parser made of `value`."""
    for _ in range(DRIFT):
        following = as_returned(value)
        if following == seen:
            return True
        if following == value or not math.isfinite(following):
            return False
        value = following
    return False


def _find(value: Value, path: Path, found: list[tuple[Path, float]]) -> None:
    """Add the floats in a value that would come back altered."""
    if isinstance(value, float):
        if as_returned(value) != value:
            found.append((path, value))
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(item) not in _SIMPLE:
                _find(item, [*path, key], found)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            if type(item) not in _SIMPLE:
                _find(item, [*path, number], found)


_SIMPLE = frozenset({str, int, bool, type(None)})


def protect(metadata: Metadata) -> Metadata:
    """The metadata, with the field of exact values if it is needed."""
    found: list[tuple[Path, float]] = []
    for key, value in metadata.items():
        if type(value) not in _SIMPLE:
            _find(value, [key], found)
    return {**metadata, EXACT_FIELD: orjson.dumps(found).decode()} if found else metadata


def restore(metadata: Metadata) -> None:
    """Take the field of exact values out and put them in place, each only where Qdrant's version of it still is."""
    text = metadata.pop(EXACT_FIELD, None)
    if not isinstance(text, str):
        return
    for path, value in orjson.loads(text):
        holder: Any = metadata
        try:
            for step in path[:-1]:
                holder = holder[step]
            if type(holder[path[-1]]) is float and may_become(value, holder[path[-1]]):
                holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue
