"""What only a bus of many processes can do wrong: connections, subscriptions, losses."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import nats as nats_py
import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from parts.nats import Nats
from support import eventually

from madang.bus.errors import BusError
from madang.bus.link import NatsOptions
from madang.bus.nats import NatsBus
from madang.core import events
from madang.core.events import BusEvent

from .conftest import joined
from .test_bus import listen


def changed(channel_id: int, through: int = 1) -> events.ChannelChanged:
    return events.ChannelChanged(channel_id, through - 1, through, b"")


async def test_a_channel_that_nobody_watches_does_not_come(nats: Nats, cluster: str) -> None:
    async with joined(nats, cluster) as here, joined(nats, cluster) as there:
        heard = listen(there)
        there.watch(1)
        there.watch(2)
        await there.settled()
        there.unwatch(2)
        await there.settled()
        for channel_id in (3, 2, 1):
            here.publish(changed(channel_id))
        await eventually(lambda: heard, "the watched one came")
        assert heard == [changed(1)]


async def test_leaving_and_coming_back_at_once_loses_nothing(nats: Nats, cluster: str) -> None:
    async with joined(nats, cluster) as here, joined(nats, cluster) as there:
        heard = listen(there)
        for _ in range(50):
            there.watch(1)
            there.unwatch(1)
        there.watch(1)
        await there.settled()
        here.publish(changed(1))
        await eventually(lambda: heard, "it came")
        for _ in range(50):
            there.unwatch(1)
            there.watch(1)
        here.publish(changed(1, 2))
        await eventually(lambda: len(heard) == 2, "it came, though nobody waited")


async def test_what_is_watched_is_in_force_once_it_is_settled(nats: Nats, cluster: str) -> None:
    async with joined(nats, cluster) as here, joined(nats, cluster) as there:
        heard = listen(there)
        for channel_id in range(1, 301):
            there.watch(channel_id)
            await there.settled()
            here.publish(changed(channel_id))
        await eventually(lambda: len(heard) == 300, "not one was missed")


async def test_a_channel_whose_subscription_failed_is_subscribed_to_again(
    nats: Nats, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with joined(nats, cluster) as here, joined(nats, cluster) as there:
        heard, told = listen(there), listen(here)
        subscribe = there._subscribe
        refused: list[int] = []

        async def fail_once(client: Client, channel_id: int) -> Subscription:
            if not refused:
                refused.append(channel_id)
                raise TimeoutError
            return await subscribe(client, channel_id)

        monkeypatch.setattr(there, "_subscribe", fail_once)
        there.watch(1)
        await there.settled()
        assert refused == [1]
        await eventually(lambda: events.NewsLost() in told, "whoever took it to be in force is told to look again")
        await there.settled()
        here.publish(changed(1))
        await eventually(lambda: changed(1) in heard, "it is in force")


@pytest.mark.parametrize(("name", "store"), [("-2", "a"), ("", "b")])
async def test_two_clusters_on_one_nats_do_not_hear_each_other(nats: Nats, cluster: str, name: str, store: str) -> None:
    """Of other names, or of one name and two stores: nobody has given them names then."""
    async with (
        joined(nats, cluster, "a") as here,
        joined(nats, cluster, "a") as there,
        joined(nats, f"{cluster}{name}", store) as strange,
    ):
        heard, foreign = listen(there), listen(strange)
        strange.watch(1)
        there.watch(1)
        await strange.settled()
        await there.settled()
        said: list[BusEvent] = [changed(1), events.SessionEnded(1, 1), events.ClaimsChanged("a", 0, 1, ())]
        for event in said:
            here.publish(event)
        await eventually(lambda: len(heard) == len(said), "they came")
        strange.publish(events.SessionEnded(2, 2))
        await strange.settled()
        assert foreign == [events.SessionEnded(2, 2)]
        assert len(heard) == len(said)


async def test_garbage_is_logged_once_and_ignored(nats: Nats, cluster: str, caplog: pytest.LogCaptureFixture) -> None:
    async with joined(nats, cluster) as here, joined(nats, cluster) as there:
        heard = listen(there)
        raw = await nats_py.connect(nats.url)
        for data in (
            b"\xff\xff\xff",
            b"{}",
            b"",
            b"\x08\x01",
            b"\xfa\x01\x02\x08\x01",
            b"\x62\x05\x22\x03\x20\x99\x09",
        ):
            await raw.publish(f"madang.{cluster}.all", data)
        await raw.flush()
        await raw.close()
        here.publish(events.SessionEnded(1, 1))
        await eventually(lambda: heard, "the bus goes on")
        assert heard[-1] == events.SessionEnded(1, 1)
        assert len([record for record in caplog.records if "not an event" in record.message]) == 2, "each node once"


async def test_what_is_too_large_for_nats_is_told_as_a_head(tmp_path: Path, cluster: str) -> None:
    config = tmp_path / "small.conf"
    config.write_text("max_payload: 1024\n")
    with Nats(tmp_path / "nats", options=["-c", str(config)]) as server:
        async with joined(server, cluster) as here, joined(server, cluster) as there:
            heard = listen(there)
            there.watch(1)
            await there.settled()
            here.publish(events.ChannelChanged(1, 0, 4, b"x" * 2000))
            await eventually(lambda: heard, "something came")
            assert heard == [events.HeadKnown(1, 4)]
            assert (here.dropped, here.waiting) == (0, 0)


async def test_a_bus_that_was_away_comes_back_with_all_subscriptions(own_nats: Nats, cluster: str) -> None:
    async with joined(own_nats, cluster) as here, joined(own_nats, cluster) as there:
        heard, returns = listen(there), []
        there.on_return(lambda: returns.append("back"))
        there.watch(1)
        await there.settled()
        own_nats.stop()
        await eventually(lambda: not there.is_connected and not here.is_connected, "it is known to be away")
        there.watch(2)
        await there.settled()
        here.publish(changed(1))
        assert here.dropped == 1
        own_nats.start()
        await eventually(lambda: there.is_connected and here.is_connected, "it is back")
        assert returns == ["back"]
        await eventually(lambda: events.NewsLost() in heard, "both say that something may be lost")
        here.publish(changed(1, 2))
        here.publish(changed(2, 1))
        await eventually(lambda: {changed(1, 2), changed(2, 1)} <= set(heard), "both are heard")
        assert changed(1) not in heard, "what was said meanwhile is lost: the store has it"


async def test_a_bus_that_stays_away_is_told_when_it_goes_and_when_it_is_back(
    own_nats: Nats, cluster: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And not at every try in between."""
    monkeypatch.setattr("madang.bus.link.LONGEST_PAUSE", 0.1)
    tries: list[object] = []

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.append(writer.get_extra_info("peername"))
        writer.close()
        await writer.wait_closed()

    async with joined(own_nats, cluster) as bus:
        own_nats.stop()
        await eventually(lambda: not bus.is_connected, "it is known to be away")
        async with await asyncio.start_server(refuse, "127.0.0.1", own_nats.port):
            await eventually(lambda: len(tries) >= 5, "it is tried again and again")
        own_nats.start()
        await eventually(lambda: bus.is_connected, "it is back")
        await eventually(lambda: "is back" in caplog.text, "that is told")
    lines = [record.getMessage() for record in caplog.records if record.name == "madang.bus"]
    assert [line.split(" is ")[1].split()[0].rstrip(":;") for line in lines] == ["away", "back"], lines
    assert "it was away for " in lines[1]


async def test_a_bus_that_hangs_is_taken_for_away(
    own_nats: Nats, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang.bus.link.PING_EVERY", 0.1)
    monkeypatch.setattr("madang.bus.link.PONG_WITHIN", 0.3)
    async with joined(own_nats, cluster) as bus:
        own_nats.freeze()
        await eventually(lambda: not bus.is_connected, "no answer is no bus")
        own_nats.thaw()
        await eventually(lambda: bus.is_connected, "it answers again")


async def test_an_answer_that_comes_late_harms_nothing(
    own_nats: Nats, cluster: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("madang.bus.nats.SETTLE_WITHIN", 0.2)
    async with joined(own_nats, cluster) as bus, joined(own_nats, cluster) as other:
        heard = listen(bus)
        own_nats.freeze()
        await bus.settled()
        own_nats.thaw()
        other.publish(events.NewsLost())
        await eventually(lambda: events.NewsLost() in heard, "it still hears")
        assert (bus.returns, bus.is_connected) == (0, True)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_what_cannot_leave_is_bounded_counted_and_told(
    nats: Nats, cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang.bus.nats.MAX_OUTGOING", 1000)
    async with joined(nats, cluster) as here, joined(nats, cluster) as there:
        heard = listen(there)
        there.watch(1)
        await there.settled()
        for number in range(100):  # in one turn of the loop: nothing leaves meanwhile
            here.publish(changed(1, number))
        assert here.dropped > 80
        assert here.waiting <= 1000
        await eventually(lambda: events.NewsLost() in heard, "the others know that something is missing")


async def test_another_server_is_taken_when_one_is_not_there(nats: Nats, own_nats: Nats, cluster: str) -> None:
    bus = NatsBus(NatsOptions(("nats://127.0.0.1:1", own_nats.url, nats.url), cluster))
    await bus.start(5)
    try:
        own_nats.kill()
        await eventually(lambda: bus.link.client is not None and bus.is_connected, "it is on the other one")
        await eventually(
            lambda: (
                bus.link.client is not None
                and bus.link.client.connected_url is not None
                and bus.link.client.connected_url.port == nats.port
            ),
            "it is on the other one",
        )
    finally:
        await bus.close()


async def refusal(options: NatsOptions, wait: float = 5) -> str:
    """Why the bus cannot be used."""
    bus = NatsBus(options)
    with pytest.raises(BusError) as caught:
        await bus.start(wait)
    return str(caught.value)


async def test_a_bus_that_is_not_there_is_waited_for_and_then_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    why = await refusal(NatsOptions(("nats://mina:secret@127.0.0.1:1",)), wait=0.3)
    assert why.startswith("the bus nats://127.0.0.1:1 is not there after 0.3 seconds: ")
    assert [record.message.startswith("waiting for the bus") for record in caplog.records] == [True]
    assert "secret" not in why + caplog.text


async def test_an_address_that_cannot_be_is_named() -> None:
    why = await refusal(NatsOptions(("nats://mina:secret@127.0.0.1:99999",)), wait=0.1)
    assert why.startswith("the bus nats://127.0.0.1:99999 is not there after 0.1 seconds: ")
    assert "secret" not in why


async def test_a_bus_that_comes_late_is_used(tmp_path: Path) -> None:
    server = Nats(tmp_path / "nats")
    bus = NatsBus(NatsOptions((server.url,)))
    starting = asyncio.create_task(bus.start(20))
    await asyncio.to_thread(server.start)
    try:
        await starting
        assert bus.is_connected
    finally:
        await bus.close()
        server.kill()


async def told_version(version: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What any NATS server says to a client that comes, with a version of our choice."""
    info = {"server_id": "x", "version": version, "max_payload": 1 << 20, "proto": 1, "headers": True}
    writer.write(f"INFO {json.dumps(info)}\r\n".encode())
    while line := await reader.readline():
        if line.startswith(b"PING"):
            writer.write(b"PONG\r\n")
    writer.close()


@pytest.mark.parametrize("version", ["2.9.25", "1.4.1", "v2.9.0-beta"])
async def test_a_server_that_is_too_old_is_told_at_once(version: str) -> None:
    """There is no old server to be had here: in its place stands what says that it is one."""
    async with await asyncio.start_server(partial(told_version, version), "127.0.0.1", 0) as listening:
        where = f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        why = await refusal(NatsOptions((where,)), wait=60)
    assert why == f"{where} is NATS {version}; 2.10 or newer is needed"


async def test_a_server_that_is_new_enough_or_does_not_say_is_taken() -> None:
    for version in ("2.10.0", "v2.11.0-RC.1", "3.0.1", "dev"):
        async with await asyncio.start_server(partial(told_version, version), "127.0.0.1", 0) as listening:
            bus = NatsBus(NatsOptions((f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}",)))
            await bus.start(5)
            assert bus.is_connected
            await bus.close()


async def test_wrong_credentials_are_told_at_once(tmp_path: Path) -> None:
    with Nats(tmp_path / "nats", options=["--user", "mina", "--pass", "right"]) as server:
        wrong = server.url.replace("nats://", "nats://mina:wrong@")
        why = await refusal(NatsOptions((wrong,)), wait=60)
        assert why.startswith(f"{server.url} does not accept the credentials")
        assert "wrong" not in why
        bus = NatsBus(NatsOptions((server.url.replace("nats://", "nats://mina:right@"),)))
        await bus.start(5)
        await bus.close()
