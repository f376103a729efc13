"""From flags to settings, endpoints and requests."""

from __future__ import annotations

import json
from dataclasses import replace

from vectormigrate.cli.inputs import Common, Place, What
from vectormigrate.cli.render.console import warn
from vectormigrate.config.redaction import keep_secret
from vectormigrate.config.references import is_reference
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint, Settings, load_settings, resolve_endpoint
from vectormigrate.model.schema import Json


def settings_of(common: Common) -> Settings:
    """Settings with the flags of this command. Raises ConfigError."""
    return load_settings(state=common.state, config=common.config)


def _option(text: str) -> tuple[str, Json]:
    """`key=value`; a value that is JSON (a number, true, a list) is taken as such, anything else as text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def endpoint_of(settings: Settings, place: Place, *, collection_needed: bool = True) -> Endpoint:
    """The endpoint that the flags mean. Its key is never shown from here on, whoever repeats it."""
    if place.key and not is_reference(place.key):
        keep_secret(place.key)
    endpoint = resolve_endpoint(
        settings,
        place.side,
        connection=place.connection,
        type=place.type,
        url=place.url,
        api_key=place.key,
        collection=place.index,
        options=dict(_option(text) for text in place.options),
        collection_needed=collection_needed,
        warn=warn,
    )
    if endpoint.api_key:
        keep_secret(endpoint.api_key.get_secret_value())
    return endpoint


def request_of(settings: Settings, migration_id: str, source: Place, target: Place, what: What) -> MigrationRequest:
    """What the service is asked for."""
    reads = endpoint_of(settings, source)
    writes = endpoint_of(settings, target, collection_needed=False)
    target_end = writes if writes.collection else replace(writes, collection=reads.collection)
    return MigrationRequest(id=migration_id, source=reads, target=target_end, **what)
