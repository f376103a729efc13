"""What Prometheus reads: calls of tools and refusals counted in this process, migrations as the state file has them.

Figures of migrations come from the state file at the moment of the scrape, so they cover migrations that other
processes run and survive a restart; what only this process can know (retries by operation, phases, commits) comes from
the events of the engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import anyio.to_thread
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from vectormigrate.engine.events import Event, PageCommitted, PhaseChanged, Retrying
from vectormigrate.server.telemetry.migrations import MOST_MIGRATIONS, MigrationCollector

if TYPE_CHECKING:
    from vectormigrate.service import Service

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

FRESH_SECONDS = 2.0
"""Two scrapes closer together than this share one look at the state file."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The series of one server. Every label has few values: no ids of records, no addresses, no texts of callers."""

    def __init__(self, tools: Iterable[str] = ()) -> None:
        """`tools` are the names that may become a label; any other name is counted as `other`."""
        self.registry = CollectorRegistry()
        self.tools = set(tools)
        self._migrations = MigrationCollector()
        self.registry.register(self._migrations)
        self._looked = 0.0
        self._committing: dict[str, None] = {}
        registry = self.registry
        self.calls = Counter(
            "vectormigrate_tool_calls",
            "Calls of tools, by outcome.",
            ["tool", "transport", "outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "vectormigrate_tool_seconds",
            "Time that calls of tools took.",
            ["tool"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.messages = Counter(
            "vectormigrate_messages",
            "Requests that are no calls of tools.",
            ["method", "transport", "outcome"],
            registry=registry,
        )
        self.refused = Counter(
            "vectormigrate_http_refused", "HTTP requests refused before any work.", ["reason"], registry=registry
        )
        self.limited = Counter(
            "vectormigrate_rate_limited", "Requests beyond a limit, by owner of the key.", ["key"], registry=registry
        )
        self.streams = Gauge("vectormigrate_open_streams", "Event streams that are open.", registry=registry)
        self.audit_lines = Counter("vectormigrate_audit_lines", "Lines written to the audit log.", registry=registry)
        self.audit_failures = Counter(
            "vectormigrate_audit_failures", "Audit lines that could not be written.", registry=registry
        )
        self.retries = Counter(
            "vectormigrate_engine_retries",
            "Tries again of database operations in this process.",
            ["operation"],
            registry=registry,
        )
        self.commits = Counter(
            "vectormigrate_engine_commits", "Pages committed by this process.", ["migration"], registry=registry
        )
        self.phases = Counter(
            "vectormigrate_engine_phases",
            "Phases that migrations entered in this process.",
            ["phase"],
            registry=registry,
        )

    def tool_label(self, name: str) -> str:
        """The tool as a label."""
        return name if name in self.tools else "other"

    def listen(self, event: Event) -> None:
        """Count an event of the engine; give this, or a listener that calls it, to every run of this process."""
        match event:
            case Retrying():
                self.retries.labels(event.operation).inc()
            case PageCommitted():
                self._count_commit(event.migration_id)
            case PhaseChanged():
                self.phases.labels(str(event.phase)).inc()
            case _:
                pass

    def _count_commit(self, migration_id: str) -> None:
        self.commits.labels(migration_id).inc()
        self._committing.pop(migration_id, None)
        self._committing[migration_id] = None
        if len(self._committing) > MOST_MIGRATIONS:
            oldest = next(iter(self._committing))
            del self._committing[oldest]
            self.commits.remove(oldest)

    async def exposition(self, service: Service) -> bytes:
        """The text for one scrape, made on a thread: hundreds of migrations take a while. A state file that cannot be
        read shows as `vectormigrate_state_readable 0`."""
        if time.monotonic() - self._looked > FRESH_SECONDS:
            self._looked = time.monotonic()
            await self._migrations.look(service)
        return await anyio.to_thread.run_sync(generate_latest, self.registry)
