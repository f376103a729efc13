"""What a request touches, and which requests need not be looked at because they only read. Pure: no I/O, no clock.

Reads are an allow-list. What fits no row of the table, or cannot be read as its row demands, is a change of unknown
scope. Nothing here raises for what a client sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache

from vectormigrate.adapter.choosing import Question
from vectormigrate.adapter.operations import (
    Change,
    Chosen,
    CollectionFacts,
    Effect,
    Found,
    Keys,
    Operation,
    Operations,
    Request,
    Scope,
    segment,
)
from vectormigrate.adapter.wire_walker import Unreadable
from vectormigrate.capture import walker

_PLAIN = r"[!\"$&-\-0->@-\[\]-~]"
_CODE = "[013-9A-Fa-f][0-9A-Fa-f]|2[0-9A-Da-d]"
_SEGMENT = rf"(?:\.*(?:{_PLAIN}|%(?:{_CODE})))+\.*"
_SLASHES = rf"(?:(?:\.|%2[Ee])*(?:{_PLAIN}|%(?:{_CODE}|2[Ff])))+(?:\.|%2[Ee])*"
"""A segment of a path as it came: not dots alone, which servers fold away, and neither a slash nor a dot that is
encoded (they may be where the template says so, as in namespaces, which clients encode in full). Legal in RE2, which
Envoy uses, and small: it refuses a regex with a program of more than 100 steps."""

LONGEST_KEPT = 512
"""Characters of a path whose row is kept in memory."""

_NAME = re.compile(r"\{([a-z_]+)(\+?)\}")

Facts = Mapping[str, CollectionFacts]


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request. `path`: as it came, with the query. `headers`: names in lower case; the values of one that
    comes twice are joined by a comma, so that none is overlooked."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Touch:
    """What a request, or its answer, touches. `keys` and `scopes` are of an effect KEYS or SCOPE; for SCHEMA and WHOLE
    `scopes` has the collections. `operation`: the row's name, empty for none. `stream`: its messages must be read one
    by one (`touched_by_message`). `reason`: why the scope is unknown. `stepwise`: as the row's. `early`: it may
    be answered before it takes effect."""

    effect: Effect
    operation: str = ""
    keys: tuple[Keys, ...] = ()
    scopes: tuple[Scope, ...] = ()
    stream: bool = False
    reason: str = ""
    stepwise: bool = False
    early: bool = False

    @property
    def assigned(self) -> bool:
        """Whether ids come with the answer: `touched_by_answer`."""
        return any(scope.chosen is Chosen.ASSIGNED for scope in self.scopes)


@dataclass(frozen=True, slots=True)
class Route:
    """Requests by their method and a regex (RE2) that the whole path fits, without the query."""

    method: str
    regex: str


def classify(operations: Operations, head: Head, body: bytes, facts: Facts | None = None) -> Touch:
    """What this request touches. `facts`: of the collections that are migrated, by every name they have. Never raises;
    what cannot be read is of unknown scope."""
    matched = _match(operations, head)
    if isinstance(matched, Touch):
        return matched
    operation, parts = matched
    if operation.effect in (Effect.READ, Effect.NONE):
        return Touch(effect=operation.effect, operation=operation.name)
    if is_stream(operations, head):
        return Touch(effect=Effect.KEYS, operation=operation.name, stream=True)

    def read(found: Found) -> None:
        unpacked = walker.messages if operation.grpc else _one
        held = unpacked(body, head.headers)
        if not held:
            raise Unreadable("the request holds no message")
        for message in held:
            _apply(operations, operation, parts, head, facts or {}, message, found)

    return _touch(operations, operation, parts, read)


def is_stream(operations: Operations, head: Head) -> bool:
    """Whether the messages of this request must be read one by one: `Touch.stream`, known before its body is."""
    matched = _match(operations, head)
    return not isinstance(matched, Touch) and matched[0].stream and matched[0].effect is Effect.KEYS


def touched_by_message(operations: Operations, head: Head, message: bytes, facts: Facts | None = None) -> Touch:
    """What one message of a stream touches (walker.Frames cuts them); Effect.NONE for one that changes nothing. Never
    raises."""
    matched = _match(operations, head)
    if isinstance(matched, Touch):
        return matched
    operation, parts = matched
    return _touch(
        operations,
        operation,
        parts,
        lambda found: _apply(operations, operation, parts, head, facts or {}, message, found),
    )


def touched_by_answer(
    operations: Operations,
    head: Head,
    body: bytes,
    answer_headers: Mapping[str, str],
    answer: bytes,
    facts: Facts | None = None,
) -> Touch:
    """The records whose ids the server made, from its answer to a request with `Touch.assigned` that it did not refuse
    by a status of HTTP or gRPC. The request's own keys and scopes are not repeated. An answer that cannot be read, or
    holds no ids, leaves the scope: the ids of the new records are unknown. Never raises."""
    matched = _match(operations, head)
    if isinstance(matched, Touch):
        return matched
    operation, parts = matched

    def read(found: Found) -> None:
        asked = walker.messages(body, head.headers) if operation.grpc else _one(body, head.headers)
        told = walker.messages(answer, answer_headers) if operation.grpc else _one(answer, answer_headers)
        if operation.answer is None or len(asked) != 1 or len(told) != 1:
            raise Unreadable("an answer without ids")
        operation.answer(_request(operations, parts, head, facts or {}, asked[0]), told[0], found)

    return _touch(operations, operation, parts, read)


def question(
    operations: Operations, head: Head, body: bytes, facts: Facts | None = None, *, most: int
) -> Question | None:
    """What to ask the server for the ids, at most so many, that this request chooses by a filter; None where there is
    no such question. Never raises."""
    matched = _match(operations, head)
    if isinstance(matched, Touch) or matched[0].choose is None:
        return None
    operation, parts = matched
    assert operation.choose is not None
    try:
        held = walker.messages(body, head.headers) if operation.grpc else _one(body, head.headers)
        if len(held) != 1:
            return None
        return operation.choose(_request(operations, parts, head, facts or {}, held[0]), most)
    except Exception:
        # Also a mistake in a rule: the scope remains, which is more work and never wrong.
        return None


def reads(operations: Operations) -> list[Route]:
    """The requests that only read, whatever they hold; they need not be looked at. All others must."""
    routes = routes_of(operations, lambda operation: operation.effect is Effect.READ)
    return [*routes, *(Route(method, "/.*") for method in sorted(operations.reading))]


def routes_of(operations: Operations, wanted: Callable[[Operation], bool]) -> list[Route]:
    """The requests of these rows; for streams (`operation.stream`) and for those with ids in the answer
    (`operation.answer`)."""
    return [Route(row.method, _regex(row)) for row in operations.rows if wanted(row)]


def _regex(operation: Operation) -> str:
    if operation.grpc:
        return re.escape(operation.path)
    found = ""
    for part in operation.path.split("/")[1:]:
        name = _NAME.fullmatch(part)
        found += "/" + ((_SLASHES if name[2] else _SEGMENT) if name else re.escape(part))
    return found


_FITS = {"": re.compile(_SEGMENT), "+": re.compile(_SLASHES)}


@dataclass(slots=True)
class _Node:
    """The rows below a path, one segment at a time. `names`: of the template's parts on the way here."""

    static: dict[str, _Node] = field(default_factory=dict[str, "_Node"])
    named: list[tuple[str, str, _Node]] = field(default_factory=list[tuple[str, str, "_Node"]])
    rows: dict[str, Operation] = field(default_factory=dict[str, Operation])


@cache
def _index(operations: Operations) -> tuple[dict[str, Operation], _Node]:
    methods = {row.path: row for row in operations.rows if row.grpc}
    root = _Node()
    for row in operations.rows:
        if row.grpc:
            continue
        node = root
        for part in row.path.split("/")[1:]:
            name = _NAME.fullmatch(part)
            if name is None:
                node = node.static.setdefault(part, _Node())
                continue
            known = [child for key, plus, child in node.named if (key, plus) == name.groups()]
            if not known:
                node.named.append((name[1], name[2], _Node()))
            node = known[0] if known else node.named[-1][2]
        node.rows[row.method] = row
    return methods, root


def _find(node: _Node, segments: Sequence[str], at: int, method: str) -> tuple[Operation, dict[str, str]] | None:
    if at == len(segments):
        row = node.rows.get(method)
        return None if row is None else (row, {})
    below = node.static.get(segments[at])
    found = None if below is None else _find(below, segments, at + 1, method)
    for name, plus, child in node.named if found is None else ():
        if _FITS[plus].fullmatch(segments[at]):
            found = _find(child, segments, at + 1, method)
            if found is not None:
                found[1][name] = segments[at]
                break
    return found


def _match(operations: Operations, head: Head) -> tuple[Operation, Mapping[str, str]] | Touch:
    """The row and the decoded parts of its path, or what a request without a row touches."""
    path = head.path.partition("?")[0]
    find = _matched if len(path) <= LONGEST_KEPT else _matched.__wrapped__
    return find(operations, head.method, path)


@lru_cache(maxsize=4096)
def _matched(operations: Operations, method: str, path: str) -> tuple[Operation, Mapping[str, str]] | Touch:
    methods, root = _index(operations)
    row = methods.get(path)
    if row is not None:
        return (row, {}) if method == row.method else _unknown(reason="a gRPC method that is not called by POST")
    if not path.startswith("/"):
        return _unknown(reason="a path that does not begin with a slash")
    found = _find(root, path[1:].split("/"), 0, method)
    if found is None:
        if method in operations.reading:
            return Touch(effect=Effect.READ)
        return _unknown(reason="an operation that is not known")
    try:
        return found[0], {name: segment(raw) for name, raw in found[1].items()}
    except Unreadable as error:
        return _unknown(found[0].name, str(error))


def _one(body: bytes, headers: Mapping[str, str]) -> list[bytes]:
    return [walker.content(body, headers)]


def _request(operations: Operations, parts: Mapping[str, str], head: Head, facts: Facts, body: bytes) -> Request:
    query = head.path.partition("?")[2]
    return Request(operations.forms, parts, query, head.headers, facts, body)


def _apply(
    operations: Operations,
    operation: Operation,
    parts: Mapping[str, str],
    head: Head,
    facts: Facts,
    message: bytes,
    found: Found,
) -> None:
    if operation.rule is None:
        raise Unreadable("what the operation touches is not in the request")
    request = _request(operations, parts, head, facts, message)
    if operations.early is not None:
        found.early = True  # Unless it is read otherwise.
        found.early = operations.early(request)
    operation.rule(request, found)


def _touch(
    operations: Operations, operation: Operation, parts: Mapping[str, str], read: Callable[[Found], None]
) -> Touch:
    found = Found()
    try:
        read(found)
    except Exception as error:
        # Also a mistake in a rule must not let a change through without a trace.
        reason = str(error) if isinstance(error, Unreadable) else f"{type(error).__name__} while it was read"
        name = parts.get("collection")
        whose = None if name is None else operations.forms.collection(name)
        unknown = _unknown(operation.name, reason, operation.effect, whose)
        return replace(unknown, stepwise=operation.stepwise, early=found.early)
    if found.reads and not found.keys and not found.scopes:
        return Touch(effect=Effect.READ, operation=operation.name)
    effect = operation.effect
    if effect not in (Effect.SCHEMA, Effect.WHOLE):
        effect = Effect.SCOPE if found.scopes else Effect.KEYS if found.keys else Effect.NONE
    keys = tuple(
        Keys(collection=collection, namespace=namespace, change=change, ids=tuple(ids))
        for (collection, namespace, change), ids in found.keys.items()
    )
    return Touch(
        effect=effect,
        operation=operation.name,
        keys=keys,
        scopes=tuple(found.scopes),
        reason=found.reason,
        stepwise=operation.stepwise,
        early=found.early,
    )


def _unknown(name: str = "", reason: str = "", effect: Effect = Effect.SCOPE, collection: str | None = None) -> Touch:
    """Every record of the collection, None: of all, may be changed."""
    kept = effect if effect in (Effect.SCHEMA, Effect.WHOLE) else Effect.SCOPE
    scope = Scope(collection=collection, namespace=None, change=Change.PART, chosen=Chosen.UNKNOWN)
    return Touch(effect=kept, operation=name, scopes=(scope,), reason=reason)
