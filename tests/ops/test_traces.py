"""Traces: one message's way over two nodes is one trace, as a real receiver of OTLP gets it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from faults.process import free_port
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as otlp
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from parts.nats import Nats
from support import PATIENCE

import madang
from madang.node.main import STOP_WITHIN
from madang.node.traces import TracesError

from .command import parse, run
from .test_metrics import ANYWHERE, scraped


@dataclass(frozen=True)
class Span:
    """What a collector is told."""

    node: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    attributes: dict[str, int | str]
    began: int
    ended: int


class Collector(TraceServiceServicer):
    """Takes traces."""

    def __init__(self) -> None:
        self.target = ""
        self.spans: list[Span] = []

    async def Export(self, request: otlp.ExportTraceServiceRequest, context: object) -> otlp.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            about = {each.key: each.value.string_value for each in resource.resource.attributes}
            assert about["service.name"] == "madang"
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                attributes = {each.key: each.value.string_value or each.value.int_value for each in span.attributes}
                self.spans.append(
                    Span(
                        about["service.instance.id"],
                        span.name,
                        span.trace_id,
                        span.span_id,
                        span.parent_span_id,
                        attributes,
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                    )
                )
        return otlp.ExportTraceServiceResponse()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    server, made = grpc.aio.server(), Collector()
    add_TraceServiceServicer_to_server(made, server)  # type: ignore[no-untyped-call]
    made.target = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield made
    await server.stop(0)


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    with Nats(tmp_path / "nats") as server:
        yield server


async def _until_read(client: madang.Client, text: str) -> None:
    async for event in client.events():
        if isinstance(event, madang.MessageEvent) and event.message.text == text:
            return


async def test_a_message_s_way_over_nodes_is_one_trace(collector: Collector, database: str, nats: Nats) -> None:
    def node(name: str) -> madang.Server:
        return madang.Server(
            database=database,
            bus=(nats.url,),
            handover=0,
            name=name,
            traces=collector.target,
            metrics=ANYWHERE,
            limits=None,
        )

    async with (
        node("one") as one,
        node("two") as two,
        madang.connect(one.target, handle="nari", live=False) as nari,
        madang.connect(two.target, handle="mina") as mina,
    ):
        reading = asyncio.create_task(_until_read(mina, "hello"))
        receipt = await nari.send("lobby", "hello")
        async with asyncio.timeout(PATIENCE):
            await reading
        await scraped(two.metrics, lambda now: now.value("madang_delivery_seconds_count") == 1)
    (send,) = (span for span in collector.spans if span.name == "send")
    others = {span.name: span for span in collector.spans if span.trace == send.trace and span is not send}
    commit, deliver = others["commit"], others["deliver"]
    assert len(others) == 2
    assert (send.node, commit.node, deliver.node) == ("one", "one", "two")
    assert {commit.parent, deliver.parent} == {send.id}
    assert send.parent == b""
    assert send.attributes["madang.sequence"] == receipt.sequence
    assert send.attributes["madang.outcome"] == "stored"
    assert deliver.attributes["madang.readers"] == 1
    assert send.began <= commit.began < commit.ended <= send.ended
    assert commit.began < deliver.began < deliver.ended


async def test_none_are_followed_when_nobody_asks_for_them(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    async with (
        madang.Server(traces=collector.target) as server,
        madang.connect(server.target, handle="mina", live=False) as mina,
    ):
        await mina.send("lobby", "hello")
    assert collector.spans == []


async def test_a_collector_that_is_not_there_keeps_nobody_waiting() -> None:
    async with (
        madang.Server(traces=f"http://127.0.0.1:{free_port()}", drain=0.1) as server,
        madang.connect(server.target, handle="mina", live=False) as mina,
    ):
        assert (await mina.send("lobby", "hello")).sequence
        began = time.monotonic()
    assert time.monotonic() - began < STOP_WITHIN


async def test_without_the_extra_it_says_which(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(TracesError, match=r"madang\[traces\]"):
        await madang.Server(tmp_path / "data", traces="http://127.0.0.1:4317").start()


def test_the_address_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "--traces", "localhost:4317") == 2
    assert "http://" in capsys.readouterr().err
    assert parse("serve", "--traces", "http://localhost:4317").traces
