"""What one subscriber is shown: everything of the channels that it is in, in order; nothing of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from support import Parts, Where, actor, eventually, parts, refused, subscribed

from madang.core.errors import ChannelNotFound, NotAMember, ServerDraining, StorageUnavailable
from madang.core.events import HeadKnown
from madang.core.models import LOBBY_ID
from madang.services.hub import PAGE
from madang.services.subscription import Wanted
from madang.storage import messages
from madang.v1.channel_service_pb2 import SubscribeResponse

from .conftest import SlowStore

MINA, HANA, JUN = 1, 2, 3


async def test_the_first_response_names_every_channel(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    hall = await own.room(HANA, name="hall")
    async with subscribed(own, MINA) as mina, subscribed(own, HANA) as hana:
        assert mina.reader.open == {LOBBY_ID, kitchen}
        assert hana.reader.open == {LOBBY_ID, kitchen, hall}
        assert hana.reader.positions == {LOBBY_ID: 0, kitchen: 2, hall: 1}, "each begins at its head"


async def test_news_come_as_one_batch_for_each_channel(own: Parts) -> None:
    kitchen = await own.room(MINA)
    async with subscribed(own, MINA) as live:
        await own.say(MINA, kitchen, "a")
        await own.say(MINA, kitchen, "b", "c")
        await own.say(MINA, LOBBY_ID, "d")
        response = await live.next()
        ranges = [(batch.channel_id, batch.after, batch.through) for batch in response.batches]
        assert sorted(ranges) == [(LOBBY_ID, 0, 1), (kitchen, 1, 4)]
        assert live.reader.texts(kitchen) == ["a", "b", "c"]


async def test_where_agents_are_is_said_at_the_beginning_and_when_it_changes(own: Parts) -> None:
    own.hub.nodes_are(["b:1", "a:1"])
    subscription = own.channel.subscribe(MINA, Wanted())
    first = SubscribeResponse.FromString(await subscription.next())
    assert first.begun
    assert list(first.nodes) == ["a:1", "b:1"]
    own.hub.nodes_are(["a:1", "b:1"])
    own.hub.nodes_are([])
    await own.say(MINA, LOBBY_ID, "hello")
    news = SubscribeResponse.FromString(await subscription.next())
    assert news.batches
    assert not news.nodes, "nothing new"
    own.hub.nodes_are(["c:1"])
    own.hub.nodes_are(["a:1", "c:1"])
    assert list(SubscribeResponse.FromString(await subscription.next()).nodes) == ["a:1", "c:1"]
    subscription.close()


async def test_from_a_position_on_page_by_page(own: Parts) -> None:
    kitchen = await own.room(MINA)
    await own.say(MINA, kitchen, *(f"{number}" for number in range(PAGE * 2 + 7)))
    async with subscribed(own, MINA, {kitchen: 3}) as live:
        await live.reaches(kitchen, PAGE * 2 + 8)
        assert live.reader.sequences(kitchen) == list(range(4, PAGE * 2 + 9))
        assert len(live.reader.ranges[kitchen]) == 3


async def test_readers_at_one_position_share_the_same_bytes(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA, JUN)
    responses = []
    subscriptions = [own.channel.subscribe(user_id, Wanted()) for user_id in (MINA, HANA, JUN)]
    for one in subscriptions:
        await one.next()
    for text in ("a", "b"):
        await own.say(MINA, kitchen, text)
    for one in subscriptions:
        responses.append(await one.next())
        one.close()
    assert responses[0] is responses[1] is responses[2]


async def test_a_head_that_never_was_is_not_asked_for_for_ever(own: Parts) -> None:
    kitchen = await own.room(MINA)
    async with subscribed(own, MINA) as live:
        own.bus.publish(HeadKnown(kitchen, 2**60))
        reading = asyncio.create_task(live.next())
        await eventually(lambda: own.hub.rings[kitchen].head == 1, "the store knows better")
        await own.say(MINA, kitchen, "a")
        await reading
        assert live.reader.texts(kitchen) == ["a"]
    assert own.hub.pages.loaded == 1


async def test_readers_at_one_position_share_a_page_of_the_store(own: Parts, slow: SlowStore) -> None:
    kitchen = await own.room(MINA, HANA)
    await own.say(MINA, kitchen, "a", "b")
    async with subscribed(own, MINA, {kitchen: 1}) as mina, subscribed(own, HANA, {kitchen: 1}) as hana:
        slow.hold(messages.changed)
        reading = [asyncio.create_task(live.next()) for live in (mina, hana)]
        await slow.is_asked()
        slow.answer()
        first, second = await asyncio.gather(*reading)
        assert first == second
        assert mina.reader.sequences(kitchen) == [2, 3, 4]


async def test_the_next_page_does_not_wait_for_long_after_a_slow_one(
    own: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("madang.services.pages.HISTORY_REST", 1e9)
    kitchen = await own.room(MINA, HANA)
    await own.say(MINA, kitchen, "a", "b")
    async with subscribed(own, MINA, {kitchen: 1}) as mina, subscribed(own, HANA, {kitchen: 2}) as hana:
        await mina.reaches(kitchen, 4)
        await hana.reaches(kitchen, 4)


async def test_the_next_page_does_not_wait_after_one_that_failed(own: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    for rest in ("HISTORY_REST", "LONGEST_REST"):
        monkeypatch.setattr(f"madang.services.pages.{rest}", 1e9)
    kitchen = await own.room(MINA, HANA)
    await own.say(MINA, kitchen, "a", "b")
    read = own.store.read

    async def fail(query: Callable[..., Any], *args: object) -> Any:
        if query is messages.changed:
            raise StorageUnavailable(problem="the disk is gone")
        return await read(query, *args)

    async with subscribed(own, MINA, {kitchen: 1}) as mina, subscribed(own, HANA, {kitchen: 1}) as hana:
        with monkeypatch.context() as failing:
            failing.setattr(own.store, "read", fail)
            with refused(StorageUnavailable):
                await mina.next()
        await hana.reaches(kitchen, 4)


async def test_a_reader_that_goes_away_does_not_take_the_page_with_it(own: Parts, slow: SlowStore) -> None:
    kitchen = await own.room(MINA, HANA)
    await own.say(MINA, kitchen, "a", "b")
    async with subscribed(own, MINA, {kitchen: 1}) as mina, subscribed(own, HANA, {kitchen: 1}) as hana:
        slow.hold(messages.changed)
        going, staying = asyncio.create_task(mina.next()), asyncio.create_task(hana.next())
        await slow.is_asked()
        going.cancel()
        await asyncio.wait([going])
        slow.answer()
        await staying
        assert hana.reader.sequences(kitchen) == [2, 3, 4]


async def test_nobody_reads_where_they_do_not_belong(own: Parts) -> None:
    kitchen = await own.room(MINA)
    with refused(NotAMember, channel_id=kitchen):
        async with subscribed(own, HANA, {}, kitchen):
            pass
    with refused(ChannelNotFound, channel=99):
        async with subscribed(own, HANA, {}, LOBBY_ID, 99):
            pass
    async with subscribed(own, HANA, {kitchen: 0}) as live:
        assert live.reader.open == {LOBBY_ID}, "a position opens no door"
        await own.say(MINA, kitchen, "a secret")
        await own.say(MINA, LOBBY_ID, "hello")
        response = await live.next()
        assert [batch.channel_id for batch in response.batches] == [LOBBY_ID]


async def test_a_filter_shows_its_channels_alone(own: Parts) -> None:
    kitchen, hall = await own.room(MINA), await own.room(HANA, name="hall")
    async with subscribed(own, MINA, {}, kitchen) as live:
        await own.lobby.join(actor(MINA), hall)
        await own.say(MINA, hall, "in the hall")
        await own.say(MINA, LOBBY_ID, "in the lobby")
        await own.say(MINA, kitchen, "in the kitchen")
        response = await live.next()
        assert not response.opened
        assert {batch.channel_id for batch in response.batches} == {kitchen}
        await own.lobby.leave(actor(MINA), kitchen)
        assert [one.channel_id for one in (await live.next()).closed] == [kitchen]


async def test_one_channels_backlog_does_not_keep_another_one_waiting(own: Parts) -> None:
    backlog = await own.room(MINA, name="backlog")
    quiet = await own.room(MINA, name="quiet")
    await own.say(MINA, backlog, *["x"] * PAGE * 20)
    await own.say(MINA, quiet, "a few words")
    async with subscribed(own, MINA, {backlog: 0, quiet: 0}) as live:
        await live.reaches(quiet, 2)
        assert len(live.reader.ranges[backlog]) < 10


async def test_an_ended_stream_raises_what_it_was_ended_with(own: Parts) -> None:
    async with subscribed(own, MINA) as live:
        waiting = asyncio.create_task(live.next())
        await asyncio.sleep(0)
        live.subscription.end(ServerDraining(retry_after=1))
        with refused(ServerDraining):
            await waiting
        with refused(ServerDraining):
            await live.next()


async def test_a_store_that_cannot_be_read_ends_the_stream_with_its_error(own: Parts) -> None:
    """Not in silence: the client comes back from its position."""
    kitchen = await own.room(MINA)
    await own.say(MINA, kitchen, "a")
    async with subscribed(own, MINA, {kitchen: 0}) as live:
        with pytest.MonkeyPatch.context() as patched:

            async def fail(*_: object) -> None:
                raise StorageUnavailable(problem="the disk is gone")

            patched.setattr(own.store, "read", fail)
            with refused(StorageUnavailable):
                await live.next()


async def test_the_last_reader_takes_the_ring_with_it(own: Parts) -> None:
    kitchen = await own.room(HANA, MINA)
    async with subscribed(own, MINA):
        async with subscribed(own, HANA):
            assert set(own.hub.rings) == {LOBBY_ID, kitchen}
            await own.lobby.leave(actor(MINA), kitchen)
            assert set(own.hub.rings) == {LOBBY_ID, kitchen}
        assert set(own.hub.rings) == {LOBBY_ID}
    assert own.hub.rings == {}


async def test_a_crowd_that_is_paced_gets_everything(where: Where) -> None:
    """With rests between the turns, what gathers leaves as fewer and larger batches; nothing is lost by it."""
    async with parts(where, rest=0.002) as own:
        kitchen = await own.room(MINA, HANA)
        async with subscribed(own, MINA) as mina, subscribed(own, HANA) as hana:
            for number in range(50):
                await own.say(MINA, kitchen, f"{number}")
            for live in (mina, hana):
                await live.reaches(kitchen, 52)
                assert live.reader.texts(kitchen) == [f"{number}" for number in range(50)]
