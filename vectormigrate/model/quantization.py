"""How a vector index shrinks its copies of the vectors, in words that hold for every database.

In `VectorField.index["quantization"]` as JSON: `{"kind": …, "bits": …}`. The stored vectors stay whole; only what an
index compares first is smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vectormigrate.figures import small
from vectormigrate.model.schema import Json

KEY = "quantization"


class Quantizer(StrEnum):
    """Each component rounded (SCALAR), or after a rotation (ROTATED); its sign (BINARY); learnt codes (PRODUCT)."""

    SCALAR = "scalar"
    ROTATED = "rotated"
    BINARY = "binary"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """`bits` per component."""

    kind: Quantizer
    bits: float

    def to_json(self) -> dict[str, Json]:
        """For VectorField.index."""
        return {"kind": str(self.kind), "bits": self.bits}

    def __str__(self) -> str:
        return f"{self.kind} quantization of {small(self.bits)} bits"


Offer = Mapping[str, tuple[float, ...]]
"""Quantizers that an index has, each with the bits per component that it takes; none: any."""


def quantization_of(index: Mapping[str, Json]) -> Quantization | None:
    """The quantization that neutral index parameters ask for."""
    found = index.get(KEY)
    return Quantization(kind=Quantizer(found["kind"]), bits=float(found["bits"])) if found else None


def offered(offer: Offer, wanted: Quantization) -> list[Quantization]:
    """The quantizations of this kind that an index has, those with the nearest number of bits first."""
    bits = offer.get(wanted.kind)
    if bits is None:
        return []
    found = [Quantization(kind=wanted.kind, bits=number) for number in bits or (wanted.bits,)]
    return sorted(found, key=lambda item: _ratio(item, wanted))


def nearest(wanted: Quantization, offer: Offer) -> Quantization | None:
    """The same kind, or another one without learnt codes, of at most twice or half the size; None without such."""
    learnt = wanted.kind is Quantizer.PRODUCT
    kinds = [wanted.kind, *(kind for kind in Quantizer if not learnt and kind is not Quantizer.PRODUCT)]
    found = [item for kind in kinds for item in offered(offer, Quantization(kind=kind, bits=wanted.bits))]
    # min() takes the first of equal ones, and the same kind comes first.
    best = min(found, key=lambda item: _ratio(item, wanted), default=None)
    return best if best is not None and _ratio(best, wanted) <= 2 else None


def _ratio(one: Quantization, other: Quantization) -> float:
    return max(one.bits, other.bits) / min(one.bits, other.bits)
