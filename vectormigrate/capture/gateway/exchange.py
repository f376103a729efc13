"""One request, from the first question of Envoy to the answer of the server.

The order is the whole point: the intent is on the disk before the body is let through, and what is not answered by the
server itself stays in doubt. A conversation that ends early, for whatever reason, leaves a note of that.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from vectormigrate.adapter.wire_walker import Unreadable
from vectormigrate.capture.classify import Head, Touch, classify, is_stream, touched_by_message
from vectormigrate.capture.gateway.admission import Admissions, Collection, Decision, Noted, answer_touch
from vectormigrate.capture.gateway.messages import (
    CONTINUE_REQUEST_BODY,
    CONTINUE_REQUEST_HEADERS,
    CONTINUE_RESPONSE_BODY,
    CONTINUE_RESPONSE_HEADERS,
    CONTINUE_RESPONSE_TRAILERS,
    VIA_UPSTREAM,
    Passes,
    Refusal,
    code_details,
    header_map,
    is_definite,
    is_refusal,
    took_no_effect,
    trailer_map,
    unexpected,
)
from vectormigrate.capture.walker import Frames

Messages = AsyncIterator[Any]


@dataclass(slots=True)
class Exchange:
    """A request and what is known of it so far."""

    admissions: Admissions
    collection: Collection
    passes: Passes
    head: Head = field(default_factory=lambda: Head("", ""))
    body: bytes = b""
    noted: list[Noted] = field(default_factory=list[Noted])
    answer_headers: dict[str, str] = field(default_factory=dict[str, str])
    definite: bool = False
    streaming: bool = False
    over: bool = False

    async def run(self, messages: Messages) -> AsyncGenerator[bytes]:
        """The answers to Envoy's messages, one each, until how the request ended is known."""
        try:
            async for answer in self._request(messages):
                yield answer
            async for message in messages:
                yield self._response(message)
                if self.over:
                    return
        finally:
            self._settle(None)

    async def _request(self, messages: Messages) -> AsyncGenerator[bytes]:
        """Until the request is let through or refused; a refusal ends the conversation."""
        first = await anext(messages)
        if first.WhichOneof("request") != "request_headers":
            unexpected(first.WhichOneof("request"))
        headers = header_map(first.request_headers)
        self.head = Head(headers.get(":method", ""), headers.get(":path", ""), headers)
        if first.request_headers.end_of_stream:
            yield self._answer(await self._decide(b""), self.passes.headers)
            return
        if is_stream(self.collection.operations, self.head):
            self.streaming = True
            async for answer in self._stream(messages):
                yield answer
            return
        yield CONTINUE_REQUEST_HEADERS
        second = await anext(messages)
        if second.WhichOneof("request") != "request_body":
            unexpected(second.WhichOneof("request"))
        yield self._answer(await self._decide(second.request_body.body), self.passes.body)

    async def _decide(self, body: bytes) -> Decision:
        decision = await self.admissions.decide(self.collection, self.head, body)
        if isinstance(decision, Noted):
            self.noted.append(decision)
            if decision.assigned:
                self.body = body
        return decision

    def _answer(self, decision: Decision, let_through: bytes) -> bytes:
        return decision.message() if isinstance(decision, Refusal) else let_through

    async def _stream(self, messages: Messages) -> AsyncGenerator[bytes]:
        """A call in which the client goes on sending: the slice that completes a message waits for its intent."""
        frames: Frames | None = Frames(self.head.headers)
        yield self.passes.headers
        async for message in messages:
            if message.WhichOneof("request") != "request_body":
                # The server answers while the client still sends.
                yield self._response(message)
                continue
            chunk = message.request_body
            frames = await self._feed(frames, chunk.body)
            yield CONTINUE_REQUEST_BODY
            if chunk.end_of_stream:
                return

    async def _feed(self, frames: Frames | None, data: bytes) -> Frames | None:
        """Note what the slice completes; None after something that cannot be read: then every slice may be anything."""
        if frames is None:
            await self._note(None)
            return None
        try:
            completed = frames.feed(data)
        except Unreadable:
            await self._note(None)
            return None
        for message in completed:
            await self._note(touched_by_message(self.collection.operations, self.head, message, self.collection.facts))
        return frames

    async def _note(self, touch: Touch | None) -> None:
        """Of a message of a stream. It is never refused: clients lose what is refused in a stream without an error."""
        if touch is None:
            unknown = Head("POST", "/unreadable", self.head.headers)
            touch = classify(self.collection.operations, unknown, b"", self.collection.facts)
        decision = await self.admissions.decide_touch(self.collection, touch, self.head, patient=True)
        if isinstance(decision, Noted):
            self.noted.append(decision)
        elif isinstance(decision, Refusal):
            raise ValueError(decision.text)

    def _response(self, message: Any) -> bytes:
        match message.WhichOneof("request"):
            case "response_headers":
                self.answer_headers = header_map(message.response_headers)
                ended = message.response_headers.end_of_stream
                # A call that stays open is decided by its end: headers come before its messages are worked on.
                self.definite = is_definite(code_details(message), self.answer_headers) and (
                    ended or not self.streaming
                )
                if ended or not (self.streaming or self._is_named_by_answer()):
                    self._settle(None)
                    self.over = True
                return CONTINUE_RESPONSE_HEADERS
            case "response_body":
                touch = None
                if message.response_body.end_of_stream and self.definite:
                    body = message.response_body.body
                    touch = answer_touch(self.collection, self.head, self.body, self.answer_headers, body)
                self._settle(touch)
                return CONTINUE_RESPONSE_BODY
            case "response_trailers":
                trailers = trailer_map(message.response_trailers)
                self.definite = is_definite(VIA_UPSTREAM, {":status": "200", **trailers})
                self._settle(None)
                return CONTINUE_RESPONSE_TRAILERS
            case kind:
                unexpected(kind)

    def _is_named_by_answer(self) -> bool:
        """Whether the answer has to be read for the ids that the server made."""
        return self.definite and not is_refusal(self.answer_headers) and any(noted.assigned for noted in self.noted)

    def _settle(self, touch: Touch | None) -> None:
        """Say how everything noted ended; what is called twice has nothing left."""
        noted, self.noted = self.noted, []
        refused = self.definite and is_refusal(self.answer_headers)
        # The status of a stream is about the message in which it ended.
        final = refused and not self.streaming
        for each in noted:
            no_effect = final and took_no_effect(self.answer_headers, known=each.known, stepwise=each.stepwise)
            self.admissions.ended(
                self.collection, each, definite=self.definite, refused=refused, touch=touch, no_effect=no_effect
            )
