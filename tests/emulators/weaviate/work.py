"""What REST and gRPC both do: write objects and references, delete."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from tests.emulators.weaviate.faults import Refusal
from tests.emulators.weaviate.rules import lower, upper
from tests.emulators.weaviate.store import Class, Object, Store, is_reference
from tests.emulators.weaviate.values import beacon_of


def upsert(store: Store, items: Sequence[tuple[str, str, Mapping[str, Any]]]) -> dict[int, str]:
    """Write objects given as (class, tenant, JSON); index -> error. Of one id twice the last wins."""
    errors: dict[int, str] = {}
    ready: list[tuple[Class, str, Object]] = []
    for index, (name, tenant, raw) in enumerate(items):
        owner = store.find(name)
        try:
            if owner is None:
                owner = _invented(store, name, raw)
            planned = store.knobs.batch_errors.get(str(raw["id"]))
            if planned is not None:
                raise Refusal(planned)
            ready.append((owner, tenant, store.prepare(owner, tenant, raw, check=store.must_exist)))
        except Refusal as error:
            errors[index] = error.inner
    for owner, tenant, item in ready:
        owner.space(tenant).put(item)
    return errors


AUTO_TYPES = ((bool, "boolean"), (int | float, "number"), (str, "text"))


def _invented(store: Store, name: str, raw: Mapping[str, Any]) -> Class:
    """The class that the server makes for an object that comes without one, whatever becomes of the object."""
    properties = [
        {"name": key, "dataType": [word + ("[]" if isinstance(value, list) else "")]}
        for key, value in (raw.get("properties") or {}).items()
        for kind, word in AUTO_TYPES
        if isinstance(value[0] if isinstance(value, list) and value else value, kind)
    ]
    unique = {item["name"]: item for item in reversed(properties)}
    store.create({"class": name, "description": "made by auto-schema", "properties": list(unique.values())})
    return store.classes[upper(name)]


def link(store: Store, source: str, key: str, name: str, target: str, to: str, tenant: str) -> str | None:
    """Append a reference; the error if there is one. Whether the target exists is only asked with tenants."""
    owner = store.find(source)
    if owner is None:
        return f'source class "{source}" not found in schema'
    name = lower(name)
    item = owner.properties.get(name)
    if item is None:
        return f"property {name} does not exist for class {source}"
    if not is_reference(item):
        return f"ref batch: prop {name} is present, but not a ref, got: string"
    targets = item["dataType"]
    target = target or (targets[0] if len(targets) == 1 else "")
    other = store.find(target) if target else None
    if target and other is None:
        return f'target class "{target}" not found in schema'
    try:
        space = owner.space(tenant)
    except Refusal as error:
        return error.inner
    held = space.objects.get(UUID(key).int)
    if held is None and not owner.divided:
        return f"ref batch: object with id {key} not found"
    if held is None:
        return f'source: object {owner.name}/{key} not found for tenant "{tenant}"'
    if owner.divided and other is not None:
        inside = tenant if other.divided else ""
        there = other.spaces.get(inside)
        if there is None or UUID(to).int not in there.objects:
            return f'target: object {target}/{to} not found for tenant "{inside}"'
    beacon = f"weaviate://localhost/{target}/{to}" if target else f"weaviate://localhost/{to}"
    held.properties.setdefault(name, []).append(beacon)
    held.updated = int(time.time() * 1000)
    return None


def replace_links(store: Store, owner: Class, held: Object, name: str, beacons: Sequence[Any], tenant: str) -> None:
    """`PUT /objects/…/references/…`: targets must exist."""
    item = owner.properties.get(lower(name))
    if item is None or not is_reference(item):
        raise Refusal(f"property '{name}' is not a reference-type", 422)
    found: list[str] = []
    for entry in beacons:
        targets = item["dataType"]
        target, key = beacon_of(entry["beacon"], targets[0] if len(targets) == 1 else None)
        try:
            store.must_exist(target, key, tenant)
        except Refusal as error:
            raise Refusal(f"msg:validate existence code:400 err:{error.text}") from None
        found.append(f"weaviate://localhost/{target}/{key}" if target else f"weaviate://localhost/{key}")
    held.properties[lower(name)] = found
    held.updated = int(time.time() * 1000)
