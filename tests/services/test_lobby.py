"""Channels and people: what is done twice is done once, and what fails leaves nothing half done."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from support import Parts, actor, refused, sequences

from madang.core.errors import (
    ChannelArchived,
    ChannelNameTaken,
    ChannelNotFound,
    LobbyIsFixed,
    MadangError,
    NameNotAllowed,
    NotAMember,
    NotPermitted,
    PageTokenInvalid,
    PositionBeyondHead,
    TextNotAllowed,
)
from madang.core.events import MembershipChanged, ReadMarkMoved
from madang.core.models import LOBBY_ID, Content
from madang.services.making import ChannelUpdate

MINA, HANA, JUN = 1, 2, 3
KEY = uuid.UUID(int=7).bytes


async def contents(own: Parts, channel_id: int) -> list[Content]:
    return [message.content for message in await own.history(channel_id)]


async def test_who_makes_a_channel_is_in_it(own: Parts) -> None:
    channel = await own.lobby.create(actor(MINA), "kitchen", "food", None)
    assert (channel.name, channel.topic, channel.owner_id, channel.sequence) == ("kitchen", "food", MINA, 1)
    assert await contents(own, channel.channel_id) == [Content.MEMBER_JOINED]
    found, member = await own.lobby.get_by_name(actor(MINA), "KITCHEN")
    assert found == channel
    assert member is not None
    assert (await own.lobby.get(actor(HANA), channel.channel_id))[1] is None


async def test_one_of_many_gets_the_name(own: Parts) -> None:
    asked = [own.lobby.create(actor(user_id), "Kitchen", "", None) for user_id in range(1, 11)]
    done = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, ChannelNameTaken) for one in done) == 9
    channels, _ = await own.lobby.channels(actor(MINA), 0, "", False, True)
    assert [channel.name for channel, _ in channels] == ["lobby", "Kitchen"]


async def test_making_a_channel_twice_makes_it_once(own: Parts) -> None:
    asked = [own.lobby.create(actor(MINA), "kitchen", "", KEY) for _ in range(5)]
    first, *others = await asyncio.gather(*asked)
    assert others == [first] * 4
    assert await contents(own, first.channel_id) == [Content.MEMBER_JOINED]
    assert (await own.lobby.create(actor(HANA), "hall", "", KEY)).name == "hall"


async def test_making_a_channel_again_after_it_was_renamed(own: Parts) -> None:
    first = await own.lobby.create(actor(MINA), "kitchen", "", KEY)
    await own.lobby.update(actor(MINA), first.channel_id, ChannelUpdate("cellar", None))
    assert (await own.lobby.create(actor(MINA), "kitchen", "", KEY)).channel_id == first.channel_id


async def test_joining_twice_joins_once(own: Parts) -> None:
    kitchen = await own.room(MINA)
    told: list[MembershipChanged] = []
    own.bus.subscribe(MembershipChanged, told.append)
    joined = await asyncio.gather(*(own.lobby.join(actor(HANA), kitchen) for _ in range(5)))
    assert len({member for _, member in joined}) == 1
    assert await contents(own, kitchen) == [Content.MEMBER_JOINED] * 2
    assert told == [MembershipChanged(kitchen, HANA, True, 2)]


async def test_leaving_twice_leaves_once(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    told: list[MembershipChanged] = []
    own.bus.subscribe(MembershipChanged, told.append)
    await asyncio.gather(*(own.lobby.leave(actor(HANA), kitchen) for _ in range(5)))
    assert await contents(own, kitchen) == [Content.MEMBER_JOINED] * 2 + [Content.MEMBER_LEFT]
    assert told == [MembershipChanged(kitchen, HANA, False, 3)]
    await own.lobby.leave(actor(JUN), kitchen)
    assert len(told) == 1


async def test_joining_again_changes_nothing_in_an_archived_channel_either(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    await own.lobby.set_archived(actor(MINA), kitchen, True)
    channel, member = await own.lobby.join(actor(HANA), kitchen)
    assert (channel.channel_id, member.user_id) == (kitchen, HANA)


async def test_an_archived_channel_is_read_only_until_it_is_brought_back(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    for _ in range(2):
        assert (await own.lobby.set_archived(actor(MINA), kitchen, True)).archived_at == own.clock.now
    for attempt in (
        own.lobby.join(actor(JUN), kitchen),
        own.lobby.update(actor(MINA), kitchen, ChannelUpdate("cellar", None)),
        own.lobby.update(actor(HANA), kitchen, ChannelUpdate(None, "new")),
        own.channel.send(HANA, kitchen, "hello", None),
        own.channel.set_typing(HANA, kitchen),
    ):
        with refused(ChannelArchived, channel_id=kitchen):
            await attempt
    await own.channel.mark_read(HANA, kitchen, 2)
    await own.lobby.leave(actor(HANA), kitchen)
    for _ in range(2):
        assert (await own.lobby.set_archived(actor(MINA), kitchen, False)).archived_at is None
    assert await contents(own, kitchen) == [
        *[Content.MEMBER_JOINED] * 2,
        Content.ARCHIVED,
        Content.MEMBER_LEFT,
        Content.UNARCHIVED,
    ]


async def test_name_and_topic_change_together_or_not_at_all(own: Parts) -> None:
    kitchen, _ = await own.room(MINA, HANA), await own.room(JUN, name="hall")
    for user_id, name, error in ((HANA, "cellar", NotPermitted), (MINA, "HALL", ChannelNameTaken)):
        with refused(error):
            await own.lobby.update(actor(user_id), kitchen, ChannelUpdate(name, "new topic"))
    assert (await own.lobby.get(actor(MINA), kitchen))[0].topic == ""
    assert (await own.lobby.get(actor(MINA), kitchen))[0].sequence == 2, "nothing was told either"
    channel = await own.lobby.update(actor(MINA), kitchen, ChannelUpdate("Kitchen", "food"))
    assert (channel.name, channel.topic, channel.sequence) == ("Kitchen", "food", 4)
    assert (await own.lobby.update(actor(MINA), kitchen, ChannelUpdate("Kitchen", "food"))).sequence == 4, (
        "nothing to change"
    )


@pytest.mark.parametrize(
    ("name", "topic", "error"),
    [("two words", "", NameNotAllowed), ("12", "", NameNotAllowed), ("fine", "two\nlines", TextNotAllowed)],
)
async def test_bad_names_and_topics(own: Parts, name: str, topic: str, error: type[MadangError]) -> None:
    with refused(error):
        await own.lobby.create(actor(MINA), name, topic, None)
    kitchen = await own.room(MINA)
    with refused(error):
        await own.lobby.update(actor(MINA), kitchen, ChannelUpdate(name, topic))


async def test_the_lobby_is_fixed(own: Parts) -> None:
    for attempt in (
        own.lobby.leave(actor(MINA), LOBBY_ID),
        own.lobby.update(actor(MINA), LOBBY_ID, ChannelUpdate("hall", None)),
        own.lobby.set_archived(actor(MINA), LOBBY_ID, True),
    ):
        with refused(LobbyIsFixed):
            await attempt
    assert (await own.lobby.join(actor(MINA), LOBBY_ID))[1].joined_at is None
    assert await own.history(LOBBY_ID) == []


async def test_what_there_is_not(own: Parts) -> None:
    for attempt in (
        own.lobby.get(actor(MINA), 99),
        own.lobby.join(actor(MINA), 99),
        own.lobby.leave(actor(MINA), 99),
        own.lobby.update(actor(MINA), 99, ChannelUpdate(None, None)),
        own.lobby.set_archived(actor(MINA), 99, True),
        own.lobby.members(actor(MINA), 99, 0, ""),
        own.channel.mark_read(MINA, 99, 0),
    ):
        with refused(ChannelNotFound, channel=99):
            await attempt


async def test_a_read_mark_goes_forward_only_and_is_told_to_the_own_devices(own: Parts) -> None:
    kitchen = await own.room(MINA, HANA)
    told: list[ReadMarkMoved] = []
    own.bus.subscribe(ReadMarkMoved, told.append)
    assert [await own.channel.mark_read(MINA, kitchen, to) for to in (1, 2, 1, 2, 0)] == [1, 2, 2, 2, 2]
    assert told == [ReadMarkMoved(kitchen, MINA, 1), ReadMarkMoved(kitchen, MINA, 2)]
    with refused(PositionBeyondHead, sequence=3, head=2):
        await own.channel.mark_read(MINA, kitchen, 3)
    with refused(NotAMember, channel_id=kitchen):
        await own.channel.mark_read(JUN, kitchen, 1)


async def test_leaving_and_writing_at_once_has_one_outcome(own: Parts) -> None:
    """Either the words come first, or they are refused: nobody writes after having left."""
    kitchen = await own.room(MINA, HANA)
    for _ in range(20):
        sent, _ = await asyncio.gather(own.store.append([]), own.lobby.leave(actor(HANA), kitchen))
        assert sequences(sent) == []
        await own.lobby.join(actor(HANA), kitchen)
        said, _ = await asyncio.gather(own.say(HANA, kitchen, "bye"), own.lobby.leave(actor(HANA), kitchen))
        stored = await own.history(kitchen)
        left = max(one.sequence for one in stored if one.content is Content.MEMBER_LEFT)
        assert all(message.sequence < left for message in said)
        await own.lobby.join(actor(HANA), kitchen)


async def test_a_page_token_is_good_for_its_own_query(own: Parts) -> None:
    await own.room(MINA)
    _, token = await own.lobby.channels(actor(MINA), 1, "", False, False)
    assert token
    for attempt in (
        own.lobby.channels(actor(HANA), 1, token, False, False),
        own.lobby.channels(actor(MINA), 1, token, True, False),
        own.lobby.channels(actor(MINA), 1, token, False, True),
        own.lobby.users(MINA, 1, token),
        own.lobby.members(actor(MINA), LOBBY_ID, 1, token),
        own.channel.page(MINA, LOBBY_ID, 1, token, True, 0, 0),
    ):
        with refused(PageTokenInvalid):
            await attempt


async def test_the_last_page_says_that_it_is_the_last(own: Parts) -> None:
    await own.room(MINA)
    _, token = await own.lobby.channels(actor(MINA), 2, "", False, False)
    assert token == ""
