"""Who is kept out, who is kept quiet, and who decides: roles, and what races with them."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest
from support import Parts, actor, draft, held, refused, sequences, subscribed

from madang.core.errors import (
    BannedFromChannel,
    ChannelNotFound,
    InvalidField,
    LastOwner,
    LobbyIsFixed,
    MadangError,
    Muted,
    NotAMember,
    NotPermitted,
    TextNotAllowed,
    UserNotFound,
)
from madang.core.models import LOBBY_ID, Actor, ChannelKind, ChannelRole, Content, Message, ServerRole
from madang.storage import memberships

MEMBER, MODERATOR, OWNER = ChannelRole.MEMBER, ChannelRole.MODERATOR, ChannelRole.OWNER
PERSON = ServerRole.MEMBER
DAY = 24 * 3600 * 1_000_000


async def staffed(own: Parts, *roles: ChannelRole) -> tuple[int, list[Actor]]:
    """A channel with an owner, and after it people of these roles."""
    people = await own.people(*[PERSON] * (len(roles) + 1))
    channel_id = await own.room(*(one.user_id for one in people))
    for one, role in zip(people[1:], roles, strict=True):
        await own.moderation.set_role(people[0], channel_id, one.user_id, role)
    return channel_id, people


async def role_of(own: Parts, channel_id: int, who: Actor) -> ChannelRole | None:
    member = await own.store.read(memberships.get, channel_id, who.user_id)
    return None if member is None else member.role


async def last(own: Parts, channel_id: int) -> tuple[Content, int, str]:
    message = (await own.history(channel_id))[-1]
    return message.content, message.author_id, message.text


async def test_a_removed_member_is_out_and_may_come_back(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    for _ in range(2):
        await own.moderation.remove(mina, kitchen, hana.user_id, "too loud")
    assert await last(own, kitchen) == (Content.MEMBER_REMOVED, mina.user_id, f"{hana.user_id} too loud")
    assert len(await own.history(kitchen)) == 3, "once"
    with refused(NotAMember, channel_id=kitchen):
        await own.channel.send(hana.user_id, kitchen, "hello", None)
    await own.lobby.join(hana, kitchen)
    assert ("channel.member.remove", mina.user_id, hana.user_id, kitchen) in await own.audited()


async def test_a_removed_moderator_comes_back_as_a_member(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MODERATOR)
    await own.moderation.remove(mina, kitchen, hana.user_id, "")
    await own.lobby.join(hana, kitchen)
    assert await role_of(own, kitchen, hana) is MEMBER


async def test_a_banned_user_is_out_until_the_ban_ends(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    until = own.clock.now + DAY + 1
    await own.moderation.ban(mina, kitchen, hana.user_id, "spam", until)
    assert await last(own, kitchen) == (Content.MEMBER_BANNED, mina.user_id, f"{hana.user_id} spam")
    with refused(BannedFromChannel, channel_id=kitchen, until=until // 1_000_000 + 1, cause="spam"):
        await own.lobby.join(hana, kitchen)
    with refused(NotPermitted):
        await own.lobby.add(mina, kitchen, hana.user_id)
    own.clock.now = until - 1
    with refused(BannedFromChannel):
        await own.lobby.join(hana, kitchen)
    own.clock.now = until
    assert await own.moderation.bans(mina, kitchen, 0, "") == ([], ""), "no ban any more"
    await own.lobby.join(hana, kitchen)


async def test_a_ban_without_end_ends_when_it_is_lifted(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    await own.moderation.ban(mina, kitchen, hana.user_id, "", None)
    own.clock.now += 1000 * DAY
    with refused(BannedFromChannel, until=0):
        await own.lobby.join(hana, kitchen)
    for _ in range(2):
        await own.moderation.unban(mina, kitchen, hana.user_id)
    await own.lobby.join(hana, kitchen)
    assert [event[0] for event in await own.audited()].count("channel.member.unban") == 1


async def test_who_never_was_a_member_can_be_banned_and_the_channel_is_not_told(own: Parts) -> None:
    kitchen, (mina,) = await staffed(own)
    (jun,) = await own.people(PERSON)
    head = len(await own.history(kitchen))
    for reason in ("first", "second"):
        await own.moderation.ban(mina, kitchen, jun.user_id, reason, None)
    assert len(await own.history(kitchen)) == head
    ((ban, user),), token = await own.moderation.bans(mina, kitchen, 0, "")
    assert (ban.reason, ban.moderator_id, user.user_id, token) == ("second", mina.user_id, jun.user_id, "")
    with refused(UserNotFound, user=99):
        await own.moderation.ban(mina, kitchen, 99, "", None)


@pytest.mark.parametrize("late", [0, -1, -DAY])
async def test_a_ban_that_is_over_before_it_begins(own: Parts, late: int) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    with refused(InvalidField, field="expire_time"):
        await own.moderation.ban(mina, kitchen, hana.user_id, "", own.clock.now + late)
    assert await role_of(own, kitchen, hana) is MEMBER


async def test_an_owner_that_left_alone_and_is_banned_owns_nothing_any_more(own: Parts) -> None:
    kitchen, (mina,) = await staffed(own)
    (admin,) = await own.people(ServerRole.ADMIN)
    await own.lobby.leave(mina, kitchen)
    await own.moderation.ban(admin, kitchen, mina.user_id, "", None)
    await own.moderation.unban(admin, kitchen, mina.user_id)
    await own.lobby.join(mina, kitchen)
    assert await role_of(own, kitchen, mina) is MEMBER


async def test_bans_page_by_page(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    others = await own.people(*[PERSON] * 3)
    for one, until in zip(others, (None, own.clock.now + 10, None), strict=True):
        await own.moderation.ban(mina, kitchen, one.user_id, "", until)
    own.clock.now += 10
    (first,), token = await own.moderation.bans(mina, kitchen, 1, "")
    (second,), end = await own.moderation.bans(mina, kitchen, 1, token)
    assert [first[0].user_id, second[0].user_id] == [others[0].user_id, others[2].user_id], "only those in force"
    assert end == ""
    with refused(NotPermitted):
        await own.moderation.bans(hana, kitchen, 0, "")


async def test_a_muted_member_reads_and_is_silent_until_the_time_is_over(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    member = await own.moderation.mute(mina, kitchen, hana.user_id, 60)
    assert member.muted_until == own.clock.now + 60_000_000
    until = member.muted_until // 1_000_000
    for attempt in (
        own.channel.send(hana.user_id, kitchen, "hello", None),
        own.channel.set_typing(hana.user_id, kitchen),
    ):
        with refused(Muted, channel_id=kitchen, until=until):
            await attempt
    await own.channel.page(hana.user_id, kitchen, 0, "", True, 0, 0)
    own.clock.pass_seconds(60)
    await own.channel.send(hana.user_id, kitchen, "hello", None)
    (_, seen) = await own.lobby.get(hana, kitchen)
    assert seen is not None
    assert seen.muted_until is None, "a mute that is over is not shown"


async def test_leaving_does_not_end_a_mute_and_lifting_it_does(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    await own.moderation.mute(mina, kitchen, hana.user_id, 60)
    await own.lobby.leave(hana, kitchen)
    _, member = await own.lobby.join(hana, kitchen)
    assert member.muted_until is not None
    assert sequences(await own.store.append([draft(kitchen, hana.user_id)])) == ["MUTED"]
    assert (await own.moderation.mute(mina, kitchen, hana.user_id, 0)).muted_until is None
    await own.channel.send(hana.user_id, kitchen, "hello", None)


async def test_in_the_lobby_one_can_be_muted_though_nobody_joins_it(own: Parts) -> None:
    admin, hana, jun = await own.people(ServerRole.ADMIN, PERSON, PERSON)
    await own.moderation.mute(admin, LOBBY_ID, hana.user_id, 60)
    stored = await own.store.append([draft(author_id=hana.user_id), draft(author_id=jun.user_id)])
    assert sequences(stored) == ["MUTED", 1]
    with refused(UserNotFound, user=99):
        await own.moderation.mute(admin, LOBBY_ID, 99, 60)
    with refused(LobbyIsFixed):
        await own.moderation.ban(admin, LOBBY_ID, hana.user_id, "", None)
    with refused(NotPermitted):
        await own.moderation.mute(jun, LOBBY_ID, hana.user_id, 60)
    await own.moderation.set_role(admin, LOBBY_ID, jun.user_id, MODERATOR)
    await own.moderation.mute(jun, LOBBY_ID, hana.user_id, 0)
    assert sequences(await own.store.append([draft(author_id=hana.user_id)])) == [3]


@pytest.mark.parametrize(("mine", "theirs"), list(product((MODERATOR, OWNER), ChannelRole)))
async def test_nobody_acts_on_an_equal_or_a_higher_one_but_owners(
    own: Parts, mine: ChannelRole, theirs: ChannelRole
) -> None:
    kitchen, (_, me, other) = await staffed(own, mine, theirs)
    attempts = (
        own.moderation.mute(me, kitchen, other.user_id, 60),
        own.moderation.remove(me, kitchen, other.user_id, ""),
        own.moderation.ban(me, kitchen, other.user_id, "", None),
    )
    for attempt in attempts:
        if mine is OWNER or theirs is MEMBER:
            await attempt
        else:
            with refused(NotPermitted):
                await attempt
            assert await role_of(own, kitchen, other) is theirs


async def test_a_moderator_cannot_touch_an_administrator_nor_give_roles(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MODERATOR)
    (admin,) = await own.people(ServerRole.ADMIN)
    for _ in range(2):
        with refused(NotPermitted):
            await own.moderation.ban(hana, kitchen, admin.user_id, "", None)
        await own.lobby.join(admin, kitchen)
    with refused(NotPermitted):
        await own.moderation.mute(hana, kitchen, hana.user_id, 0)
    with refused(NotPermitted):
        await own.moderation.set_role(hana, kitchen, hana.user_id, OWNER)
    await own.moderation.ban(mina, kitchen, admin.user_id, "even you", None)


async def test_an_administrator_manages_a_channel_from_outside(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    (admin,) = await own.people(ServerRole.ADMIN)
    await own.moderation.set_role(admin, kitchen, hana.user_id, OWNER)
    await own.moderation.remove(admin, kitchen, mina.user_id, "")
    with refused(NotAMember):
        await own.channel.send(admin.user_id, kitchen, "hello", None)


async def test_giving_a_role_is_told_once(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    head = len(await own.history(kitchen))
    for _ in range(2):
        assert (await own.moderation.set_role(mina, kitchen, hana.user_id, MODERATOR)).role is MODERATOR
    assert len(await own.history(kitchen)) == head + 1
    assert await last(own, kitchen) == (Content.ROLE_CHANGED, mina.user_id, f"{hana.user_id} {MODERATOR.value}")
    with refused(UserNotFound, user=99):
        await own.moderation.set_role(mina, kitchen, 99, OWNER)


async def test_the_last_owner_stays_one_while_others_are_there(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MODERATOR)
    (admin,) = await own.people(ServerRole.ADMIN)
    for attempt in (
        own.lobby.leave(mina, kitchen),
        own.moderation.set_role(mina, kitchen, mina.user_id, MEMBER),
        own.moderation.set_role(admin, kitchen, mina.user_id, MODERATOR),
        own.moderation.remove(mina, kitchen, mina.user_id, ""),
        own.moderation.remove(admin, kitchen, mina.user_id, ""),
        own.moderation.ban(admin, kitchen, mina.user_id, "", None),
    ):
        with refused(LastOwner):
            await attempt
    assert await role_of(own, kitchen, mina) is OWNER
    await own.lobby.leave(hana, kitchen)
    await own.lobby.leave(mina, kitchen)
    assert (await own.lobby.join(hana, kitchen))[1].role is MEMBER
    assert (await own.lobby.join(mina, kitchen))[1].role is OWNER, "nobody else has become one meanwhile"


async def test_two_owners_that_leave_at_once_do_not_both_leave(own: Parts) -> None:
    for number in range(5):
        mina, hana, jun = await own.people(PERSON, PERSON, PERSON)
        room = await own.room(mina.user_id, hana.user_id, jun.user_id, name=f"room-{number}")
        await own.moderation.set_role(mina, room, hana.user_id, OWNER)
        ways = (
            own.lobby.leave(mina, room),
            own.moderation.set_role(hana, room, hana.user_id, MEMBER),
        )
        done = await asyncio.gather(*ways, return_exceptions=True)
        assert [type(one) for one in done if isinstance(one, Exception)] == [LastOwner]
        assert OWNER in {await role_of(own, room, one) for one in (mina, hana)}


async def test_who_is_taken_out_by_the_server_leaves_an_owner_behind(own: Parts) -> None:
    kitchen, (mina, hana, jun) = await staffed(own, MEMBER, MODERATOR)
    for _ in range(2):
        await own.lobby.take_out(mina.user_id, kitchen)
    assert [await role_of(own, kitchen, one) for one in (mina, hana, jun)] == [None, MEMBER, OWNER]
    await own.lobby.take_out(jun.user_id, kitchen)
    assert await role_of(own, kitchen, hana) is OWNER
    await own.lobby.take_out(hana.user_id, kitchen)
    await own.lobby.take_out(hana.user_id, LOBBY_ID)
    await own.lobby.take_out(hana.user_id, 99)


@pytest.mark.parametrize("how", ["remove", "ban", "mute"])
async def test_a_ban_among_messages_that_are_on_their_way(own: Parts, how: str) -> None:
    """What was handed over before it is stored, what came after is refused: also within one commit."""
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    head = len(await own.history(kitchen))
    async with held(own.store):
        before = [own.store.append([draft(kitchen, hana.user_id, f"before {number}")]) for number in range(5)]
        match how:
            case "remove":
                act = asyncio.create_task(own.moderation.remove(mina, kitchen, hana.user_id, ""))
            case "ban":
                act = asyncio.create_task(own.moderation.ban(mina, kitchen, hana.user_id, "", None))
            case _:
                act = asyncio.create_task(_mute(own, mina, kitchen, hana))
        await asyncio.sleep(0)
        after = [own.store.append([draft(kitchen, hana.user_id, f"after {number}")]) for number in range(5)]
        others = own.store.append([draft(kitchen, mina.user_id, "still here")])
    await act
    assert [sequences(await one) for one in before] == [[head + number] for number in range(1, 6)]
    reason = Muted.reason if how == "mute" else NotAMember.reason
    assert [sequences(await one) for one in after] == [[reason]] * 5
    assert isinstance((await others)[0], Message)
    texts = [message.text for message in await own.history(kitchen)]
    assert not [text for text in texts if text.startswith("after")]


async def _mute(own: Parts, who: Actor, channel_id: int, whom: Actor) -> None:
    await own.moderation.mute(who, channel_id, whom.user_id, 60)


async def test_a_repeated_message_of_one_who_was_banned_gets_its_first_result(own: Parts) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    key = b"k" * 16
    (stored,) = await own.store.append([draft(kitchen, hana.user_id, "hello", key)])
    await own.moderation.ban(mina, kitchen, hana.user_id, "", None)
    assert await own.store.append([draft(kitchen, hana.user_id, "hello", key)]) == [stored]


@pytest.mark.parametrize("first", ["demote", "kick"])
async def test_a_moderator_that_is_demoted_while_it_acts(own: Parts, first: str) -> None:
    """Whichever is handed over first wins, though both are of one commit."""
    kitchen, (mina, hana, jun) = await staffed(own, MODERATOR, MEMBER)

    async def kick() -> bool:
        try:
            await own.moderation.remove(hana, kitchen, jun.user_id, "")
        except NotPermitted:
            return False
        return True

    async with held(own.store):
        acts = {"kick": kick(), "demote": own.moderation.set_role(mina, kitchen, hana.user_id, MEMBER)}
        tasks = {name: asyncio.create_task(acts[name]) for name in sorted(acts, key=lambda name: name != first)}
        await asyncio.sleep(0)
    await asyncio.gather(*tasks.values())
    assert tasks["kick"].result() is (first == "kick")
    assert (await role_of(own, kitchen, jun) is None) is (first == "kick")


async def test_an_administrator_whose_role_went_away_after_its_session_was_read(own: Parts) -> None:
    """The store's word counts, not the session's."""
    kitchen, (_, hana) = await staffed(own, MEMBER)
    former = Actor(hana.user_id, 0, ServerRole.ADMIN)
    with refused(NotPermitted):
        await own.moderation.ban(former, kitchen, 1, "", None)
    secret = await own.lobby.create(actor(1), "secret", "", None, ChannelKind.PRIVATE)
    with refused(ChannelNotFound):
        await own.lobby.get(former, secret.channel_id)


@pytest.mark.parametrize("how", ["remove", "ban"])
async def test_the_open_stream_of_a_removed_member_shows_nothing_more(own: Parts, how: str) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    async with subscribed(own, hana.user_id) as live, subscribed(own, mina.user_id) as hers:
        await own.say(mina.user_id, kitchen, "before")
        head = len(await own.history(kitchen))
        await live.reaches(kitchen, head)
        if how == "remove":
            await own.moderation.remove(mina, kitchen, hana.user_id, "secret reason")
        else:
            await own.moderation.ban(mina, kitchen, hana.user_id, "secret reason", None)
        await own.say(mina.user_id, kitchen, "after")
        await own.say(mina.user_id, LOBBY_ID, "done")
        response = await live.next()
        assert [one.channel_id for one in response.closed] == [kitchen]
        assert not response.batches
        await live.reaches(LOBBY_ID, 1)
        assert max(live.reader.sequences(kitchen)) == head
        await hers.reaches(kitchen, head + 2)
    for attempt in (
        own.channel.page(hana.user_id, kitchen, 0, "", True, 0, 0),
        own.channel.get(hana.user_id, kitchen, 1),
    ):
        with refused(NotAMember):
            await attempt


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 257, "bell\x07", "a\u2028b", "dna\u202eban"])
async def test_reasons_that_are_not_allowed(own: Parts, reason: str) -> None:
    kitchen, (mina, hana) = await staffed(own, MEMBER)
    for attempt in (
        own.moderation.remove(mina, kitchen, hana.user_id, reason),
        own.moderation.ban(mina, kitchen, hana.user_id, reason, None),
        own.reports.report(mina, kitchen, 1, reason),
    ):
        with refused(TextNotAllowed):
            await attempt


async def test_reasons_are_kept_in_normal_form(own: Parts) -> None:
    kitchen, (mina, hana, jun) = await staffed(own, MEMBER, MEMBER)
    await own.moderation.ban(mina, kitchen, hana.user_id, "cafe\u0301", None)
    ((ban, _),), _ = await own.moderation.bans(mina, kitchen, 0, "")
    report = await own.reports.report(jun, kitchen, 1, "cafe\u0301")
    assert ban.reason == report.reason == "caf\u00e9"


async def test_what_was_refused_is_not_audited(own: Parts) -> None:
    kitchen, (_, hana, jun) = await staffed(own, MEMBER, MEMBER)
    before = await own.audited()
    for attempt in (
        own.moderation.remove(hana, kitchen, jun.user_id, ""),
        own.moderation.ban(hana, kitchen, jun.user_id, "", None),
        own.moderation.set_role(hana, kitchen, hana.user_id, OWNER),
    ):
        with pytest.raises(MadangError):
            await attempt
    assert await own.audited() == before
