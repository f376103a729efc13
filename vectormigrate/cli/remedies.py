"""Remedies as command lines and flags. Texts from below name them by verb and attribute; here are the words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from vectormigrate.errors import Remedy, Value, in_words

COMMANDS: Mapping[str, str] = {
    "migrate": "migrate",
    "resume": "resume",
    "stop": "stop",
    "sync": "sync",
    "status": "status",
    "rejects": "status",
    "list": "list",
    "validate": "validate",
    "rollback": "rollback",
    "options": "options",
    "cut_over": "cutover",
    "reverse": "reverse",
    "complete": "complete",
    "abort": "abort",
    "thaw": "thaw",
    "acknowledge": "acknowledge",
    "confirm_fence": "fenced",
}
"""Verb of the service -> command."""

FLAGS: Mapping[str, str] = {
    # Arguments of verbs.
    "full": "--full",
    "repair": "--repair",
    "retry_rejects": "--retry-rejects",
    "limit": "--rejects",
    # Attributes.
    "request.accepted_losses": "--accept-loss",
    "request.excludes": "--exclude",
    "request.fresh": "--fresh",
    "request.into_existing": "--into-existing",
    "request.overwrite": "--overwrite",
    "request.plain": "--no-sidecar",
    "request.renames": "--rename",
    "request.vectors": "--vector",
    "options.max_rejects": "--max-rejects",
    "live.one_way": "--one-way",
    "request.namespaces": "--namespace",
    "settings.config": "--config",
    "settings.state": "--state",
    "endpoint.api_key": "--api-key",
    "endpoint.collection": "--collection",
    "endpoint.options": "--option",
    "endpoint.type": "--type",
    "endpoint.url": "--url",
    **{
        f"request.{side}.{name}": f"--{side}{flag}"
        for side in ("source", "target")
        for name, flag in {
            "connection": "",
            "type": "-type",
            "url": "-url",
            "api_key": "-api-key",
            "collection": "-collection",
            "options": "-option",
        }.items()
    },
}
"""Argument of a verb, or attribute -> flag."""

POSITIONAL = "types"
"""The argument that a command takes without a flag."""

DATABASE_OPTION = "endpoint.options."
"""What follows is the name of an option of a database, which is a value of other flags."""


def in_commands(text: str) -> str:
    """The text with every remedy as the command or the flag that a person types."""
    return in_words(text, words)


def words(remedy: Remedy) -> str | None:
    """The command line or the flag; None for what the command line does not have."""
    if not remedy.verb:
        ((attribute, value),) = remedy.options.items()
        return _option(attribute, value)
    if remedy.verb not in COMMANDS:
        return None
    typed = ["vectormigrate", COMMANDS[remedy.verb], *([remedy.migration_id] if remedy.migration_id else [])]
    for name, value in remedy.options.items():
        if name == POSITIONAL:
            typed += value if isinstance(value, tuple) else [str(value)]
        elif name in FLAGS:
            typed += _flags(FLAGS[name], value)
    return shlex.join(typed)


def _option(attribute: str, value: Value | None) -> str | None:
    if attribute in FLAGS:
        return shlex.join(_flags(FLAGS[attribute], value))
    name = attribute.removeprefix(DATABASE_OPTION)
    if name == attribute:
        return None
    if value is None:
        return f"{name} (--source-option or --target-option {name}=VALUE)"
    return f"{name}={str(value).lower() if isinstance(value, bool) else value}"


def _flags(flag: str, value: Value | None) -> Iterator[str]:
    """The flag as often as it is repeated, each with its value."""
    if value is None or value is True:
        yield flag
    elif isinstance(value, dict):
        for name, other in value.items():
            yield from (flag, f"{name}={other}")
    elif isinstance(value, tuple):
        for item in value:
            yield from (flag, item)
    else:
        yield from (flag, str(value))
