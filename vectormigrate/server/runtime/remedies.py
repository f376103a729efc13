"""Remedies as tools and arguments. Texts from below name them by verb and attribute; here are an agent's words."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vectormigrate.errors import Remedy, Value, in_words

TOOLS: Mapping[str, str] = {
    "migrate": "plan_migration",
    "resume": "resume_migration",
    "stop": "stop_migration",
    "status": "migration_status",
    "rejects": "list_rejects",
    "list": "list_migrations",
    "validate": "validate_migration",
    "rollback": "rollback_migration",
    "cut_over": "cutover_migration",
    "reverse": "reverse_migration",
    "complete": "complete_migration",
}
"""Verb of the service -> tool."""

ARGUMENTS: Mapping[str, str] = {
    # Arguments of verbs.
    "full": "full",
    "retry_rejects": "retry_rejects",
    # Attributes.
    "request.accepted_losses": "accept_losses",
    "request.excludes": "excludes",
    "request.fresh": "fresh",
    "request.into_existing": "into_existing",
    "request.namespaces": "namespaces",
    "request.overwrite": "overwrite",
    "request.plain": "plain",
    "request.renames": "renames",
    "request.vectors": "vectors",
    "options.max_rejects": "max_rejects",
    "live.one_way": "one_way",
    "request.source.collection": "source_collection",
    "request.source.connection": "source",
    "request.target.collection": "target_collection",
    "request.target.connection": "target",
    "endpoint.collection": "collection",
}
"""Argument of a verb, or attribute -> argument of a tool."""

FOR_A_PERSON = "for the operator: "
"""Begins what no tool can do, so that an agent passes it on instead of trying it."""

OPERATOR: Mapping[str, str] = {
    "options": "vectormigrate options",
    "abort": "vectormigrate abort",
    "acknowledge": "vectormigrate acknowledge",
    "confirm_fence": "vectormigrate fenced",
    "settings.config": "the server's --config",
    "settings.state": "the server's --state",
    "endpoint.api_key": "api_key of the connection",
    "endpoint.options": "options of the connection",
    "endpoint.type": "type of the connection",
    "endpoint.url": "url of the connection",
    **{
        f"request.{side}.{name}": f"{name} of the {side} connection"
        for side in ("source", "target")
        for name in ("type", "url", "api_key", "options")
    },
}
"""Verb or attribute -> what the operator of the server types or edits."""

DATABASE_OPTION = "endpoint.options."
"""What follows is the name of an option of a database, which is part of a connection."""


def in_tool_words(text: str) -> str:
    """The text with every remedy as the tool or the argument that an agent calls, or as the operator's command."""
    return in_words(text, words)


def words(remedy: Remedy) -> str | None:
    """The call or the argument; None for what neither an agent nor the operator has."""
    if not remedy.verb:
        ((attribute, value),) = remedy.options.items()
        return _argument(attribute, value) or _operators(attribute, value)
    if remedy.options.get("repair"):
        # Repairing writes on the strength of a comparison: a person's decision.
        return f"{FOR_A_PERSON}vectormigrate validate {remedy.migration_id} --full --repair"
    if remedy.verb not in TOOLS:
        return _operators(remedy.verb, None)
    known = f"migration_id={remedy.migration_id!r}" if remedy.migration_id else ""
    given = [text for name, value in remedy.options.items() if (text := _argument(name, value))]
    arguments = ", ".join([known, *given] if known else given)
    return f"{TOOLS[remedy.verb]}({arguments})" if arguments else TOOLS[remedy.verb]


def _argument(name: str, value: Value | None) -> str | None:
    if name not in ARGUMENTS:
        return None
    if value is None:
        return ARGUMENTS[name]
    text = f"{ARGUMENTS[name]}={json.dumps(value, ensure_ascii=False)}"
    return f"{text}, if the user agrees to it" if name == "request.accepted_losses" else text


def _operators(name: str, value: Value | None) -> str | None:
    if name in OPERATOR:
        return FOR_A_PERSON + OPERATOR[name]
    option = name.removeprefix(DATABASE_OPTION)
    if option == name:
        return None
    text = option if value is None else f"{option}={json.dumps(value)}"
    return f"{text} (an option of the connection, which is the operator's)"
