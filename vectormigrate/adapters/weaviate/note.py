"""What vectormigrate keeps on a class: the origin note, the dimensions of vectors that no record holds yet, and
reference properties that wait for their target classes.

It is the end of the class description as `[vectormigrate:1:<base64 of zlib of JSON>]`: the only place that is
made together with the class, can be replaced, goes when the class goes, and takes megabytes (1.39.0). Pure.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from vectormigrate.model.schema import Json

_PATTERN = re.compile(r"\n?\[vectormigrate:1:([A-Za-z0-9+/=]*)\]\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """`dims`: vector name -> dimension as declared when the class was made; None for a class that others made.
    `later`: the JSON of properties that could not be made yet. `states`: tenants and the states that they get when
    everything is copied."""

    note: Mapping[str, Json] | None = None
    dims: Mapping[str, int] | None = None
    later: tuple[Mapping[str, Json], ...] = ()
    states: Mapping[str, str] = field(default_factory=dict[str, str])


def split(description: str) -> tuple[str, Marker]:
    """The description as people wrote it, and our marker. A damaged marker is part of the text."""
    found = _PATTERN.search(description)
    if found is None:
        return description, Marker()
    try:
        data: Json = orjson.loads(zlib.decompress(base64.b64decode(found.group(1), validate=True)))
        marker = Marker(
            note=data.get("note"),
            dims=data.get("dims"),
            later=tuple(data.get("later") or ()),
            states=data.get("states") or {},
        )
    except (ValueError, zlib.error, AttributeError):
        return description, Marker()
    return description[: found.start()], marker


def joined(description: str, marker: Marker) -> str:
    """The description with the marker at its end; without one when there is nothing to keep."""
    if marker == Marker():
        return description
    data = orjson.dumps({"note": marker.note, "dims": marker.dims, "later": marker.later, "states": marker.states})
    text = base64.b64encode(zlib.compress(data, 9)).decode()
    return f"{description}\n[vectormigrate:1:{text}]" if description else f"[vectormigrate:1:{text}]"
