"""What a server's collection has beyond vectors and payload, by name, for plans. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vectormigrate.adapter.qdrant_settings import settings_of as of_extras
from vectormigrate.adapters.qdrant.config import NAMESPACE_FIELD
from vectormigrate.adapters.qdrant.layout import Layout
from vectormigrate.model.schema import Setting, Weight

SHARD_KEYS = "shard-keys"
TENANT_FIELD = "namespace-field"


def settings_of(layout: Layout, aliases: Sequence[str], extras: Mapping[str, Any]) -> tuple[Setting, ...]:
    """`extras`: what schema.py made of the layout for a target of this kind."""
    return (*_places(layout, aliases), *of_extras(extras))


def _places(layout: Layout, aliases: Sequence[str]) -> Iterator[Setting]:
    if layout.custom:
        keys = ", ".join(repr(key) for key in layout.shard_keys[:5])
        more = ", …" if len(layout.shard_keys) > 5 else ""
        detail = f"the collection is divided by shard keys ({keys}{more})"
        yield Setting(name=SHARD_KEYS, weight=Weight.SETTING, detail=detail)
    elif layout.divided and layout.namespace_field != NAMESPACE_FIELD:
        detail = f"the namespaces are the values of the field {layout.namespace_field!r}, which is no field elsewhere"
        yield Setting(name=TENANT_FIELD, weight=Weight.SETTING, detail=detail)
    if aliases:
        names = ", ".join(repr(name) for name in sorted(aliases))
        detail = f"the aliases {names} lead to the collection; they are not copied"
        yield Setting(name="aliases", weight=Weight.NOTICE, detail=detail)
