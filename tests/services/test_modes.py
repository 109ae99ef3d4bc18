"""How a channel is set to work: read-only, slow, without guests."""

from __future__ import annotations

import asyncio

import pytest
from support import Parts, draft, held, refused, sequences

from madang.core.errors import ChannelReadOnly, GuestsNotAllowed, NotPermitted, SlowMode
from madang.core.models import LOBBY_ID, Actor, ChannelRole, Content, Message, ServerRole
from madang.services.making import ChannelUpdate
from madang.storage import memberships

PERSON, GUEST, ADMIN = ServerRole.MEMBER, ServerRole.GUEST, ServerRole.ADMIN
SLOW = 10


async def slow_room(own: Parts, *others: ServerRole) -> tuple[int, list[Actor]]:
    """A channel in slow mode, its owner, and others in it."""
    people = await own.people(PERSON, *others)
    channel_id = await own.room(*(one.user_id for one in people))
    await own.lobby.update(people[0], channel_id, ChannelUpdate(slow_mode=SLOW))
    return channel_id, people


async def test_each_change_is_a_message_of_its_own(own: Parts) -> None:
    (mina,) = await own.people(PERSON)
    kitchen = await own.room(mina.user_id)
    everything = ChannelUpdate("cellar", "wine", read_only=True, slow_mode=SLOW, guests=False)
    for _ in range(2):
        channel = await own.lobby.update(mina, kitchen, everything)
    assert (channel.name, channel.read_only, channel.slow_mode, channel.guests) == ("cellar", True, SLOW, False)
    assert [(message.content, message.text) for message in await own.history(kitchen)][1:] == [
        (Content.RENAMED, "cellar"),
        (Content.TOPIC_CHANGED, "wine"),
        (Content.READ_ONLY_CHANGED, "1"),
        (Content.SLOW_MODE_CHANGED, "10"),
        (Content.GUESTS_CHANGED, "0"),
    ]
    assert [event[0] for event in await own.audited()] == ["channel.create", *["channel.update"] * 5]
    await own.lobby.update(mina, kitchen, ChannelUpdate(read_only=False, slow_mode=0))
    assert [message.text for message in await own.history(kitchen)][-2:] == ["0", "0"]


async def test_all_of_a_change_or_nothing(own: Parts) -> None:
    mina, hana = await own.people(PERSON, PERSON)
    kitchen = await own.room(mina.user_id, hana.user_id)
    with refused(NotPermitted):
        await own.lobby.update(hana, kitchen, ChannelUpdate(topic="mine now", read_only=True))
    assert (await own.lobby.get(mina, kitchen))[0].topic == ""
    assert len(await own.history(kitchen)) == 2


async def test_in_a_read_only_channel_moderators_write_and_all_read(own: Parts) -> None:
    mina, hana, jun, admin = await own.people(PERSON, PERSON, PERSON, ADMIN)
    board = await own.room(mina.user_id, hana.user_id, jun.user_id, admin.user_id)
    await own.moderation.set_role(mina, board, hana.user_id, ChannelRole.MODERATOR)
    await own.lobby.update(mina, board, ChannelUpdate(read_only=True))
    outcomes = await own.store.append([draft(board, one.user_id) for one in (mina, hana, jun, admin)])
    assert [isinstance(one, Message) for one in outcomes] == [True, True, False, True]
    for attempt in (own.channel.send(jun.user_id, board, "hi", None), own.channel.set_typing(jun.user_id, board)):
        with refused(ChannelReadOnly, channel_id=board):
            await attempt
    await own.channel.set_typing(admin.user_id, board)
    await own.channel.page(jun.user_id, board, 0, "", True, 0, 0)
    await own.moderation.set_role(mina, board, hana.user_id, ChannelRole.MEMBER)
    assert sequences(await own.store.append([draft(board, hana.user_id)])) == ["CHANNEL_READ_ONLY"]


async def test_a_role_that_changes_among_messages_that_are_on_their_way(own: Parts) -> None:
    mina, hana = await own.people(PERSON, PERSON)
    board = await own.room(mina.user_id, hana.user_id)
    await own.lobby.update(mina, board, ChannelUpdate(read_only=True))
    head = len(await own.history(board))
    async with held(own.store):
        early = own.store.append([draft(board, hana.user_id)])
        rise = asyncio.create_task(own.moderation.set_role(mina, board, hana.user_id, ChannelRole.MODERATOR))
        await asyncio.sleep(0)
        between = own.store.append([draft(board, hana.user_id)])
        fall = asyncio.create_task(own.moderation.set_role(mina, board, hana.user_id, ChannelRole.MEMBER))
        await asyncio.sleep(0)
        late = own.store.append([draft(board, hana.user_id)])
    await asyncio.gather(rise, fall)
    outcomes = [sequences(await one) for one in (early, between, late)]
    assert outcomes == [["CHANNEL_READ_ONLY"], [head + 2], ["CHANNEL_READ_ONLY"]]


async def test_slow_mode_holds_within_one_list_and_one_commit(own: Parts) -> None:
    room, (_, hana, jun) = await slow_room(own, PERSON, PERSON)
    drafts = [draft(room, one.user_id, f"{number}") for number in range(3) for one in (hana, jun)]
    async with held(own.store):
        first, second = own.store.append(drafts), own.store.append(drafts)
    reasons = [one if isinstance(one, str) else "" for one in sequences([*await first, *await second])]
    assert reasons == ["", "", *["SLOW_MODE"] * 10]


async def test_slow_mode_says_how_long_and_keeps_to_it(own: Parts) -> None:
    room, (_, hana) = await slow_room(own, PERSON)
    await own.channel.send(hana.user_id, room, "one", None)
    own.clock.pass_seconds(2.5)
    for _ in range(2):
        with refused(SlowMode, channel_id=room, retry_after=7.5):  # type: ignore[arg-type]
            await own.channel.send(hana.user_id, room, "two", None)
    own.clock.pass_seconds(7.499)
    with refused(SlowMode, retry_after=0.1):  # type: ignore[arg-type]
        await own.channel.send(hana.user_id, room, "two", None)
    own.clock.pass_seconds(0.001)
    await own.channel.send(hana.user_id, room, "two", None)
    with refused(SlowMode):
        await own.channel.send(hana.user_id, room, "three", None)


async def test_slow_mode_is_of_one_channel_and_not_for_moderators(own: Parts) -> None:
    room, (mina, hana, admin, bot) = await slow_room(own, PERSON, ADMIN, ServerRole.BOT)
    other = await own.room(hana.user_id, name="other")
    for who in (mina, admin):
        outcomes = await own.store.append([draft(room, who.user_id)] * 3)
        assert all(isinstance(one, Message) for one in outcomes)
    outcomes = await own.store.append(
        [draft(room, hana.user_id), draft(other, hana.user_id), draft(other, hana.user_id)]
    )
    assert all(isinstance(one, Message) for one in outcomes)
    assert sequences(await own.store.append([draft(room, bot.user_id)] * 2))[1] == "SLOW_MODE"


async def test_leaving_and_coming_back_is_no_way_around_slow_mode(own: Parts) -> None:
    room, (_, hana) = await slow_room(own, PERSON)
    await own.channel.send(hana.user_id, room, "one", None)
    await own.lobby.leave(hana, room)
    await own.lobby.join(hana, room)
    with refused(SlowMode):
        await own.channel.send(hana.user_id, room, "two", None)


async def test_a_refused_message_does_not_count_and_a_repeated_one_gets_its_first_result(own: Parts) -> None:
    room, (_, hana) = await slow_room(own, PERSON)
    key = b"k" * 16
    (stored,) = await own.store.append([draft(room, hana.user_id, "one", key)])
    own.clock.pass_seconds(SLOW - 1)
    assert await own.store.append([draft(room, hana.user_id, "one", key)]) == [stored]
    assert sequences(await own.store.append([draft(room, hana.user_id, "two")])) == ["SLOW_MODE"]
    own.clock.pass_seconds(1)
    await own.channel.send(hana.user_id, room, "two", None)


async def test_slow_mode_in_the_lobby_where_nobody_has_a_row_at_first(own: Parts) -> None:
    admin, guest = await own.people(ADMIN, GUEST)
    await own.lobby.update(admin, LOBBY_ID, ChannelUpdate(slow_mode=SLOW))
    await own.channel.send(guest.user_id, LOBBY_ID, "one", None)
    with refused(SlowMode):
        await own.channel.send(guest.user_id, LOBBY_ID, "two", None)
    member = await own.store.read(memberships.get, LOBBY_ID, guest.user_id)
    assert member is not None
    assert member.joined_at is None
    own.clock.pass_seconds(SLOW)
    await own.channel.send(guest.user_id, LOBBY_ID, "two", None)


async def test_when_somebody_wrote_is_kept_for_slow_mode_alone(own: Parts) -> None:
    mina, hana = await own.people(PERSON, PERSON)
    kitchen = await own.room(mina.user_id, hana.user_id)
    await own.channel.send(hana.user_id, kitchen, "one", None)

    def kept(connection: object) -> list[object]:
        return connection.exec_driver_sql("SELECT 1 FROM members WHERE wrote_at IS NOT NULL").all()  # type: ignore[attr-defined,no-any-return]

    assert await own.store.read(kept) == []


@pytest.mark.parametrize("guests", [True, False])
async def test_guests_come_in_where_they_are_let_in(own: Parts, guests: bool) -> None:
    mina, early, late, bot = await own.people(PERSON, GUEST, GUEST, ServerRole.BOT)
    kitchen = await own.room(mina.user_id, early.user_id)
    await own.lobby.update(mina, kitchen, ChannelUpdate(guests=guests))
    await own.lobby.join(bot, kitchen)
    await own.channel.send(early.user_id, kitchen, "who is in stays", None)
    if guests:
        await own.lobby.join(late, kitchen)
        return
    for attempt in (own.lobby.join(late, kitchen), own.lobby.add(mina, kitchen, late.user_id)):
        with refused(GuestsNotAllowed):
            await attempt


async def test_a_lobby_without_guests_is_read_by_them_and_not_written(own: Parts) -> None:
    admin, guest, hana = await own.people(ADMIN, GUEST, PERSON)
    await own.channel.send(guest.user_id, LOBBY_ID, "hello", None)
    await own.lobby.update(admin, LOBBY_ID, ChannelUpdate(guests=False))
    for attempt in (
        own.channel.send(guest.user_id, LOBBY_ID, "hello", None),
        own.channel.set_typing(guest.user_id, LOBBY_ID),
    ):
        with refused(GuestsNotAllowed):
            await attempt
    await own.channel.send(hana.user_id, LOBBY_ID, "hello", None)
    assert len((await own.channel.page(guest.user_id, LOBBY_ID, 0, "", True, 0, 0))[0]) == 3
    with refused(NotPermitted):
        await own.lobby.update(hana, LOBBY_ID, ChannelUpdate(guests=True))
