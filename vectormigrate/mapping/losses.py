"""The table of everything that a migration may change, by its stable name.

A *soft* effect is undone by the origin sidecar (or the collection's origin note); without a sidecar it is a loss. A
*hard* effect is a loss always. Names with a colon carry the field or vector that they concern.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One kind of change; `text` explains it to the operator."""

    soft: bool
    text: str


EFFECTS: dict[str, Effect] = {
    "null-values": Effect(soft=True, text="null values are left out: null and a missing field become the same"),
    "bool-type": Effect(soft=True, text="booleans become the strings 'true' and 'false'"),
    "int-type": Effect(soft=True, text="integers become floats of the same value"),
    "int-precision": Effect(soft=True, text="integers out of the target's exact range become decimal strings"),
    "whole-floats": Effect(soft=True, text="floats without a fraction become integers"),
    "datetime-text": Effect(soft=True, text="date texts become datetimes"),
    "field-type": Effect(
        soft=True, text="values of another type than their column are left out of it, so filters do not see them"
    ),
    "rounded-values": Effect(soft=True, text="values are rounded to what their column holds"),
    "vector-zero": Effect(soft=True, text="a vector of zeros becomes a tiny one, because the target refuses zeros"),
    "float-type": Effect(soft=True, text="floats become strings"),
    "nonfinite-values": Effect(soft=True, text="NaN and infinities become the strings 'NaN', 'Infinity', '-Infinity'"),
    "bytes-type": Effect(soft=True, text="bytes become base64 strings"),
    "datetime-type": Effect(soft=True, text="datetimes become RFC 3339 strings"),
    "nested-objects": Effect(soft=True, text="nested objects become flat keys with a dot path"),
    "list-values": Effect(soft=True, text="lists that the target cannot hold become JSON text"),
    "field-names": Effect(soft=True, text="keys that the target does not allow are renamed"),
    "id-original": Effect(soft=True, text="ids that the target cannot hold are replaced by derived UUIDs"),
    "id-type": Effect(soft=True, text="integer and UUID ids become their text"),
    "namespace-name": Effect(soft=True, text="namespaces get another name or are merged into one"),
    "vector-length": Effect(soft=True, text="the target normalises cosine vectors, so their length changes"),
    "vector-missing": Effect(soft=True, text="a record without a vector gets one of zeros, which the target requires"),
    "vector-name": Effect(soft=True, text="the vector field gets another name on the target"),
    "vector-type": Effect(soft=True, text="vector components are stored, exactly, in a wider type"),
    "float-precision": Effect(soft=False, text="a float column of 32 bits rounds values of 64 bits"),
    "vector-rounding": Effect(soft=False, text="normalised vectors are stored with fewer bits: their length is gone"),
    "vector-dtype": Effect(soft=False, text="vector components change when stored in another type"),
    "vector-field": Effect(soft=False, text="the target cannot hold this vector field"),
    "metric": Effect(soft=False, text="the target has no such metric: searches give other scores or another order"),
    "index": Effect(soft=False, text="the target cannot filter on this field as the source does"),
    "index-params": Effect(soft=True, text="the vector index gets other parameters"),
    "excluded": Effect(soft=False, text="left out as asked"),
    "setting": Effect(soft=True, text="the target has no such setting"),
    "safety": Effect(soft=False, text="what protects the data at its source does not protect it on the target"),
    "behaviour": Effect(soft=False, text="searches or records behave otherwise on the target"),
    "records": Effect(soft=False, text="records, or parts of them, cannot be read and are left out"),
}

SETTING_EFFECTS = frozenset({"setting", "safety", "behaviour", "records"})
"""Names (with a parameter) of a collection's settings: Weight in model/schema.py."""

SCHEMA_EFFECTS = SETTING_EFFECTS | {
    *("vector-name", "vector-type", "vector-dtype", "vector-field"),
    *("metric", "index", "index-params", "excluded"),
}
"""Names that always come with a parameter."""

RECORD_EFFECTS = frozenset(EFFECTS) - SCHEMA_EFFECTS
"""Names without a parameter, which any record may turn out to need."""

ALL = "*"
"""In `accepted_losses` of preliminary rules: accept everything, so that the profile pass counts every effect."""


def is_soft(name: str) -> bool:
    """Whether a sidecar undoes the effect `name` (with or without its parameter)."""
    return EFFECTS[name.partition(":")[0]].soft


def explain(name: str) -> str:
    """The explanation of the effect `name`."""
    return EFFECTS[name.partition(":")[0]].text


class RecordRejected(Exception):
    """This record cannot go to the target; `code` is the Reject's code."""

    def __init__(self, code: str, reason: str) -> None:
        self.code = code
        self.reason = reason
        super().__init__(reason)
