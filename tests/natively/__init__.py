"""Reads collections with the vendors' own clients, past our adapters, so that a mistake cannot hide on both sides."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vectormigrate.config.settings import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeRecord:
    """A record as the vendor's client shows it. `id`: UUIDs as text. `vectors`: a list of floats, a dict of index to
    weight for a sparse one; an absent one is left out. `namespace` is empty where records carry it in a field."""

    id: int | str
    namespace: str
    fields: Mapping[str, Any]
    vectors: Mapping[str, Any]


def can_read(endpoint: Endpoint) -> bool:
    """Whether there is an oracle for this kind of collection."""
    return importlib.util.find_spec(f"tests.natively.{endpoint.type}") is not None


async def read(endpoint: Endpoint) -> list[NativeRecord]:
    """Every record; nobody may have an embedded collection open."""
    return await importlib.import_module(f"tests.natively.{endpoint.type}").read(endpoint)


def floats(values: Any) -> list[float]:
    """Components as the floats of 32 bits that they are; some clients show their shortest decimal text."""
    return np.array(list(values), np.float32).tolist()
