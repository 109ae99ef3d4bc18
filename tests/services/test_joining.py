"""Channels that are joined and left while a stream is open, or opens: whatever is on its way at that moment."""

from __future__ import annotations

import asyncio

import pytest
from support import Live, Parts, actor, eventually, subscribed

from madang.core.models import LOBBY_ID
from madang.services.subscription import Wanted
from madang.storage import directory, messages

from .conftest import SlowStore

MINA, HANA, JUN = 1, 2, 3


async def test_joining_and_leaving_while_the_stream_is_open(own: Parts) -> None:
    kitchen = await own.room(MINA)
    async with subscribed(own, HANA) as live:
        await own.lobby.join(actor(HANA), kitchen)
        response = await live.next()
        assert [(one.channel.name, one.position) for one in response.opened] == [("kitchen", 2)]
        await own.say(MINA, kitchen, "hello")
        await live.reaches(kitchen, 3)
        await own.lobby.leave(actor(HANA), kitchen)
        assert [one.channel_id for one in (await live.next()).closed] == [kitchen]
        await own.say(MINA, kitchen, "she has gone")
        await own.say(MINA, LOBBY_ID, "done")
        await live.reaches(LOBBY_ID, 1)
        assert live.reader.sequences(kitchen) == [3]


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
        await own.lobby.leave(actor(HANA), kitchen)
        if rejoin:
            await own.lobby.join(actor(HANA), kitchen)
        slow.answer()
        response = await reading
        assert not response.batches
        assert live.reader.sequences(kitchen) == []


async def test_leaving_and_joining_again_between_two_responses_leaves_the_channel_open(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    async with subscribed(own, HANA) as live:
        await own.lobby.leave(actor(HANA), kitchen)
        await own.lobby.join(actor(HANA), kitchen)
        await own.say(MINA, kitchen, "welcome back")
        await live.until(lambda: live.reader.texts(kitchen))
        assert kitchen in live.reader.open
        assert live.reader.texts(kitchen) == ["welcome back"]


async def test_leaving_and_joining_again_while_a_page_is_on_its_way_leaves_the_channel_open(
    own: Parts, slow: SlowStore
) -> None:
    kitchen, hall = await own.room(MINA, HANA), await own.room(MINA, HANA, name="hall")
    async with subscribed(own, HANA, {hall: 0}) as live:
        slow.hold(messages.changed)
        reading = asyncio.create_task(live.next())
        await slow.is_asked()
        await own.lobby.leave(actor(HANA), kitchen)
        await own.lobby.join(actor(HANA), kitchen)
        slow.answer()
        await reading
        await own.say(MINA, kitchen, "welcome back")
        await live.until(lambda: live.reader.texts(kitchen))
        assert kitchen in live.reader.open


async def test_no_news_of_a_channel_that_is_not_open(own: Parts, slow: SlowStore) -> None:
    kitchen = await own.room(MINA)
    async with subscribed(own, HANA) as live:
        slow.delay(directory.place)
        await own.lobby.join(actor(HANA), kitchen)
        await own.say(MINA, kitchen, "hello")
        reading = asyncio.create_task(live.next())
        await slow.is_asked()
        await own.lobby.leave(actor(HANA), kitchen)
        slow.answer()
        await reading
        await own.say(MINA, LOBBY_ID, "done")
        await live.reaches(LOBBY_ID, 1)
        assert kitchen not in live.reader.open


async def test_a_left_channel_does_not_tell_who_is_writing(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    async with subscribed(own, HANA) as live:
        await own.channel.set_typing(MINA, kitchen)
        await own.lobby.leave(actor(HANA), kitchen)
        await own.say(MINA, LOBBY_ID, "done")
        responses = [await live.next()]
        while live.reader.positions[LOBBY_ID] < 1:
            responses.append(await live.next())
        assert [typing for response in responses for typing in response.typing] == []


async def test_joining_and_leaving_between_two_responses_leaves_it_closed(own: Parts) -> None:
    kitchen = await own.room(MINA)
    async with subscribed(own, HANA) as live:
        await own.lobby.join(actor(HANA), kitchen)
        await own.lobby.leave(actor(HANA), kitchen)
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
        await own.lobby.join(actor(JUN), kitchen)
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
    await own.lobby.leave(actor(HANA), kitchen)
    await own.lobby.join(actor(HANA), kitchen)
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
    await own.lobby.leave(actor(HANA), kitchen)
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
