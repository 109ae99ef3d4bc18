"""Traces, for whoever wants to see one message's way through the nodes. An optional extra: `madang[traces]`.

A sampled message takes a W3C traceparent along: in its draft, in its change, on the bus. So the spans of all nodes are
one trace: `send` (from the moment that a list of messages is handed over until it is stored), under it `commit` (its
group's transaction) and, on each node where somebody reads the channel, `deliver` (from the change's arrival until its
last reader's write is done). Where nothing is traced, nothing of this is loaded, and nobody is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from madang.core.models import Draft, Message
from madang.services.hub import Hub
from madang.storage.store import Store
from madang.storage.writer import Appended

Handover = Callable[[Sequence[Draft]], asyncio.Future[list[Appended]]]
"""See Writer.append."""

_NANOS = 1_000_000_000
_EXTRA = "traces need OpenTelemetry, which is an extra: pip install 'madang[traces]'"


class TracesError(Exception):
    """Traces were asked for, and cannot be made."""


class Traces:
    """Follows messages, and sends what it sees to a collector, in a thread of its own. `close` in the end.

    How many messages are followed is said by OpenTelemetry's own variables, OTEL_TRACES_SAMPLER and
    OTEL_TRACES_SAMPLER_ARG; all of them when nothing is said. Raises TracesError.
    """

    def __init__(self, collector: str, name: str, version: str) -> None:
        """`collector`: `http://HOST:PORT`, or https. `name`: this node's."""
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError as error:
            raise TracesError(_EXTRA) from error
        attributes = {"service.name": "madang", "service.instance.id": name, "service.version": version}
        self._provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=collector, insecure=collector.startswith("http://"))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("madang", version)
        self._propagator = TraceContextTextMapPropagator()

    def follow(self, store: Store, hub: Hub) -> None:
        """From now on."""
        store.append = partial(self._append, store.append)
        store.writer.traced = self._committed
        hub.lag.traced = self._delivered

    async def close(self) -> None:
        """Send what there is; give up after a while."""
        await asyncio.to_thread(self._provider.shutdown)

    def _append(self, append: Handover, drafts: Sequence[Draft]) -> asyncio.Future[list[Appended]]:
        span = self._tracer.start_span("send", attributes={"madang.messages": len(drafts)}) if drafts else None
        if span is None or not span.is_recording():
            return append(drafts)
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, self._around(span))
        trace = carrier["traceparent"]
        stored = append([draft._replace(trace=trace) for draft in drafts])
        stored.add_done_callback(partial(_end, span))
        return stored

    def _committed(self, traces: set[str], took: float, size: int) -> None:
        for trace in traces:
            self._record("commit", trace, took, {"madang.group": size})

    def _delivered(self, trace: str, took: float, readers: int) -> None:
        self._record("deliver", trace, took, {"madang.readers": readers})

    def _record(self, name: str, trace: str, took: float, attributes: dict[str, Any]) -> None:
        """A span that ends now."""
        parent = self._propagator.extract({"traceparent": trace})
        now = time.time_ns()
        span = self._tracer.start_span(name, parent, attributes=attributes, start_time=now - int(took * _NANOS))
        span.end(now)

    def _around(self, span: Any) -> Any:
        from opentelemetry.trace import set_span_in_context

        return set_span_in_context(span)


def _end(span: Any, stored: asyncio.Future[list[Appended]]) -> None:
    if stored.cancelled():
        span.set_attribute("madang.outcome", "cancelled")
    elif (error := stored.exception()) is not None:
        span.set_attribute("madang.outcome", type(error).__name__)
    else:
        first = next((each for each in stored.result() if isinstance(each, Message)), None)
        if first is not None:
            span.set_attributes({"madang.channel_id": first.channel_id, "madang.sequence": first.sequence})
        refused = sum(1 for each in stored.result() if not isinstance(each, Message))
        span.set_attributes({"madang.outcome": "stored", "madang.refused": refused})
    span.end()
