"""OpenTelemetry traces: call of a tool -> job -> read, map, write and commit of every batch. Off unless configured.

The SDK of MCP opens the span of a call. A job outlives the call that started it, so it is a trace of its own that links
to the call. Configured by the standard variables: OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) turns it on,
OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and the others mean what they always mean.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from vectormigrate.engine import instrumentation
from vectormigrate.errors import MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def is_configured() -> bool:
    """Whether the environment asks for traces."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and any(os.environ.get(name) for name in ENDPOINTS)


@contextmanager
def tracing() -> Generator[None]:
    """Export traces for the time of the server, when the environment asks for it. Raises MissingExtra."""
    if not is_configured():
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise MissingExtra("tracing", "tracing", "opentelemetry-exporter-otlp-proto-http") from error
    with traced(OTLPSpanExporter()):
        yield


@contextmanager
def traced(exporter: SpanExporter, *, at_once: bool = False) -> Generator[TracerProvider]:
    """Give the spans of this process to the exporter, in batches or each `at_once`. What is left is sent at the end,
    for at most two seconds."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "vectormigrate")}
    provider = TracerProvider(resource=Resource.create({**named, "service.version": version("vectormigrate")}))
    provider.add_span_processor(SimpleSpanProcessor(exporter) if at_once else BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("vectormigrate", version("vectormigrate"))

    def opened(name: str, attributes: dict[str, str | int]) -> AbstractContextManager[object]:
        return tracer.start_as_current_span(f"batch {name}", attributes=attributes, record_exception=False)

    instrumentation.use(opened)
    try:
        yield provider
    finally:
        instrumentation.use(None)
        provider.force_flush(2000)
        provider.shutdown()


def current_call() -> SpanContext | None:
    """The span at hand, to be kept for the job that a call starts; None without tracing."""
    if instrumentation.active() is None:
        return None
    from opentelemetry import trace

    found = trace.get_current_span().get_span_context()
    return found if found.is_valid else None


@contextmanager
def job_span(verb: str, migration_id: str, call: SpanContext | None = None) -> Generator[Callable[[str], None]]:
    """A trace of its own around a job, linked to the call that started it. Gives the function that marks it as failed;
    the texts of errors stay out of traces, their types are enough."""
    if instrumentation.active() is None:
        yield _ignore
        return
    from opentelemetry import context, trace
    from opentelemetry.trace import Link, SpanKind, StatusCode

    tracer = trace.get_tracer("vectormigrate", version("vectormigrate"))
    span = tracer.start_span(
        f"job {verb}",
        context=context.Context(),
        kind=SpanKind.INTERNAL,
        attributes={"vectormigrate.verb": verb, "vectormigrate.migration": migration_id},
        links=[Link(call)] if call is not None else [],
    )

    def failed(kind: str) -> None:
        span.set_attribute("error.type", kind)
        span.set_status(StatusCode.ERROR)

    try:
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            yield failed
    except BaseException as error:
        failed(type(error).__name__)
        raise
    finally:
        span.end()


def _ignore(kind: str) -> None:
    pass
