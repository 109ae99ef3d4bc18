"""The metrics of a real server under a little load, and what else its plain HTTP answers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from faults.process import ServerProcess, free_port
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from support import PATIENCE, eventually

import madang
from madang.core.budget import Rate
from madang.core.counting import Histogram
from madang.core.errors import CredentialsWrong, NameNotAllowed
from madang.core.limits import Limits
from madang.node.metrics import METRICS, Kind
from madang.node.settings import Address, SettingError, Settings
from madang.services.lag import OVERDUE, LagProbe
from madang.v1 import agent_service_pb2
from madang.v1.agent_service_pb2_grpc import AgentServiceStub

OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"
ANYWHERE = Address("127.0.0.1", 0)


async def ask(target: str, request: str) -> tuple[str, str]:
    """Send some bytes; the first line of the answer, and its body."""
    host, _, port = target.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.encode())
    answer = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    head, _, body = answer.partition("\r\n\r\n")
    return head.partition("\r\n")[0], body


async def get(target: str, path: str, method: str = "GET") -> tuple[str, str]:
    return await ask(target, f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n")


class Scrape:
    """What Prometheus would have."""

    def __init__(self, text: str) -> None:
        self.types = {family.name: family.type for family in text_string_to_metric_families(text)}
        self._samples: list[Sample] = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels."""
        return sum(s.value for s in self._samples if s.name == name and labels.items() <= s.labels.items())

    def names(self) -> set[str]:
        return {sample.name for sample in self._samples}

    def labels(self, name: str) -> list[dict[str, str]]:
        return [sample.labels for sample in self._samples if sample.name == name]


async def scrape(target: str) -> Scrape:
    status, body = await get(target, "/metrics")
    assert status == "HTTP/1.1 200 OK"
    return Scrape(body)


async def scraped(target: str, holds: Callable[[Scrape], bool]) -> Scrape:
    """Scrape until something holds: what comes from other tasks comes when they run."""
    async with asyncio.timeout(PATIENCE):
        while not holds(found := await scrape(target)):
            pass
    return found


async def test_they_tell_what_happens() -> None:
    async with madang.Server(metrics=ANYWHERE, guests=True) as server:
        before = await scrape(server.metrics)
        async with (
            madang.connect(server.target, handle="mina") as mina,
            madang.connect(server.target, handle="nari", live=False) as nari,
        ):
            for number in range(3):
                await nari.send("lobby", f"message {number}")
            async for message in mina.messages("lobby"):
                assert message
            with pytest.raises(CredentialsWrong):
                async with madang.connect(server.target, handle="mina", password="not it at all"):  # noqa: S106
                    pass
            after = await scraped(server.metrics, lambda now: now.value("madang_ring_hits_total") > 0)
            assert after.value("madang_messages_stored_total") - before.value("madang_messages_stored_total") == 3
            assert after.value("madang_streams", method="ChannelService/Subscribe") == 1
            assert after.value("madang_connections") == 2
            assert after.value("madang_users_here") == 1
            assert after.value("madang_sessions_known") == 2
            assert after.value("madang_channels_watched") == 1
            assert after.value("madang_passwords_total", result="wrong") == 1
            assert after.value("madang_calls_total", method="AgentService/SignIn", code="OK") == 2
            assert after.value("madang_calls_total", method="AgentService/SignIn", code="UNAUTHENTICATED") == 1
            assert after.value("madang_refusals_total", reason="CREDENTIALS_WRONG") == 1
            assert after.value("madang_call_seconds_count", method="AgentService/SignIn") == 3
            commits = after.value("madang_commit_seconds_count")
            assert commits > before.value("madang_commit_seconds_count")
            assert after.value("madang_commit_size_bucket", le="+Inf") == commits
            assert after.value("madang_writer_waiting_bytes") == 0
            assert after.value("process_resident_memory_bytes") > 1 << 20
            (build,) = after.labels("madang_build_info")
            assert build["version"]
            (node,) = after.labels("madang_node_info")
            assert node == {
                "cluster": "madang",
                "services": "agent,heartbeat,lobby,channel",
                "database": "sqlite",
                "bus": "local",
            }
        gone = await scraped(server.metrics, lambda now: now.value("madang_connections") == 0)
        assert gone.value("madang_calls_total", method="ChannelService/Subscribe") == 1
        assert gone.value("madang_streams") == 0


async def test_one_call_ends_once() -> None:
    """Refused at its headers, refused later, and given up by the client."""
    async with (
        madang.Server(metrics=ANYWHERE) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stub = AgentServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.ListSessions(agent_service_pb2.ListSessionsRequest())
        with pytest.raises(NameNotAllowed):
            async with madang.connect(server.target, handle="mi/na"):
                pass
        found = await scrape(server.metrics)
        assert found.value("madang_calls_total", method="AgentService/ListSessions") == 1
        assert found.value("madang_calls_total", method="AgentService/ListSessions", code="UNAUTHENTICATED") == 1
        assert found.value("madang_refusals_total", method="AgentService/ListSessions", reason="TOKEN_MISSING") == 1
        assert found.value("madang_calls_total", method="AgentService/SignIn", code="INVALID_ARGUMENT") == 1


async def test_messages_of_a_list_that_are_refused_are_counted() -> None:
    async with (
        madang.Server(metrics=ANYWHERE, limits=Limits(messages=Rate.of(1, 20))) as server,
        madang.connect(server.target, handle="mina", live=False) as mina,
    ):
        await asyncio.gather(*(mina.send("lobby", str(number)) for number in range(3)))
        found = await scrape(server.metrics)
        assert found.value("madang_refusals_total", method="ChannelService/Post", reason="RATE_LIMITED") >= 1
        assert found.value("madang_messages_stored_total") == 3


async def test_how_long_delivery_takes_is_found_by_following_a_change() -> None:
    async with (
        madang.Server(metrics=ANYWHERE) as server,
        madang.connect(server.target, handle="mina") as mina,
        madang.connect(server.target, handle="nari", live=False) as nari,
    ):
        await nari.send("lobby", "one")
        found = await scraped(server.metrics, lambda now: now.value("madang_delivery_seconds_count") == 1)
        assert 0 < found.value("madang_delivery_seconds_sum") < PATIENCE
        assert mina.me


async def test_every_metric_is_told_and_documented() -> None:
    page = OPERATIONS.read_text()
    async with madang.Server(metrics=ANYWHERE) as server:
        found = await scrape(server.metrics)
    for row in METRICS:
        assert f"`{row.full_name}`" in page, f"{row.full_name} is not in docs/operations.md"
        assert row.help, row.full_name
        told = row.full_name.removesuffix("_total")  # the parser's name for the family
        assert found.types[told] == (Kind.GAUGE if row.kind is Kind.INFO else row.kind).value
    assert set(re.findall(r"madang_\w+", page)) <= {row.full_name for row in METRICS}


async def test_nothing_else_is_answered() -> None:
    async with madang.Server(metrics=ANYWHERE) as server:
        assert (await get(server.metrics, "/"))[0] == "HTTP/1.1 404 Not Found"
        assert (await get(server.metrics, "/metrics", "POST"))[0] == "HTTP/1.1 405 Method Not Allowed"
        assert await get(server.metrics, "/metrics", "HEAD") == ("HTTP/1.1 200 OK", "")
        assert await get(server.metrics, "/ready") == ("HTTP/1.1 200 OK", "ready\n")
        assert await get(server.metrics, "/live") == ("HTTP/1.1 200 OK", "alive\n")
        assert await ask(server.metrics, "x" * 10_000 + "\r\n\r\n") == ("", "")
        assert (await ask(server.metrics, "\r\n\r\n"))[0] == "HTTP/1.1 404 Not Found"
        assert (await get(server.metrics, "/metrics?name[]=madang_streams"))[0] == "HTTP/1.1 200 OK"


async def test_whoever_shows_them_to_others_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "madang.node"):
        async with madang.Server(metrics=Address("0.0.0.0", 0)):
            pass
    assert "whoever reaches that address reads them" in caplog.text


def test_they_have_an_address_of_their_own() -> None:
    with pytest.raises(SettingError, match="metrics"):
        Settings(metrics=Address("localhost", 50050))


def test_a_histogram_counts_up_to_its_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 7.0):
        histogram.observe(value)
    assert histogram.cumulative() == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]
    assert (histogram.count, histogram.sum) == (4, 10.0)


def test_a_change_is_followed_to_all_of_its_readers() -> None:
    probe = LagProbe()
    probe.begin(7, 5, 2, now=100.0)
    probe.begin(8, 9, 1, now=100.05)  # one at a time
    assert probe.carries(7, 3, 6)
    assert not probe.carries(7, 5, 6)
    assert not probe.carries(8, 8, 9)
    probe.delivered(100.0, now=100.01)
    assert probe.carries(7, 4, 5)
    probe.delivered(100.0, now=100.03)
    assert not probe.carries(7, 4, 5), "all readers had theirs"
    probe.begin(8, 10, 1, now=100.06)
    assert not probe.carries(8, 9, 10), "too soon"
    probe.begin(8, 11, 3, now=100.2)
    assert probe.carries(8, 10, 11)
    probe.begin(9, 1, 1, now=100.2 + OVERDUE)
    assert probe.overdue == 3
    probe.delivered(100.2, now=103.0)  # late, but it was followed
    assert probe.seconds.count == 3
    assert probe.carries(9, 0, 1)


def test_a_change_with_a_trace_is_followed_at_once() -> None:
    told: list[tuple[str, float, int]] = []
    probe = LagProbe()
    probe.traced = lambda trace, took, readers: told.append((trace, took, readers))
    probe.begin(7, 5, 2, now=100.0)
    probe.begin(8, 9, 2, now=100.01, trace="a")
    probe.begin(9, 3, 1, now=100.02, trace="b")  # one at a time
    assert probe.carries(8, 8, 9)
    assert not probe.carries(7, 4, 5)
    probe.delivered(100.0, now=100.02)  # of the one before
    probe.delivered(100.01, now=100.03)
    assert not told
    probe.delivered(100.01, now=100.05)
    assert [(trace, round(took, 3), readers) for trace, took, readers in told] == [("a", 0.04, 2)]
    assert probe.overdue == 0


async def test_a_node_that_is_held_up_at_its_start_is_alive_and_not_ready(server: ServerProcess) -> None:
    """Here it waits for a database; whatever restarts processes would end a migration in the same way."""
    metrics = f"127.0.0.1:{free_port()}"
    nowhere = f"postgresql://madang@127.0.0.1:{free_port()}/madang"
    server.arguments = ["--database", nowhere, "--wait", "3600", "--metrics", metrics]
    server.launch()
    await eventually(lambda: "waiting for the database" in server.output, "it waits")
    assert await get(metrics, "/live") == ("HTTP/1.1 200 OK", "alive\n")
    assert await get(metrics, "/ready") == ("HTTP/1.1 503 Service Unavailable", "not ready\n")
    assert (await get(metrics, "/metrics"))[0] == "HTTP/1.1 503 Service Unavailable"


async def test_the_readiness_ends_with_the_shutdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madang.node.node.HAND_OVER", 1.0)
    server = await madang.Server(metrics=ANYWHERE).start()
    stopping = asyncio.create_task(server.stop())
    async with asyncio.timeout(PATIENCE):
        while (told := await get(server.metrics, "/ready"))[1] == "ready\n":
            pass
    assert told == ("HTTP/1.1 503 Service Unavailable", "not ready\n")
    await stopping
    await eventually(stopping.done, "it stops")
