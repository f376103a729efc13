"""Traces: a call, the job that it starts, and the batches of the job. Nothing of it unless it is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager

import anyio
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.server.toy import listening
from tests.server.world import World, call, client_of, start
from vectormigrate.engine import instrumentation
from vectormigrate.server.telemetry.tracing import is_configured, job_span, traced, tracing

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def exporter() -> Generator[InMemorySpanExporter]:
    """One for the module: a process has one provider of traces."""
    made = InMemorySpanExporter()
    with traced(made, at_once=True):
        yield made


async def test_a_call_leads_by_a_link_to_its_job_and_the_job_to_its_batches(
    world: World, exporter: InMemorySpanExporter
) -> None:
    exporter.clear()
    async with client_of(world, "memory", "auto") as client:
        name = await start(client)
        await call(client, "wait_migration", migration_id=name)
    found = exporter.get_finished_spans()
    (job,) = [span for span in found if span.name == "job run"]
    assert job.attributes is not None
    assert job.attributes["vectormigrate.migration"] == name
    assert job.parent is None
    calls = {span.context.span_id: span for span in found if span.name == "tools/call start_migration" and span.context}
    assert [link.context.span_id in calls for link in job.links] == [True]
    batches = [span for span in found if span.name.startswith("batch ")]
    assert {span.name for span in batches} == {"batch read", "batch map", "batch write", "batch commit"}
    assert {trace_of(span) for span in batches} == {trace_of(job)}
    assert sum(records(span) for span in batches if span.name == "batch write") == 60
    assert sum(records(span) for span in batches if span.name == "batch map") == 60
    assert "t1" not in {str(value) for span in found for value in (span.attributes or {}).values()}


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.trace_id


def records(span: ReadableSpan) -> int:
    number = (span.attributes or {}).get("records", 0)
    assert isinstance(number, int)
    return number


def test_a_job_that_fails_is_marked_without_the_text_of_its_error(exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    with pytest.raises(ValueError, match="secret"), job_span("migrate", "m"):
        raise ValueError("secret detail")
    (job,) = exporter.get_finished_spans()
    assert not job.status.is_ok
    assert "secret" not in job.to_json()
    assert (job.attributes or {})["error.type"] == "ValueError"


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_made_only_when_the_environment_asks(
    variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_configured() is wanted
    if not wanted:
        before = instrumentation.active()
        with tracing():
            assert instrumentation.active() is before


def test_without_traces_nothing_of_opentelemetry_is_loaded_by_the_engine() -> None:
    code = (
        "import sys; from vectormigrate.engine.instrumentation import span\n"
        "from vectormigrate.server.telemetry.tracing import job_span\n"
        "with span('read'), job_span('migrate', 'm'): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@asynccontextmanager
async def collector(received: list[bytes]) -> AsyncGenerator[str]:
    """Something that takes traces as an OTLP collector does."""

    async def take(request: Request) -> Response:
        received.append(await request.body())
        return Response(b"", media_type="application/x-protobuf")

    async with listening(Starlette(routes=[Route("/v1/traces", take, methods=["POST"])])) as url:
        yield url


CHILD = """
from vectormigrate.engine.instrumentation import span
from vectormigrate.server.telemetry.tracing import job_span, tracing
with tracing(), job_span("migrate", "docs-7"), span("read", records=3):
    pass
"""


async def test_a_process_that_ends_has_sent_its_spans_over_the_wire() -> None:
    received: list[bytes] = []
    with anyio.fail_after(60):
        async with collector(received) as url:
            environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "moving", "PATH": ""}
            await anyio.run_process([sys.executable, "-c", CHILD], env=environment)
    body = b"".join(received)
    assert all(text in body for text in (b"job migrate", b"docs-7", b"batch read", b"moving"))
