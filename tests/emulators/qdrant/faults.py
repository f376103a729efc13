"""What goes wrong on purpose. A test sets rules through `POST /_emulator/faults`; matching calls use them up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.emulators.qdrant.errors import Refused

TEXTS = {
    429: "Rate limiting exceeded: Write rate limit exceeded: Operation requires 10 tokens but only 0.0 were available.",
    500: "Service internal error: something went wrong",
    502: "bad gateway",
    503: "Shard temporarily unavailable: the shard is being moved",
    507: "Insufficient storage: the node's quota is used up",
}


@dataclass(slots=True, kw_only=True)
class Rule:
    """`operation`: `upsert`, `scroll`, … or `*`. `kind`: `status` (answer with it), `reset` (cut the connection),
    `late` (apply, then never answer), `lost` (apply, then answer 500), `update_status` (answer a write with it),
    `stale` (a read without the points of the last upsert), `text` (of the refusal). `times`: how often."""

    operation: str
    kind: str
    status: int = 0
    text: str = ""
    retry_after: int | None = None
    update_status: str = ""
    skip: int = 0
    times: int = 1


class Faults:
    """The rules that still count."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.calls: dict[str, int] = {}

    def add(self, rule: dict[str, Any]) -> None:
        self.rules.append(Rule(**rule))

    def take(self, operation: str) -> Rule | None:
        """The rule that this call meets, used up by one."""
        self.calls[operation] = self.calls.get(operation, 0) + 1
        for rule in self.rules:
            if rule.operation not in (operation, "*"):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            rule.times -= 1
            if rule.times <= 0:
                self.rules.remove(rule)
            return rule
        return None


def refusal(rule: Rule) -> Refused:
    return Refused(rule.status, rule.text or TEXTS.get(rule.status, "refused on purpose"), rule.retry_after)
