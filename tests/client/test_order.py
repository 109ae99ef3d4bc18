"""Keeping order, as the SDK has it: private and direct channels, members, moderators, administrators."""

from __future__ import annotations

import asyncio

import pytest

import madang
from madang.core.models import ChannelKind, ChannelRole, ServerRole

from .conftest import PASSWORD, PATIENCE, Restartable, owner, person, texts, upto


async def test_a_private_channel_is_for_its_members(server: Restartable) -> None:
    async with person(server, "mina") as mina, person(server, "joon") as joon:
        room = await mina.create_channel("attic", kind=ChannelKind.PRIVATE)
        assert room.kind is ChannelKind.PRIVATE
        for call in (joon.join, joon.channel, joon.members):
            with pytest.raises(madang.ChannelNotFound):
                await call(room)
        assert "attic" not in [channel.name for channel, _ in await joon.channels()]
        member = await mina.add_member("attic", "joon")
        assert (member.user_id, member.role) == (joon.me.user_id, ChannelRole.MEMBER)
        await mina.send("attic", "welcome")
        assert await texts(joon, 1) == ["welcome"]


async def test_direct_channels(server: Restartable) -> None:
    async with (
        person(server, "mina") as mina,
        person(server, "joon") as joon,
        person(server, "sora", live=False) as sora,
    ):
        pair = await mina.open_direct("@joon")
        assert (pair.kind, pair.name) == (ChannelKind.DIRECT, "")
        assert set(pair.direct_user_ids) == {mina.me.user_id, joon.me.user_id}
        assert (await joon.open_direct(mina.me)).channel_id == pair.channel_id
        crowd = await mina.open_direct("joon", sora.me.user_id)
        assert crowd.channel_id != pair.channel_id
        await mina.send(pair, "psst")
        event = await _next_text(joon)
        assert (event.channel.channel_id, event.message.text) == (pair.channel_id, "psst")
        with pytest.raises(madang.ChannelNotFound):
            await sora.history(pair)
        with pytest.raises(madang.UserNotFound):
            await mina.open_direct("nobody-here")
        with pytest.raises(madang.ChannelIsDirect):
            await mina.remove_member(pair, "joon")
        with pytest.raises(madang.MadangError):  # and the empty name is no channel's
            await mina.channel("")


async def _next_text(client: madang.Client) -> madang.MessageEvent:
    async with asyncio.timeout(PATIENCE):
        async for event in client.events():
            if isinstance(event, madang.MessageEvent) and event.message.content is madang.Content.TEXT:
                return event
    raise AssertionError("the events ended")


async def test_a_removed_member_reads_no_more_and_the_others_are_told(server: Restartable) -> None:
    async with person(server, "mina") as mina, person(server, "joon") as joon:
        room = await mina.create_channel("room")
        await joon.join(room)
        await upto(joon, madang.ChannelOpened)
        await mina.remove_member(room, "joon", "enough for today")
        closed = (await upto(joon, madang.ChannelClosed))[-1]
        assert isinstance(closed, madang.ChannelClosed)
        with pytest.raises(madang.NotAMember):
            await joon.send(room, "but")
        told = await _happening(mina, madang.Content.MEMBER_REMOVED)
        assert told.subject is not None
        assert (told.author.handle, told.subject.handle, told.message.text.partition(" ")[2]) == (
            "mina",
            "joon",
            "enough for today",
        )
        await joon.join(room)  # it may come back


async def _happening(client: madang.Client, content: madang.Content) -> madang.MessageEvent:
    async with asyncio.timeout(PATIENCE):
        async for event in client.events():
            if isinstance(event, madang.MessageEvent) and event.message.content is content:
                return event
    raise AssertionError("the events ended")


async def test_bans(server: Restartable) -> None:
    async with person(server, "mina") as mina, person(server, "joon", live=False) as joon:
        room = await mina.create_channel("room")
        await mina.ban_member(room, "joon", "spam", seconds=3600)
        with pytest.raises(madang.BannedFromChannel) as caught:
            await joon.join(room)
        assert caught.value.facts["cause"] == "spam"
        until = caught.value.facts["until"]
        assert isinstance(until, int)
        assert until > 0
        [(ban, user)] = await mina.bans(room)
        assert (user.handle, ban.reason, ban.moderator_id) == ("joon", "spam", mina.me.user_id)
        assert ban.expires_at is not None
        with pytest.raises(madang.NotPermitted):
            await joon.unban_member(room, "joon")
        await mina.unban_member(room, joon.me)
        assert await mina.bans(room) == []
        await joon.join(room)


async def test_mutes_roles_and_modes(server: Restartable) -> None:
    async with person(server, "mina") as mina, person(server, "joon", live=False) as joon:
        room = await mina.create_channel("room")
        await joon.join(room)
        muted = await mina.mute_member(room, "joon", 600)
        assert muted.muted_until is not None
        with pytest.raises(madang.Muted):
            await joon.send(room, "hm")
        assert (await mina.mute_member(room, "joon", 0)).muted_until is None
        await joon.send(room, "ah")
        changed = await mina.update_channel(room, read_only=True, guests=False)
        assert (changed.read_only, changed.guests) == (True, False)
        with pytest.raises(madang.ChannelReadOnly):
            await joon.send(room, "hm")
        assert (await mina.set_member_role(room, "joon", ChannelRole.MODERATOR)).role is ChannelRole.MODERATOR
        await joon.send(room, "as a moderator")
        role = await _happening(mina, madang.Content.ROLE_CHANGED)
        assert role.subject is not None
        assert role.subject.handle == "joon"
        with pytest.raises(madang.NotPermitted):
            await joon.set_member_role(room, "joon", ChannelRole.OWNER)
        with pytest.raises(madang.LastOwner):
            await mina.set_member_role(room, "mina", ChannelRole.MEMBER)
        with pytest.raises(madang.GuestsNotAllowed):
            async with madang.connect(server.target, handle="passing-by", live=False) as guest:
                await guest.join(room)
        assert (await mina.update_channel(room, slow_mode=30, read_only=False)).slow_mode == 30


async def test_the_stream_keeps_what_is_known_of_a_channel(server: Restartable) -> None:
    async with person(server, "mina", live=False) as mina, person(server, "joon") as joon:
        room = await mina.create_channel("room")
        await joon.join(room)
        await mina.update_channel(room, slow_mode=5)
        await mina.update_channel(room, read_only=True)
        event = await _happening(joon, madang.Content.READ_ONLY_CHANGED)
        assert (event.channel.slow_mode, event.channel.read_only) == (5, True)


async def test_reports(server: Restartable) -> None:
    async with (
        person(server, "mina", live=False) as mina,
        person(server, "joon", live=False) as joon,
        person(server, "sora", live=False) as sora,
    ):
        room = await mina.create_channel("room")
        for other in (joon, sora):
            await other.join(room)
        receipt = await joon.send(room, "something nasty")
        report = await sora.report(room, receipt.sequence, "this is nasty")
        assert (report.author_id, report.reporter_id) == (joon.me.user_id, sora.me.user_id)
        [listed] = await mina.reports(room)
        assert (listed.report_id, listed.text, listed.reason) == (report.report_id, "something nasty", "this is nasty")
        with pytest.raises(madang.NotPermitted):
            await joon.reports(room)
        with pytest.raises(madang.MadangError):
            await joon.resolve_report(report.report_id)
        assert (await mina.resolve_report(report.report_id)).resolver_id == mina.me.user_id
        assert await mina.reports(room) == []
        assert len(await mina.reports(room, include_resolved=True)) == 1
        with pytest.raises(madang.MessageNotFound):
            await sora.report(room, 10_000)


async def test_administration(server: Restartable) -> None:
    root = await owner(server)
    async with root, person(server, "mina", live=False) as mina:
        assert root.me.role is ServerRole.OWNER
        with pytest.raises(madang.NotPermitted):
            await mina.admin.invites()
        made = await root.admin.create_invite(uses=2, seconds=3600, note="for the team")
        assert made.code not in repr(made)
        for name in ("one", "two"):
            await (await person(server, name, invite=made.code, live=False)).close()
        with pytest.raises(madang.CodeInvalid):
            await person(server, "three", invite=made.code, live=False)
        listed = {invite.invite_id: invite for invite in await root.admin.invites()}[made.invite.invite_id]
        assert (listed.uses, listed.max_uses, listed.note) == (2, 2, "for the team")
        unused = await root.admin.create_invite()
        await root.admin.revoke_invite(unused.invite.invite_id)
        with pytest.raises(madang.CodeInvalid):
            await person(server, "three", invite=unused.code, live=False)
        assert (await root.admin.set_role("mina", ServerRole.ADMIN)).role is ServerRole.ADMIN
        assert await mina.admin.invites() != []
        with pytest.raises(madang.LastOwner):
            await root.admin.set_role("root", ServerRole.MEMBER)


async def test_a_ban_from_the_server(server: Restartable) -> None:
    root = await owner(server)
    async with root:
        mina = await person(server, "mina")
        await root.admin.ban("mina", "spam", seconds=3600)
        with pytest.raises(madang.Unauthenticated):
            await asyncio.wait_for(_read_on(mina), PATIENCE)
        await mina.close()
        with pytest.raises(madang.AccountBanned) as caught:
            await madang.connect(server.target, handle="mina", password=PASSWORD)
        assert caught.value.facts["cause"] == "spam"
        assert (await root.user("mina")).banned_at is not None
        await root.admin.unban("mina")
        async with madang.connect(server.target, handle="mina", password=PASSWORD, live=False):
            pass
        actions = [event.action async for event in root.admin.audit(user="mina", action="user.")]
        assert actions[:2] == ["user.unban", "user.ban"]
        [event] = [event async for event in root.admin.audit(actor="root", action="user.ban")]
        assert (event.actor_id, event.user_id, event.address) == (root.me.user_id, mina.me.user_id, "127.0.0.1")
        assert event.details["reason"] == "spam"


async def _read_on(client: madang.Client) -> None:
    async for _ in client.events():
        pass


async def test_sessions_of_others_and_limits_of_bots(server: Restartable) -> None:
    root = await owner(server)
    async with root, person(server, "mina") as mina:
        bot = await mina.create_bot("weather")
        await root.admin.set_bot_limits("weather", 100, 500)
        with pytest.raises(madang.NotPermitted):
            await mina.admin.set_bot_limits(bot, 100, 500)
        [session] = await root.sessions("mina")
        assert session.user_id == mina.me.user_id
        assert await root.revoke_all_sessions("mina") == 1
        with pytest.raises(madang.SessionRevoked):
            await asyncio.wait_for(_read_on(mina), PATIENCE)
