"""What one subscriber is shown: everything of the channels that it is in, in order; nothing of the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support import Live, Parts, eventually, parts, refused, subscribed

from madang.core.errors import ChannelNotFound, NotAMember, ServerDraining, StorageUnavailable
from madang.core.models import LOBBY_ID
from madang.services.hub import PAGE
from madang.services.subscription import Wanted
from madang.storage import messages

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


async def test_joining_and_leaving_while_the_stream_is_open(own: Parts) -> None:
    kitchen = await own.room(MINA)
    async with subscribed(own, HANA) as live:
        await own.lobby.join(HANA, kitchen)
        response = await live.next()
        assert [(one.channel.name, one.position) for one in response.opened] == [("kitchen", 2)]
        await own.say(MINA, kitchen, "hello")
        await live.reaches(kitchen, 3)
        await own.lobby.leave(HANA, kitchen)
        assert [one.channel_id for one in (await live.next()).closed] == [kitchen]
        await own.say(MINA, kitchen, "she has gone")
        await own.say(MINA, LOBBY_ID, "done")
        await live.reaches(LOBBY_ID, 1)
        assert live.reader.sequences(kitchen) == [3]


async def test_a_filter_shows_its_channels_alone(own: Parts) -> None:
    kitchen, hall = await own.room(MINA), await own.room(HANA, name="hall")
    async with subscribed(own, MINA, {}, kitchen) as live:
        await own.lobby.join(MINA, hall)
        await own.say(MINA, hall, "in the hall")
        await own.say(MINA, LOBBY_ID, "in the lobby")
        await own.say(MINA, kitchen, "in the kitchen")
        response = await live.next()
        assert not response.opened
        assert {batch.channel_id for batch in response.batches} == {kitchen}
        await own.lobby.leave(MINA, kitchen)
        assert [one.channel_id for one in (await live.next()).closed] == [kitchen]


@pytest.mark.parametrize("rejoin", [False, True])
async def test_nothing_of_a_left_channel_even_while_a_page_is_on_its_way(
    own: Parts, slow: SlowStore, rejoin: bool
) -> None:
    kitchen = await own.room(MINA, HANA)
    await own.say(MINA, kitchen, "a", "b")
    async with subscribed(own, HANA, {kitchen: 0}) as live:
        slow.hold(messages.changed)
        reading = asyncio.create_task(live.next())
        await slow.is_asked()
        await own.lobby.leave(HANA, kitchen)
        if rejoin:
            await own.lobby.join(HANA, kitchen)
        slow.answer()
        response = await reading
        assert not response.batches
        assert live.reader.sequences(kitchen) == []


async def test_leaving_and_joining_again_between_two_responses_leaves_the_channel_open(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    async with subscribed(own, HANA) as live:
        await own.lobby.leave(HANA, kitchen)
        await own.lobby.join(HANA, kitchen)
        await own.say(MINA, kitchen, "welcome back")
        await live.until(lambda: live.reader.texts(kitchen))
        assert kitchen in live.reader.open
        assert live.reader.texts(kitchen) == ["welcome back"]


async def test_joining_and_leaving_between_two_responses_leaves_it_closed(own: Parts) -> None:
    kitchen = await own.room(MINA)
    async with subscribed(own, HANA) as live:
        await own.lobby.join(HANA, kitchen)
        await own.lobby.leave(HANA, kitchen)
        await own.say(MINA, kitchen, "anybody there?")
        await own.say(MINA, LOBBY_ID, "done")
        await live.reaches(LOBBY_ID, 1)
        assert kitchen not in live.reader.open
        assert live.reader.sequences(kitchen) == []


async def served(own: Parts, live: Live) -> None:
    """Read one response. What there was to read before comes first; else it is a message in the lobby."""
    reading = asyncio.create_task(live.next())
    await own.say(MINA, LOBBY_ID, "anything new?")
    await reading


async def test_a_reader_that_is_behind_is_served_whoever_joined_before_it(own: Parts) -> None:
    """The channel is quiet: no later message wakes the reader, and the store is not asked before half a minute."""
    kitchen = await own.room(MINA, HANA)
    await own.say(MINA, kitchen, "a", "b", "c")
    async with subscribed(own, JUN):
        await own.lobby.join(JUN, kitchen)
        async with subscribed(own, HANA, {kitchen: 2}) as hana:
            await served(own, hana)
            assert hana.reader.sequences(kitchen) == [3, 4, 5, 6]


async def test_a_reader_that_is_behind_is_served_whoever_went_away_before_it(own: Parts, slow: SlowStore) -> None:
    kitchen = await own.room(MINA, HANA, JUN)
    slow.hold(messages.heads)
    first, second = own.channel.subscribe(JUN, Wanted({kitchen: 0})), own.channel.subscribe(HANA, Wanted({kitchen: 1}))
    live = Live(second)
    going = asyncio.create_task(first.next())
    await slow.is_asked()
    staying = asyncio.create_task(live.next())
    await eventually(lambda: staying.done() or slow.waiting == 2, "the second has what it needs, or has asked for it")
    going.cancel()
    await asyncio.wait([going])
    first.close()
    slow.answer()
    await staying
    await served(own, live)
    assert live.reader.sequences(kitchen) == [2, 3]
    second.close()


async def test_a_channel_is_opened_once_even_when_it_is_joined_while_the_stream_opens(
    own: Parts, slow: SlowStore
) -> None:
    kitchen = await own.room(MINA, HANA)
    await own.say(MINA, kitchen, "a")
    slow.hold()
    one = own.channel.subscribe(HANA, Wanted({kitchen: 1}))
    live = Live(one)
    opening = asyncio.create_task(live.next())
    await slow.is_asked()
    await own.lobby.leave(HANA, kitchen)
    await own.lobby.join(HANA, kitchen)
    slow.answer()
    await opening
    await own.say(MINA, kitchen, "b")
    await live.reaches(kitchen, 6)
    assert live.reader.texts(kitchen)[-1] == "b"
    one.close()


async def test_a_channel_that_is_left_while_the_stream_opens_is_not_opened(own: Parts, slow: SlowStore) -> None:
    kitchen = await own.room(MINA, HANA)
    slow.hold()
    one = own.channel.subscribe(HANA, Wanted({kitchen: 1}))
    live = Live(one)
    opening = asyncio.create_task(live.next())
    await slow.is_asked()
    await own.lobby.leave(HANA, kitchen)
    slow.answer()
    await opening
    assert live.reader.open == {LOBBY_ID}
    await own.say(MINA, kitchen, "a secret")
    await own.say(MINA, LOBBY_ID, "done")
    await live.reaches(LOBBY_ID, 1)
    one.close()


async def test_a_message_that_is_stored_while_the_stream_opens_is_not_missed(own: Parts, slow: SlowStore) -> None:
    kitchen = await own.room(MINA)
    slow.hold()
    one = own.channel.subscribe(MINA, Wanted())
    live = Live(one)
    opening = asyncio.create_task(live.next())
    await slow.is_asked()
    await own.say(MINA, kitchen, "meanwhile")
    slow.answer()
    await opening
    await live.reaches(kitchen, 2)
    assert live.reader.texts(kitchen) == ["meanwhile"]
    one.close()


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
    kitchen = await own.room(MINA, HANA)
    async with subscribed(own, MINA):
        async with subscribed(own, HANA):
            assert set(own.hub.rings) == {LOBBY_ID, kitchen}
            await own.lobby.leave(MINA, kitchen)
            assert set(own.hub.rings) == {LOBBY_ID, kitchen}
        assert set(own.hub.rings) == {LOBBY_ID}
    assert own.hub.rings == {}


async def test_a_crowd_that_is_paced_gets_everything(tmp_path: Path) -> None:
    """With rests between the turns, what gathers leaves as fewer and larger batches; nothing is lost by it."""
    async with parts(tmp_path, rest=0.002) as own:
        kitchen = await own.room(MINA, HANA)
        async with subscribed(own, MINA) as mina, subscribed(own, HANA) as hana:
            for number in range(50):
                await own.say(MINA, kitchen, f"{number}")
            for live in (mina, hana):
                await live.reaches(kitchen, 52)
                assert live.reader.texts(kitchen) == [f"{number}" for number in range(50)]
