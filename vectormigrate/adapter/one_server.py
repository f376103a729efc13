"""Whether both interfaces of a database lead to one server: collections are made over REST, records go over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from vectormigrate.adapter.polling import Poll
from vectormigrate.errors import TerminalError

SECONDS = 2.0
"""Nodes of a cluster learn of changes one after another, and records change while we look."""

T = TypeVar("T")


class Differs(Exception):
    """Why these seem to be two servers. `passing`: the nodes of one cluster could differ so for a moment."""

    def __init__(self, why: str, *, passing: bool = True) -> None:
        super().__init__(why)
        self.passing = passing


@dataclass(frozen=True, slots=True, kw_only=True)
class Interfaces:
    """The addresses of both, and what to do when they are two servers."""

    adapter: str
    rest: str
    grpc: str
    advice: str

    async def compared(self, look: Callable[[], Awaitable[T]]) -> T:
        """What `look` returns. Raises TerminalError for a difference that stays: no record of a batch is to blame, so
        it is no InvalidRequest, for which the engine would try every record alone."""
        poll = Poll(SECONDS)
        while True:
            try:
                return await look()
            except Differs as error:
                if not error.passing or not await poll.again():
                    raise self._two_servers(error) from None

    def _two_servers(self, why: Differs) -> TerminalError:
        message = f"gRPC at {self.grpc} is another server than REST at {self.rest}: {why}. {self.advice}"
        return TerminalError(message, adapter=self.adapter, operation="open")
