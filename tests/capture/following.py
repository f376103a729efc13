"""Whether the records that a client's call changed are those that its requests were said to touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from tests import natively
from tests.capture import tables
from tests.capture.requests import frame
from tests.support.recording import Exchange, Recording
from vectormigrate.adapter.choosing import Listed
from vectormigrate.adapter.operations import Change, Chosen, CollectionFacts, Effect, Keys
from vectormigrate.capture.classify import Head, Touch, classify, question, touched_by_answer, touched_by_message
from vectormigrate.capture.gateway.asking import MOST, Asker
from vectormigrate.capture.gateway.ports import Upstream
from vectormigrate.config.settings import Endpoint

Place = tuple[str, str]
"""Namespace and id, as text."""


@dataclass(kw_only=True)
class Following:
    """A collection at which a client works through the recording's proxies; it is read past them, with the vendor's
    own client. `address`: its name in touches. `seen`: the operations of every request. `server`: where the
    server is, for REST and for gRPC; there it is asked which records a filter chooses, before the request arrives."""

    name: str
    recording: Recording
    endpoint: Endpoint
    address: str | None
    facts: Mapping[str, CollectionFacts] = field(default_factory=dict[str, CollectionFacts])
    seen: set[str] = field(default_factory=set[str])
    server: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        if any(self.server):
            self.recording.before = self._ask

    def records(self) -> dict[Place, natively.NativeRecord]:
        """What the collection holds now."""
        return {(record.namespace, str(record.id)): record for record in anyio.run(natively.read, self.endpoint)}

    def step(self, act: Callable[[], object], *, read: bool = True) -> tuple[list[Touch], set[Place]]:
        """What the requests of this act touched, reads left out, and which records it changed. Every change is one
        that was said. `read`: the collection exists before and after."""
        before = self.records() if read else {}
        self.recording.taken()
        act()
        exchanges = self.recording.taken()
        touches = [touch for exchange in exchanges for touch in self.touches(exchange)]
        after = self.records() if read else {}
        changed = {place for place in before.keys() | after.keys() if before.get(place) != after.get(place)}
        for place in changed:
            assert self.covered(place, touches), (place, touches)
        self._chosen(exchanges, {record_id for _, record_id in changed})
        return [touch for touch in touches if touch.effect not in (Effect.READ, Effect.NONE)], changed

    def _ask(self, exchange: Exchange) -> Listed | None:
        """The records that the filter of a request chooses, as the gateway would ask for them."""
        host, _, port = self.server[exchange.grpc].removeprefix("http://").rpartition(":")
        head, body = _head(exchange), _body(exchange)
        asked = question(tables.operations(self.name), head, body, self.facts, most=MOST)
        if asked is None:
            return None

        async def ask() -> Listed | None:
            asker = Asker(Upstream(host=host, port=int(port)))
            try:
                return await asker.ask(asked, head.headers)
            finally:
                await asker.close()

        return anyio.run(ask)

    def _chosen(self, exchanges: Sequence[Exchange], changed: set[str]) -> None:
        """A request with a filter changes the records that were listed for it, and no other."""
        if not any(self.server):
            return
        for exchange in exchanges:
            for touch in self.touches(exchange):
                for scope in touch.scopes:
                    if scope.chosen is Chosen.FILTER and not touch.stepwise:
                        assert exchange.kept is not None
                        assert exchange.kept.complete
                        listed = set(map(str, exchange.kept.ids))
                        assert listed == changed if scope.change is Change.DELETE else listed >= changed

    def touches(self, exchange: Exchange) -> list[Touch]:
        """Of the request, of its messages, and of the ids in its answer."""
        operations = tables.operations(self.name)
        head, body = _head(exchange), _body(exchange)
        found = [classify(operations, head, body, self.facts)]
        assert found[0].operation or exchange.method in operations.reading, f"{exchange.method} {exchange.path}"
        self.seen.add(found[0].operation or exchange.method)
        if found[0].stream:
            found += [touched_by_message(operations, head, message, self.facts) for message in exchange.body]
        if found[0].assigned and exchange.ok:
            answer = b"".join(map(frame, exchange.answer)) if exchange.grpc else exchange.answer[0]
            told = touched_by_answer(operations, head, body, exchange.answer_headers, answer, self.facts)
            assert told.effect is Effect.KEYS, told
            found.append(told)
        return found

    def covered(self, place: Place, touches: list[Touch]) -> bool:
        """Whether one of them says that this record may have changed. New records are only covered by their ids."""
        namespace, record_id = place
        for touch in touches:
            for keys in touch.keys:
                if self._here(keys.collection, keys.namespace, namespace) and record_id in map(str, keys.ids):
                    return True
            for scope in touch.scopes:
                if scope.chosen is not Chosen.ASSIGNED and self._here(scope.collection, scope.namespace, namespace):
                    return True
        return False

    def _here(self, collection: str | None, namespace: str | None, wanted: str) -> bool:
        return collection in (None, self.address) and namespace in (None, wanted)


def _head(exchange: Exchange) -> Head:
    return Head(exchange.method, exchange.path, exchange.headers)


def _body(exchange: Exchange) -> bytes:
    return b"".join(map(frame, exchange.body)) if exchange.grpc else exchange.body[0]


def ids(touches: list[Touch]) -> set[str]:
    """Every id that they name."""
    groups: list[Keys] = [keys for touch in touches for keys in touch.keys]
    return {str(record_id) for keys in groups for record_id in keys.ids}


def named_exactly(found: tuple[list[Touch], set[Place]]) -> set[str]:
    """The ids of a step that names every record it changes, and no scope."""
    touches, changed = found
    assert [touch for touch in touches if touch.scopes] == []
    assert {record_id for _, record_id in changed} == ids(touches), "said and changed"
    return ids(touches)


def scoped(found: tuple[list[Touch], set[Place]]) -> Chosen:
    """How the server chose the records of a step that names none."""
    touches, changed = found
    assert changed
    assert ids(touches) == set()
    (scope,) = [scope for touch in touches for scope in touch.scopes]
    return scope.chosen
