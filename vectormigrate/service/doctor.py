"""Looks for what would stop a migration before it starts: packages, the state file, connections. Changes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from vectormigrate import registry
from vectormigrate.adapter import Listing, lister
from vectormigrate.config.settings import Endpoint, Settings, complete_endpoint
from vectormigrate.engine.connect import ANY_COLLECTION, configure, listing, open_endpoint
from vectormigrate.errors import CollectionNotFound, VectorMigrateError, option
from vectormigrate.figures import plural
from vectormigrate.model.answers import DoctorCheck
from vectormigrate.state.store import open_store

MOST_NAMES = 10
"""Collections of a server that are named."""


def package_checks() -> list[DoctorCheck]:
    """One check per adapter: whether the packages of its extra are installed. A missing one is no failure: it may not
    be needed."""
    return [_package_check(name) for name in registry.offered()]


def _package_check(name: str) -> DoctorCheck:
    extra = registry.load(name).extra
    if extra is None:
        return DoctorCheck(name=f"adapter {name}", ok=True, detail="needs no package")
    found: list[str] = []
    for requirement in requires("vectormigrate") or ():
        package, _, marker = requirement.partition(";")
        if not re.search(rf"extra == ['\"]{re.escape(extra)}['\"]", marker) or package.startswith("vectormigrate"):
            continue
        distribution = re.split(r"[\s<>=!~\[(]", package.strip(), maxsplit=1)[0]
        try:
            found.append(f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            return DoctorCheck(
                name=f"adapter {name}",
                ok=True,
                detail=f"{distribution} is not installed; to use it: pip install 'vectormigrate[{extra}]'",
            )
    return DoctorCheck(name=f"adapter {name}", ok=True, detail=", ".join(found))


async def state_check(path: Path) -> DoctorCheck:
    """Whether the state file can be read and written; a missing one counts as fine when it can be made."""
    name = f"state file {path}"
    try:
        async with open_store(path, read_only=True) as store:
            known = await store.migrations.list()
    except VectorMigrateError as error:
        return DoctorCheck(name=name, ok=False, detail=str(error))
    place = _existing(path)
    if not os.access(place, os.W_OK):
        return DoctorCheck(
            name=name, ok=False, detail=f"{place} is not writable; choose another with {option('settings.state')}"
        )
    detail = f"{plural(len(known), 'migration')}" if place == path else "will be made on first use"
    return DoctorCheck(name=name, ok=True, detail=detail)


def _existing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


async def connection_check(settings: Settings, given: Endpoint) -> DoctorCheck:
    """Whether the database answers, which version it is, and whether the collection can be read."""
    name = f"connection {given.connection or given.type}"
    try:
        endpoint = complete_endpoint(settings, given)
        found = await _answers(endpoint)
        detail = found.server if found else "answers"
        if endpoint.collection and (found is None or endpoint.collection in found.names):
            return DoctorCheck(name=name, ok=True, detail=await _collection(endpoint))
        if endpoint.collection:
            # The default collection of a connection may be one that a migration will make.
            missing = f"{detail}; it has no collection {endpoint.collection!r}{_others(found)}"
            return DoctorCheck(name=name, ok=not given.collection, detail=missing)
        return DoctorCheck(name=name, ok=True, detail=detail + _others(found))
    except VectorMigrateError as error:
        return DoctorCheck(name=name, ok=False, detail=str(error))


async def _answers(endpoint: Endpoint) -> Listing | None:
    """What the server says about itself; None where the adapter can only open collections, and one could be."""
    if lister(configure(replace(endpoint, collection=endpoint.collection or ANY_COLLECTION))[0]) is not None:
        return await listing(endpoint)
    if not endpoint.collection:
        with suppress(CollectionNotFound):
            async with open_endpoint(replace(endpoint, collection=ANY_COLLECTION)):
                pass
    return None


async def _collection(endpoint: Endpoint) -> str:
    async with open_endpoint(endpoint, named=False) as collection:
        schema, records = await collection.describe(), await collection.count()
        vectors = ", ".join(f"{v.name or '(unnamed)'} {v.kind} {v.dim or ''}".strip() for v in schema.vectors)
        return f"{await collection.server()}; {endpoint.collection}: {plural(records, 'record')}, {vectors}"


def _others(found: Listing | None) -> str:
    """How many collections there are, and the first of them."""
    if found is None:
        return ""
    shown = ", ".join(found.names[:MOST_NAMES]) + (", …" if len(found.names) > MOST_NAMES else "")
    return f"; {plural(len(found.names), 'collection')}{': ' if shown else ''}{shown}"


async def examine(settings: Settings, endpoints: Sequence[Endpoint]) -> list[DoctorCheck]:
    """All checks in the order in which they are shown. No endpoints: every connection of the file."""
    named = [Endpoint(connection=name, collection="") for name in settings.connections.names]
    return [
        await state_check(settings.state),
        *package_checks(),
        *[await connection_check(settings, endpoint) for endpoint in endpoints or named],
    ]
