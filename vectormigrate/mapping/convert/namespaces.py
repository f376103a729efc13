"""Target namespaces: unchanged where legal, else renamed injectively, or merged where the target has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vectormigrate.mapping.limits import Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.names import has_surrogates, legal_name, matcher


def default_namespace(limits: Limits) -> str:
    """The namespace that merged records go to."""
    is_legal = matcher(limits.namespaces.names)
    return next((name for name in ("", "default", "Default", "all") if is_legal(name)), "")


def namespace_map(limits: Limits, overrides: Mapping[str, str]) -> Callable[[str], str]:
    """The function from an original (or source) namespace to the target's. `overrides` are planned names.

    The function raises RecordRejected when no legal name can be made.
    """
    is_legal = matcher(limits.namespaces.names)
    merged = default_namespace(limits)
    known: dict[str, str] = dict(overrides)

    def target(namespace: str) -> str:
        found = known.get(namespace)
        if found is not None:
            return found
        if not limits.namespaces.supported:
            found = merged
        elif is_legal(namespace) and not has_surrogates(namespace):
            found = namespace
        else:
            found = legal_name(namespace or "default", namespace, is_legal)
        if found is None:
            raise RecordRejected("namespace", f"no legal namespace name can be made from {namespace!r}")
        if len(known) < 100_000:
            known[namespace] = found
        return found

    return target
