"""One request's look at the state: what it may see, and the LSNs that it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.emulators.pinecone.faults import Knobs
from tests.emulators.pinecone.state import Record, Space, read_token, token_of


@dataclass(slots=True)
class View:
    """`headers` are those of the reply."""

    knobs: Knobs
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def write(self, space: Space, changes: list[tuple[str, Record | None]]) -> None:
        """Apply the changes as one request."""
        lsn = space.write(changes)
        if self.knobs.lag == 0:
            space.catch_up()
        self._header("x-pinecone-request-lsn", lsn)

    def records(self, space: Space) -> dict[str, Record]:
        """What fetch, list and stats see."""
        return space.records(head=not self.knobs.stale_reads)

    def search_records(self, space: Space) -> dict[str, Record]:
        """What a query sees; enough queries make the index catch up."""
        space.polls += 1
        if self.knobs.lag is not None and space.polls > self.knobs.lag:
            space.catch_up()
        self._header("x-pinecone-max-indexed-lsn", space.indexed_lsn)
        return space.records(head=False)

    def page(self, space: Space | None, prefix: str, token: str | None, limit: int) -> tuple[list[str], str | None]:
        """A page of ids and the token behind it."""
        after = self.after(token, prefix)
        if space is None:
            return [], None
        ids, more = space.page(prefix, after, limit, head=not self.knobs.stale_reads)
        return ids, self.token(ids[-1], prefix) if more else None

    def token(self, last: str, prefix: str) -> str:
        """The token behind `last`."""
        return token_of(last, prefix, self.knobs.token_epoch)

    def after(self, token: str | None, prefix: str) -> str:
        """The id behind which a listing goes on."""
        return read_token(token, prefix, self.knobs.token_epoch) if token and not self.knobs.pages_back else ""

    def _header(self, name: str, lsn: int) -> None:
        if not self.knobs.no_lsn:
            self.headers[name] = str(lsn)
