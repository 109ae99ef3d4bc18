"""Direct channels: the same people, the same channel, and nothing about it changes."""

from __future__ import annotations

import asyncio

import pytest
from support import Parts, refused, subscribed

from madang.core.errors import ChannelIsDirect, ChannelNotFound, InvalidField, MadangError, UserNotFound
from madang.core.models import LOBBY_ID, ChannelKind, ChannelRole, ServerRole
from madang.services.making import ChannelUpdate

PERSON, GUEST = ServerRole.MEMBER, ServerRole.GUEST


async def test_the_same_people_have_the_same_channel_whoever_opens_it(own: Parts) -> None:
    mina, hana, jun = await own.people(PERSON, PERSON, PERSON)
    channel, member = await own.lobby.open_direct(mina, [jun.user_id, hana.user_id])
    assert (channel.name, channel.kind, channel.owner_id) == ("", ChannelKind.DIRECT, 0)
    assert channel.direct_user_ids == (mina.user_id, hana.user_id, jun.user_id)
    assert (member.user_id, member.role) == (mina.user_id, ChannelRole.MEMBER)
    again = [
        await own.lobby.open_direct(hana, [mina.user_id, jun.user_id]),
        await own.lobby.open_direct(jun, [jun.user_id, mina.user_id, hana.user_id, hana.user_id]),
    ]
    assert [other for other, _ in again] == [channel] * 2
    assert (await own.lobby.open_direct(mina, [hana.user_id]))[0].channel_id != channel.channel_id
    assert [event[0] for event in await own.audited()] == ["channel.direct"] * 2


async def test_opened_by_both_at_once_it_is_one(own: Parts) -> None:
    mina, hana = await own.people(PERSON, PERSON)
    opened = await asyncio.gather(
        *(own.lobby.open_direct(who, [whom.user_id]) for who, whom in ((mina, hana), (hana, mina)) * 10)
    )
    (channel_id,) = {channel.channel_id for channel, _ in opened}
    assert {member.user_id for _, member in opened} == {mina.user_id, hana.user_id}
    assert await own.history(channel_id) == []


async def test_it_opens_in_the_streams_of_all_of_them(own: Parts) -> None:
    mina, hana = await own.people(PERSON, PERSON)
    async with subscribed(own, mina.user_id) as hers, subscribed(own, hana.user_id) as live:
        channel, _ = await own.lobby.open_direct(mina, [hana.user_id])
        await own.say(mina.user_id, channel.channel_id, "psst")
        await live.reaches(channel.channel_id, 1)
        assert live.reader.texts(channel.channel_id) == ["psst"]
        await own.lobby.open_direct(hana, [mina.user_id])
        await own.say(hana.user_id, channel.channel_id, "yes?")
        await hers.reaches(channel.channel_id, 2)
        assert hers.reader.sequences(channel.channel_id) == [1, 2], "opened once"


async def test_how_many_people_it_takes(own: Parts) -> None:
    people = await own.people(*[PERSON] * 10)
    ids = [one.user_id for one in people]
    for others in ([], [ids[0]], ids[1:10]):
        with refused(InvalidField, field="user_ids"):
            await own.lobby.open_direct(people[0], others)
    assert len((await own.lobby.open_direct(people[0], ids[1:9]))[0].direct_user_ids) == 9
    assert (await own.lobby.open_direct(people[0], ids[:9]))[0].channel_id == LOBBY_ID + 1, "oneself does not count"


async def test_with_nobody_there_is_no_channel(own: Parts) -> None:
    (mina, guest) = await own.people(PERSON, GUEST)
    with refused(UserNotFound, user=99):
        await own.lobby.open_direct(mina, [guest.user_id, 99])
    with refused(ChannelNotFound):
        await own.lobby.get(mina, LOBBY_ID + 1)
    channel, _ = await own.lobby.open_direct(mina, [guest.user_id])
    await own.channel.send(guest.user_id, channel.channel_id, "a guest may be one of them", None)


async def test_its_people_do_not_change_and_nobody_rules_it(own: Parts) -> None:
    mina, hana, jun = await own.people(PERSON, PERSON, PERSON)
    it = (await own.lobby.open_direct(mina, [hana.user_id]))[0].channel_id
    for attempt in (
        own.lobby.leave(mina, it),
        own.lobby.add(mina, it, jun.user_id),
        own.lobby.update(mina, it, ChannelUpdate(name="ours")),
        own.lobby.update(mina, it, ChannelUpdate(slow_mode=10)),
        own.lobby.set_archived(mina, it, True),
        own.moderation.remove(mina, it, hana.user_id, ""),
        own.moderation.ban(mina, it, hana.user_id, "", None),
        own.moderation.bans(mina, it, 0, ""),
        own.moderation.unban(mina, it, hana.user_id),
        own.moderation.mute(mina, it, hana.user_id, 60),
        own.moderation.set_role(mina, it, mina.user_id, ChannelRole.OWNER),
        own.reports.page(mina, it, False, 0, ""),
    ):
        with refused(ChannelIsDirect, channel_id=it):
            await attempt
    assert (await own.lobby.join(mina, it))[1].user_id == mina.user_id, "repeating changes nothing"
    assert (await own.lobby.update(mina, it, ChannelUpdate(topic="lunch"))).topic == "lunch"


async def test_it_has_no_name_that_anyone_could_take_or_find(own: Parts) -> None:
    mina, hana = await own.people(PERSON, PERSON)
    await own.lobby.open_direct(mina, [hana.user_id])
    key = f":{mina.user_id},{hana.user_id}"
    with refused(ChannelNotFound, channel=key):
        await own.lobby.get_by_name(mina, key)
    with pytest.raises(MadangError):
        await own.lobby.create(mina, key, "", None)


async def test_whom_the_server_took_out_is_back_when_it_is_opened_again(own: Parts) -> None:
    mina, hana = await own.people(PERSON, PERSON)
    it = (await own.lobby.open_direct(mina, [hana.user_id]))[0].channel_id
    await own.lobby.take_out(hana.user_id, it)
    with refused(ChannelNotFound, channel=it):
        await own.channel.send(hana.user_id, it, "hello", None)
    await own.lobby.open_direct(mina, [hana.user_id])
    await own.channel.send(hana.user_id, it, "hello", None)
