"""The one retry policy of the product.

Vendor clients do not retry, adapters raise what these raise, and everything above reads and writes through the wrappers
made here: they turn vendor errors into ours, by the adapter's `classify`, and try again what is worth it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from vectormigrate.adapter import Capabilities, Eventual, Hits, IndexReport, Queries, Reject, Source, Target, unreported
from vectormigrate.adapter.vendor_errors import Classify, translated
from vectormigrate.engine.events import Listener, Retrying, ignore
from vectormigrate.engine.throttle import STOP_CHECK_SECONDS, AdaptiveLimiter
from vectormigrate.errors import AdapterError, End, Interrupted, RateLimited, TransientError
from vectormigrate.figures import duration
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, Json

T = TypeVar("T")

COUNTED_AT_ONCE = 1_000
"""Namespaces in one call of `counts`."""


@dataclass(slots=True, kw_only=True)
class RetryPolicy:
    """`max_retries` further tries after a transient failure; being rate-limited is not a failure and gets ten times as
    many. Waits are random up to `base · 2^n` seconds, at most `cap`; a Retry-After is waited in full up to `longest`:
    what a server asks for may be a mistake, or a day. A wait ends with Interrupted when `stopping` becomes true."""

    max_retries: int = 3
    base: float = 0.25
    cap: float = 30.0
    longest: float = 300.0
    stopping: Callable[[], bool] = lambda: False
    listener: Listener = ignore
    _retries: int = field(default=0, init=False)

    def take(self) -> int:
        """How often anything was tried again since the last call of this method."""
        taken, self._retries = self._retries, 0
        return taken

    async def call(
        self, operation: str, work: Callable[[], Awaitable[T]], retried: type[TransientError] = TransientError
    ) -> T:
        """The result of `work`, which raises our errors, tried again as the policy allows after those that are
        `retried`; the last one is raised."""
        failures = 0
        backoff = wait_random_exponential(multiplier=self.base, max=self.cap)

        def stop(state: RetryCallState) -> bool:
            nonlocal failures
            limited = isinstance(_error(state), RateLimited)
            failures += 1 if limited else 10
            return failures > 10 * self.max_retries

        def wait(state: RetryCallState) -> float:
            error = _error(state)
            asked = error.retry_after if isinstance(error, RateLimited) else None
            return backoff(state) if asked is None else min(asked, self.longest)

        def report(state: RetryCallState) -> None:
            self._retries += 1
            self.listener(
                Retrying(
                    operation=operation,
                    attempt=state.attempt_number,
                    delay=state.upcoming_sleep,
                    reason=self._reason(state),
                )
            )

        attempts = AsyncRetrying(
            retry=retry_if_exception_type(retried),
            stop=stop,
            wait=wait,
            sleep=self._sleep,
            before_sleep=report,
            reraise=True,
        )

        return await attempts(work)

    async def _sleep(self, seconds: float) -> None:
        """Wait in slices, each of which looks whether the run is to stop."""
        until = anyio.current_time() + seconds
        while (left := until - anyio.current_time()) > 0:
            if self.stopping():
                raise Interrupted("stopped while waiting for a database to take more; nothing is lost")
            await anyio.sleep(min(left, STOP_CHECK_SECONDS))

    def _reason(self, state: RetryCallState) -> str:
        error = _error(state)
        if isinstance(error, RateLimited) and error.retry_after is not None and error.retry_after > self.longest:
            return f"{error} (it asks to wait {duration(error.retry_after)}; the next try is sooner)"
        return str(error)


@contextmanager
def located(end: End | None) -> Generator[None]:
    """Errors of a database that leave the block name `end`, unless they know better."""
    try:
        yield
    except AdapterError as error:
        error.end = error.end or end
        raise


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


class RetryingSource:
    """A Source on which every call, and every page of a scan, is tried again as the policy allows."""

    def __init__(self, inner: Source, classify: Classify, policy: RetryPolicy, end: End | None = None) -> None:
        """`classify` of the adapter; `end`: whose errors they are."""
        self._source = inner
        self._classify = classify
        self.policy = policy
        self._end = end

    @contextmanager
    def _ours(self, operation: str) -> Generator[None]:
        with located(self._end), translated(self._classify, operation):
            yield

    async def _call(self, operation: str, work: Callable[[], Awaitable[T]]) -> T:
        async def attempt() -> T:
            with self._ours(operation):
                return await work()

        return await self.policy.call(operation, attempt)

    @property
    def capabilities(self) -> Capabilities:
        return self._source.capabilities

    async def describe(self) -> CollectionSchema:
        return await self._call("describe", self._source.describe)

    async def namespaces(self) -> list[str]:
        return await self._call("namespaces", self._source.namespaces)

    async def count(self, namespace: str | None = None) -> int:
        return await self._call("count", lambda: self._source.count(namespace))

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """As Source.counts, in parts, so that a failure does not begin again with thousands."""
        found: dict[str, int] = {}
        for start in range(0, len(namespaces), COUNTED_AT_ONCE):
            part = namespaces[start : start + COUNTED_AT_ONCE]
            found |= await self._call("count", lambda part=part: self._source.counts(part))
        return found

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        return await self._call("partitions", lambda: self._source.partitions(target_n, namespaces))

    async def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        """As Source.scan; after a failure the scan is opened again behind the last page that arrived, and a page that
        arrives renews the budget of retries."""
        position = after

        def reopen() -> AsyncGenerator[Page, None]:
            return self._source.scan(partition, position, vectors=vectors, page_rows=page_rows)

        pages = reopen()
        broken = False

        async def next_page() -> Page | None:
            nonlocal pages, broken
            if broken:
                await pages.aclose()
                pages = reopen()
            broken = True
            page = await anext(pages, None)
            broken = False
            return page

        try:
            while (page := await self._call("scan", next_page)) is not None:
                position = page.cursor
                yield page
        finally:
            await pages.aclose()

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        return await self._call("fetch", lambda: self._source.fetch(ids, namespace, vectors=vectors))

    @property
    def eventual(self) -> bool:
        """Whether fetches may lag behind writes that were acknowledged."""
        return isinstance(self._source, Eventual)

    async def freshen(self, namespace: str) -> None:
        """As Eventual.freshen; nothing where reads are strong."""
        source = self._source
        if isinstance(source, Eventual):
            await self._call("freshen", lambda: source.freshen(namespace))

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        return await self._call("search", lambda: self._source.search(vector, queries, k, namespace))

    async def server(self) -> str:
        return await self._call("server", self._source.server)


class RetryingTarget(RetryingSource):
    """A Target on which every call is tried again, and whose writes share one adaptive limiter.

    `resend` False: a write whose outcome is unknown is not sent again, because the first one may yet take effect after
    what others write meanwhile; only what the server refused for its rate is."""

    def __init__(
        self,
        inner: Target,
        classify: Classify,
        policy: RetryPolicy,
        limiter: AdaptiveLimiter,
        end: End | None = None,
    ) -> None:
        super().__init__(inner, classify, policy, end)
        self._target = inner
        self.limiter = limiter
        self.resend = True

    async def _write(self, operation: str, work: Callable[[], Awaitable[T]]) -> T:
        return await self.policy.call(operation, work, TransientError if self.resend else RateLimited)

    async def create(self, schema: CollectionSchema) -> None:
        # Not retried: after an unknown outcome the next try would say "exists"; a resume sorts that out.
        with self._ours("create"):
            await self._target.create(schema)

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        await self._call("make_namespaces", lambda: self._target.make_namespaces(namespaces))

    async def set_note(self, note: Json) -> None:
        await self._call("set_note", lambda: self._target.set_note(note))

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        async def attempt() -> list[Reject]:
            async with self.limiter.slot() as generation:
                try:
                    with self._ours("upsert"):
                        rejects = await self._target.upsert(batch)
                except TransientError:
                    self.limiter.overloaded(generation)
                    raise
            self.limiter.succeeded()
            return rejects

        return await self._write("upsert", attempt)

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        async def attempt() -> None:
            with self._ours("delete"):
                await self._target.delete(ids, namespace)

        await self._write("delete", attempt)

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        return await self._call("finalize", lambda: self._target.finalize(wait=wait, report=report))

    async def drop(self) -> None:
        await self._call("drop", self._target.drop)


__all__ = ["RetryPolicy", "RetryingSource", "RetryingTarget", "located"]
