"""Whether a read can be believed: it must not contradict what touched the key last, unless it does so for good.

What deletes a key leaves it absent, anything else present. A read that shows the opposite may be a moment old (a
replica that lags, an index that is behind), so it is made again until reads have had time to settle. By then it is
true: the request was refused, or others arrived in another order than they were noted.

The vendors' reads, as the adapters make them: Milvus reads at the level Strong, Weaviate and Qdrant ask as many
replicas as overlap with every acknowledged write (`consistency` in their settings weakens that), Qdrant Edge and a
collection in memory have one copy. Pinecone is eventually consistent: `freshen` waits until queries see the writes,
and has no promise about fetches, so a key of it is read only after it was left alone for that time. An older value
under the same id is not noticed here; the verifier's read, later, is what finds it.
"""

from __future__ import annotations

from vectormigrate.capture.journal.intents import Clock
from vectormigrate.capture.journal.records import DirtyKey
from vectormigrate.capture.keys import Key
from vectormigrate.model.clock import steady_milliseconds

SETTLE_SECONDS = 2.0


class Witness:
    """Knows which reads contradicted their key, and since when. `settle` in seconds; `eventual`: reads of this side may
    be older than writes that were acknowledged."""

    def __init__(
        self, settle: float = SETTLE_SECONDS, clock: Clock = steady_milliseconds, *, eventual: bool = False
    ) -> None:
        self._settle = round(settle * 1000)
        self._eventual = eventual
        self._ripening: dict[Key, tuple[int, int]] = {}
        self._clock = clock
        self._since: dict[Key, tuple[int, int]] = {}
        self.unwitnessed = 0
        """Reads that contradicted their key to the end and were believed then."""

    def ripe(self, dirty: DirtyKey) -> bool:
        """Whether the key can be read by now, of which no request is under way."""
        if not self._eventual:
            return True
        now = self._clock()
        seq, since = self._ripening.get(dirty.key, (dirty.seq, now))
        if seq != dirty.seq:
            since = now
        if now - since < self._settle:
            self._ripening[dirty.key] = dirty.seq, since
            return False
        # It stays known as ripe: a read that fails, or is not believed, is made again at once.
        self._ripening[dirty.key] = dirty.seq, since
        return True

    def settled(self, key: Key) -> None:
        """The key is clean."""
        self._ripening.pop(key, None)

    def believes(self, dirty: DirtyKey, *, present: bool) -> bool:
        """Whether to act on a read of this key. When not, it is to be read again."""
        if present is not dirty.deleted:
            self._since.pop(dirty.key, None)
            return True
        now = self._clock()
        seq, since = self._since.get(dirty.key, (dirty.seq, now))
        if seq != dirty.seq:
            since = now
        if now - since < self._settle:
            self._since[dirty.key] = dirty.seq, since
            return False
        self._since.pop(dirty.key, None)
        self.unwitnessed += 1
        return True
