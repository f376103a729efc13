"""Words for the types of fields: those of one database, and common ones that every source understands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vectormigrate import registry
from vectormigrate.adapter import TypeWord, type_words
from vectormigrate.errors import ConfigError
from vectormigrate.model.schema import DType, FieldType, VectorKind

_ALIASES: Mapping[str, FieldType] = {
    "boolean": FieldType.BOOL,
    "int": FieldType.INT64,
    "integer": FieldType.INT64,
    "long": FieldType.INT64,
    "float": FieldType.FLOAT64,
    "double": FieldType.FLOAT64,
    "number": FieldType.FLOAT64,
    "str": FieldType.STRING,
    "varchar": FieldType.STRING,
    "keyword": FieldType.STRING,
    "date": FieldType.DATETIME,
    "timestamp": FieldType.DATETIME,
    "blob": FieldType.BYTES,
    "object": FieldType.JSON,
    "dict": FieldType.JSON,
    "map": FieldType.JSON,
    "array": FieldType.LIST,
}

_VECTORS: Mapping[str, TypeWord] = {
    **dict.fromkeys(("vector", "dense", "dense_vector", "embedding"), TypeWord(vector=VectorKind.DENSE)),
    "float_vector": TypeWord(vector=VectorKind.DENSE),
    "binary_vector": TypeWord(vector=VectorKind.DENSE, dtype=DType.BITS),
    **dict.fromkeys(("sparse", "sparse_vector"), TypeWord(vector=VectorKind.SPARSE)),
    **dict.fromkeys(("multivector", "multi_vector"), TypeWord(vector=VectorKind.MULTI)),
}

NEUTRAL: Mapping[str, TypeWord] = {
    **{str(kind): TypeWord(type=kind) for kind in FieldType},
    **{word: TypeWord(type=kind) for word, kind in _ALIASES.items()},
    **_VECTORS,
}
"""Words that are understood for every source."""

_LIST = re.compile(r"(?:array|list)\s*(?:<(.+)>|\((.+)\)|\[(.+)\]|\s+of\s+(.+))")
_SIZED = re.compile(r"(.+?)\s*[\[(<]\s*(?:\w+\s*[=:]\s*)?(\d+)\s*[\])>]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldKind:
    """A read type: the word's meaning, and the number that came with it (`float_vector(768)`: dimension 768;
    `varchar(200)`: the longest text)."""

    word: TypeWord
    size: int | None = None


def known_words(source_type: str) -> list[str]:
    """Every word that `field_kind` understands for this source, sorted; the database's own ones may differ in case."""
    return sorted({*type_words(registry.load(source_type)), *NEUTRAL})


def field_kind(source_type: str, text: str) -> FieldKind:
    """What the word `text` means for a field of this database, in any case; its own words come before the common ones.

    Also `word(N)`, `word[]`, `list[word]`, `array<word>`. Raises UnknownAdapter, and ConfigError that lists the words.
    """
    own = type_words(registry.load(source_type))
    found = _read(text.strip().lower(), own)
    if found is None:
        raise ConfigError(
            f"unknown field type {text!r} for {source_type}; known types: {', '.join(known_words(source_type))}; "
            "also word(N), word[] and list[word]"
        )
    return found


def _read(text: str, own: Mapping[str, TypeWord]) -> FieldKind | None:
    word = own.get(text) or NEUTRAL.get(text)
    if word is not None:
        return FieldKind(word=word)
    sized = _SIZED.fullmatch(text)
    if sized is not None:
        word = own.get(sized[1]) or NEUTRAL.get(sized[1])
        return None if word is None else FieldKind(word=word, size=int(sized[2]))
    inner = text.removesuffix("[]") if text.endswith("[]") else None
    listed = _LIST.fullmatch(text)
    if listed is not None:
        inner = next(part for part in listed.groups() if part is not None)
    element = None if inner is None else _read(inner.strip(), own)
    if element is None or element.word.vector is not None:
        return None
    return FieldKind(word=TypeWord(type=FieldType.LIST, element=element.word.type))
