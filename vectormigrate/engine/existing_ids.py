"""Which ids an existing target holds, also in another namespace where ids count for the whole collection."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.model.ids import RecordId


class TakenIds:
    """Asks the target. The namespaces that it has besides are listed once: those that come later are the migration's
    own, whose ids do not meet."""

    def __init__(self, target: RetryingTarget) -> None:
        self._target = target
        self._namespaces: list[str] | None = None

    async def among(self, ids: Sequence[RecordId], namespace: str) -> list[RecordId]:
        """Those of the ids which a write to this namespace would replace."""
        found = (await self._target.fetch(ids, namespace, vectors=False)).ids
        if self._target.capabilities.ids.per_namespace:
            return found
        if self._namespaces is None:
            self._namespaces = await self._target.namespaces()
        for other in self._namespaces:
            known = set(found)
            rest = [item for item in ids if item not in known]
            if other != namespace and rest:
                found = [*found, *(await self._target.fetch(rest, other, vectors=False)).ids]
        return found
