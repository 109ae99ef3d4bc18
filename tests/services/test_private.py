"""A private or direct channel is not there for whoever is not in it: in every method, to the letter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support import Parts, actor, draft, refused, sequences, subscribed

from madang.core.errors import (
    ChannelNameTaken,
    ChannelNotFound,
    GuestsNotAllowed,
    MadangError,
    NotAMember,
    NotPermitted,
    UserNotFound,
)
from madang.core.models import LOBBY_ID, Actor, ChannelKind, ChannelRole, Content, ServerRole
from madang.services.making import ChannelUpdate
from madang.services.subscription import Wanted

PERSON = ServerRole.MEMBER


async def secret_of(own: Parts, owner: Actor, *others: Actor) -> int:
    """A private channel with these people in it."""
    channel = await own.lobby.create(owner, "secret", "", None, ChannelKind.PRIVATE)
    for one in others:
        await own.lobby.add(owner, channel.channel_id, one.user_id)
    return channel.channel_id


async def _subscribe(own: Parts, who: Actor, channel_id: int) -> None:
    subscription = own.channel.subscribe(who.user_id, Wanted(channel_ids=frozenset({channel_id})))
    try:
        await subscription.next()
    finally:
        subscription.close()


async def _post(own: Parts, who: Actor, channel_id: int) -> None:
    (outcome,) = await own.channel.post([draft(channel_id, who.user_id)])
    if isinstance(outcome, MadangError):
        raise outcome


Ask = Callable[[Parts, Actor, int], Awaitable[object]]
EVERY_METHOD: dict[str, Ask] = {
    "get": lambda own, who, it: own.lobby.get(who, it),
    "join": lambda own, who, it: own.lobby.join(who, it),
    "leave": lambda own, who, it: own.lobby.leave(who, it),
    "members": lambda own, who, it: own.lobby.members(who, it, 0, ""),
    "add": lambda own, who, it: own.lobby.add(who, it, 1),
    "add oneself": lambda own, who, it: own.lobby.add(who, it, who.user_id),
    "update nothing": lambda own, who, it: own.lobby.update(who, it, ChannelUpdate()),
    "rename": lambda own, who, it: own.lobby.update(who, it, ChannelUpdate(name="mine")),
    "set the topic": lambda own, who, it: own.lobby.update(who, it, ChannelUpdate(topic="x")),
    "set modes": lambda own, who, it: own.lobby.update(who, it, ChannelUpdate(read_only=True)),
    "archive": lambda own, who, it: own.lobby.set_archived(who, it, True),
    "bring back": lambda own, who, it: own.lobby.set_archived(who, it, False),
    "remove": lambda own, who, it: own.moderation.remove(who, it, 1, ""),
    "ban": lambda own, who, it: own.moderation.ban(who, it, 1, "", None),
    "ban in the past": lambda own, who, it: own.moderation.ban(who, it, 1, "", 1),
    "unban": lambda own, who, it: own.moderation.unban(who, it, 1),
    "bans": lambda own, who, it: own.moderation.bans(who, it, 0, ""),
    "mute": lambda own, who, it: own.moderation.mute(who, it, 1, 60),
    "mute nobody": lambda own, who, it: own.moderation.mute(who, it, 999, 60),
    "give a role": lambda own, who, it: own.moderation.set_role(who, it, who.user_id, ChannelRole.OWNER),
    "report": lambda own, who, it: own.reports.report(who, it, 1, ""),
    "reports": lambda own, who, it: own.reports.page(who, it, False, 0, ""),
    "send": lambda own, who, it: own.channel.send(who.user_id, it, "hello", None),
    "post": _post,
    "get a message": lambda own, who, it: own.channel.get(who.user_id, it, 1),
    "get no message": lambda own, who, it: own.channel.get(who.user_id, it, 999),
    "list messages": lambda own, who, it: own.channel.page(who.user_id, it, 0, "", True, 0, 0),
    "mark read": lambda own, who, it: own.channel.mark_read(who.user_id, it, 0),
    "mark read beyond": lambda own, who, it: own.channel.mark_read(who.user_id, it, 10**6),
    "type": lambda own, who, it: own.channel.set_typing(who.user_id, it),
    "subscribe": _subscribe,
}


async def error_of(ask: Ask, own: Parts, who: Actor, channel_id: int) -> MadangError:
    with pytest.raises(MadangError) as caught:
        await ask(own, who, channel_id)
    return caught.value


@pytest.mark.parametrize("kind", [ChannelKind.PRIVATE, ChannelKind.DIRECT])
@pytest.mark.parametrize("archived", [False, True])
async def test_every_method_answers_as_if_it_were_not_there(own: Parts, kind: ChannelKind, archived: bool) -> None:
    mina, hana, jun = await own.people(PERSON, PERSON, PERSON)
    if kind is ChannelKind.PRIVATE:
        it = await secret_of(own, mina, hana)
        await own.lobby.set_archived(mina, it, archived)
        await own.moderation.ban(mina, it, jun.user_id, "", None)
    else:
        it = (await own.lobby.open_direct(mina, [hana.user_id]))[0].channel_id
    missing = it + 1000
    for name, ask in EVERY_METHOD.items():
        hidden, absent = await error_of(ask, own, jun, it), await error_of(ask, own, jun, missing)
        assert type(hidden) is type(absent) is ChannelNotFound, name
        assert hidden.facts == {"channel": it}, name
        assert absent.facts == {"channel": missing}, name
        assert str(hidden) == str(absent).replace(str(missing), str(it)), name
    for asked in ("secret", "SECRET", f":{mina.user_id},{hana.user_id}"):
        with refused(ChannelNotFound, channel=asked):
            await own.lobby.get_by_name(jun, asked)
    for joined_only, include_archived in ((False, False), (False, True), (True, True)):
        listed, _ = await own.lobby.channels(jun, 0, "", joined_only, include_archived)
        assert [channel.channel_id for channel, _ in listed] == [LOBBY_ID]


async def test_a_stream_of_everything_has_nothing_of_it(own: Parts) -> None:
    mina, jun = await own.people(PERSON, PERSON)
    it = await secret_of(own, mina)
    async with subscribed(own, jun.user_id, {it: 0}) as live:
        await own.say(mina.user_id, it, "hush")
        await own.say(mina.user_id, LOBBY_ID, "done")
        await live.reaches(LOBBY_ID, 1)
        assert live.reader.open == {LOBBY_ID}


async def test_its_name_is_taken_all_the_same(own: Parts) -> None:
    mina, jun = await own.people(PERSON, PERSON)
    it = await secret_of(own, mina)
    with refused(ChannelNameTaken, name="Secret"):
        await own.lobby.create(jun, "Secret", "", None)
    hall = await own.room(jun.user_id, name="hall")
    with refused(ChannelNameTaken, name="secret"):
        await own.lobby.update(jun, hall, ChannelUpdate(name="secret"))
    assert (await own.lobby.get(mina, it))[0].name == "secret"


async def test_members_bring_others_in_and_nobody_comes_by_itself(own: Parts) -> None:
    mina, hana, jun = await own.people(PERSON, PERSON, PERSON)
    it = await secret_of(own, mina, hana)
    async with subscribed(own, jun.user_id) as live:
        for _ in range(2):
            assert (await own.lobby.add(hana, it, jun.user_id)).role is ChannelRole.MEMBER
        assert [one.channel.channel_id for one in (await live.next()).opened] == [it]
    assert [message.author_id for message in await own.history(it)] == [mina.user_id, hana.user_id, jun.user_id]
    assert (await own.audited())[-1] == ("channel.member.add", hana.user_id, jun.user_id, it)
    await own.lobby.leave(jun, it)
    with refused(ChannelNotFound, channel=it):
        await own.lobby.join(jun, it)
    with refused(UserNotFound, user=999):
        await own.lobby.add(mina, it, 999)


async def test_who_is_brought_in_by_many_at_once_comes_in_once(own: Parts) -> None:
    mina, hana, jun = await own.people(PERSON, PERSON, PERSON)
    it = await secret_of(own, mina, hana)
    await asyncio.gather(*(own.lobby.add(one, it, jun.user_id) for one in (mina, hana) * 5))
    assert [message.content for message in await own.history(it)] == [Content.MEMBER_JOINED] * 3


async def test_guests_are_let_into_a_private_channel_when_it_says_so(own: Parts) -> None:
    mina, guest = await own.people(PERSON, ServerRole.GUEST)
    it = await secret_of(own, mina)
    assert not (await own.lobby.get(mina, it))[0].guests
    with refused(GuestsNotAllowed):
        await own.lobby.add(mina, it, guest.user_id)
    await own.lobby.update(mina, it, ChannelUpdate(guests=True))
    await own.lobby.add(mina, it, guest.user_id)


async def test_an_administrator_manages_it_from_outside_and_is_seen_when_it_comes_in(own: Parts) -> None:
    mina, admin = await own.people(PERSON, ServerRole.ADMIN)
    it = await secret_of(own, mina)
    listed, _ = await own.lobby.channels(admin, 0, "", False, False)
    assert [channel.channel_id for channel, _ in listed] == [LOBBY_ID, it]
    assert (await own.lobby.get_by_name(admin, "secret"))[1] is None
    await own.lobby.update(admin, it, ChannelUpdate(topic="kept in order"))
    for ask in ("send", "get a message", "list messages", "mark read", "subscribe", "report", "type"):
        assert type(await error_of(EVERY_METHOD[ask], own, admin, it)) is ChannelNotFound, ask
    assert (await own.lobby.join(admin, it))[1].user_id == admin.user_id
    assert (await own.history(it))[-1].author_id == admin.user_id
    await own.channel.send(admin.user_id, it, "hello", None)


async def test_a_direct_channel_is_no_administrators_business(own: Parts) -> None:
    mina, hana, admin = await own.people(PERSON, PERSON, ServerRole.OWNER)
    it = (await own.lobby.open_direct(mina, [hana.user_id]))[0].channel_id
    for name, ask in EVERY_METHOD.items():
        if name != "reports":
            assert type(await error_of(ask, own, admin, it)) is ChannelNotFound, name
    listed, _ = await own.lobby.channels(admin, 0, "", False, True)
    assert it not in [channel.channel_id for channel, _ in listed]
    assert await own.reports.page(admin, it, True, 0, "") == ([], ""), "as for a channel that does not exist"


async def test_the_first_result_of_a_repeated_request_is_gone_with_the_right_to_see_it(own: Parts) -> None:
    mina, hana, admin = await own.people(PERSON, PERSON, ServerRole.ADMIN)
    made = await own.lobby.create(mina, "secret", "", b"k" * 16, ChannelKind.PRIVATE)
    assert (await own.lobby.create(mina, "secret", "", b"k" * 16, ChannelKind.PRIVATE)).channel_id == made.channel_id
    await own.lobby.add(mina, made.channel_id, hana.user_id)
    await own.moderation.set_role(mina, made.channel_id, hana.user_id, ChannelRole.OWNER)
    await own.moderation.ban(admin, made.channel_id, mina.user_id, "", None)
    await own.lobby.update(hana, made.channel_id, ChannelUpdate(name="not-for-mina"))
    with refused(ChannelNotFound, channel=made.channel_id):
        await own.lobby.create(mina, "secret", "", b"k" * 16, ChannelKind.PRIVATE)


async def test_a_stranger_of_a_public_channel_is_told_that_it_is_one(own: Parts) -> None:
    mina, jun = await own.people(PERSON, PERSON)
    kitchen = await own.room(mina.user_id)
    with refused(NotAMember, channel_id=kitchen):
        await own.channel.send(jun.user_id, kitchen, "hello", None)
    with refused(NotAMember, channel_id=kitchen):
        await own.lobby.add(jun, kitchen, jun.user_id)
    with refused(NotPermitted):
        await own.lobby.update(jun, kitchen, ChannelUpdate(guests=False))
    assert sequences(await own.store.append([draft(kitchen, actor(jun.user_id).user_id)])) == ["NOT_A_MEMBER"]
