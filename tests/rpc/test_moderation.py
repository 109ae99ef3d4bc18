"""LobbyService: kinds of channels, moderation and reports, as they travel."""

from __future__ import annotations

import time
from typing import Any

import pytest

from madang.v1 import resources_pb2

from .calls import Caller

BANNED = ("PERMISSION_DENIED", "BANNED_FROM_CHANNEL")
NO_CHANNEL = ("NOT_FOUND", "CHANNEL_NOT_FOUND")
NOT_PERMITTED = ("PERMISSION_DENIED", "NOT_PERMITTED")
INVALID_FIELD = ("INVALID_ARGUMENT", "INVALID_FIELD")
PRIVATE, DIRECT = resources_pb2.CHANNEL_KIND_PRIVATE, resources_pb2.CHANNEL_KIND_DIRECT
MODERATOR, OWNER = resources_pb2.CHANNEL_ROLE_MODERATOR, resources_pb2.CHANNEL_ROLE_OWNER


async def contents(caller: Caller, channel_id: int) -> list[Any]:
    """Everything in a channel, oldest first."""
    page = await caller.call("ListMessages", channel_id=channel_id, page_size=500, order=2)
    return list(page.messages)


async def test_a_private_channel_from_its_beginning(mina: Caller, nari: Caller) -> None:
    made = (await mina.call("CreateChannel", name="secret", kind=PRIVATE)).channel
    it = made.channel_id
    assert (made.kind, made.guests, made.owner_id) == (PRIVATE, False, mina.user_id)
    for fields in ({"channel_id": it}, {"name": "secret"}):
        refusal = await nari.refused("GetChannel", **fields)
        assert refusal.what == NO_CHANNEL
        assert refusal.text == f"there is no channel {next(iter(fields.values()))}"
    assert (await nari.refused("Subscribe", channel_ids=[it])).what == NO_CHANNEL
    live = await nari.subscribe()
    await mina.call("UpdateChannel", channel_id=it, guests=True)
    added = (await mina.call("AddMember", channel_id=it, user_id=nari.user_id)).member
    assert (added.user_id, added.read_through) == (nari.user_id, 0)
    await live.until(lambda response: bool(response.opened))
    await live.reaches(it, await nari.say(it, "hello"))
    await nari.call("LeaveChannel", channel_id=it)
    await live.until(lambda response: [one.channel_id for one in response.closed] == [it])
    assert (await nari.refused("LeaveChannel", channel_id=it)).what == NO_CHANNEL


async def test_a_direct_channel(mina: Caller, nari: Caller) -> None:
    opened = await mina.call("OpenDirectChannel", user_ids=[nari.user_id])
    assert (opened.channel.kind, opened.channel.name) == (DIRECT, "")
    assert list(opened.channel.direct_user_ids) == sorted([mina.user_id, nari.user_id])
    assert opened.self.user_id == mina.user_id
    again = await nari.call("OpenDirectChannel", user_ids=[mina.user_id])
    assert again.channel == opened.channel
    assert (await mina.refused("LeaveChannel", channel_id=opened.channel.channel_id)).what == (
        "FAILED_PRECONDITION",
        "CHANNEL_IS_DIRECT",
    )
    assert (await mina.refused("OpenDirectChannel", user_ids=[mina.user_id])).what == INVALID_FIELD


async def test_removed_and_banned(mina: Caller, nari: Caller, shared: int) -> None:
    live = await nari.subscribe()
    await mina.call("RemoveMember", channel_id=shared, user_id=nari.user_id, reason="too loud")
    await live.until(lambda response: [one.channel_id for one in response.closed] == [shared])
    await nari.call("JoinChannel", channel_id=shared)
    until = int(time.time()) + 3600
    ban = {"channel_id": shared, "user_id": nari.user_id, "reason": "spam", "expire_time": {"seconds": until}}
    await mina.call("BanMember", **ban)
    refusal = await nari.refused("JoinChannel", channel_id=shared)
    assert (refusal.what, refusal.facts["until"], refusal.facts["cause"]) == (BANNED, str(until), "spam")
    (listed,) = (await mina.call("ListBans", channel_id=shared)).bans
    assert (listed.user.handle, listed.moderator_id, listed.reason) == ("nari", mina.user_id, "spam")
    assert listed.expire_time.seconds == until
    removals = [one.member_removed for one in await contents(mina, shared) if one.HasField("member_removed")]
    assert [(one.user_id, one.banned, one.reason) for one in removals] == [
        (nari.user_id, False, "too loud"),
        (nari.user_id, True, "spam"),
    ]
    await mina.call("UnbanMember", channel_id=shared, user_id=nari.user_id)
    await nari.call("JoinChannel", channel_id=shared)


@pytest.mark.parametrize(
    "stamp",
    [
        {"seconds": 1},
        {"seconds": -(2**63)},
        {"seconds": 2**63 - 1},
        {"seconds": 253_402_300_800},
        {"seconds": 4_000_000_000, "nanos": -1},
        {"seconds": 4_000_000_000, "nanos": 2**31 - 1},
    ],
    ids=str,
)
async def test_a_ban_until_a_time_that_is_none(mina: Caller, nari: Caller, shared: int, stamp: dict[str, int]) -> None:
    refusal = await mina.refused("BanMember", channel_id=shared, user_id=nari.user_id, expire_time=stamp)
    assert (refusal.what, refusal.field) == (INVALID_FIELD, "expire_time")
    assert await nari.say(shared, "still here")


async def test_muted_slow_and_read_only(mina: Caller, nari: Caller, shared: int) -> None:
    await mina.call("UpdateChannel", channel_id=shared, slow_mode_seconds=30)
    await nari.say(shared, "once")
    slow = await nari.refused("Send", channel_id=shared, text="twice")
    assert slow.what == ("RESOURCE_EXHAUSTED", "SLOW_MODE")
    assert slow.retry_after is not None
    assert 20 < slow.retry_after <= 30
    await mina.call("UpdateChannel", channel_id=shared, slow_mode_seconds=0, read_only=True)
    assert (await nari.refused("Send", channel_id=shared, text="x")).what == ("PERMISSION_DENIED", "CHANNEL_READ_ONLY")
    await mina.call("SetMemberRole", channel_id=shared, user_id=nari.user_id, role=MODERATOR)
    await nari.say(shared, "as a moderator")
    muted = (await mina.call("MuteMember", channel_id=shared, user_id=nari.user_id, seconds=60)).member
    assert (muted.role, muted.HasField("mute_expire_time")) == (MODERATOR, True)
    refusal = await nari.refused("Send", channel_id=shared, text="x")
    assert refusal.what == ("PERMISSION_DENIED", "MUTED")
    assert abs(int(refusal.facts["until"]) - muted.mute_expire_time.seconds) <= 1
    assert not (await mina.call("MuteMember", channel_id=shared, user_id=nari.user_id)).member.HasField(
        "mute_expire_time"
    )
    updates = [one.channel_updated for one in await contents(mina, shared) if one.HasField("channel_updated")]
    assert [one.slow_mode_seconds for one in updates if one.HasField("slow_mode_seconds")] == [30, 0]
    assert [one.read_only for one in updates if one.HasField("read_only")] == [True]
    roles = [one.role_changed for one in await contents(mina, shared) if one.HasField("role_changed")]
    assert [(one.user_id, one.role) for one in roles] == [(nari.user_id, MODERATOR)]


async def test_roles_are_shown_and_the_last_owner_stays(mina: Caller, nari: Caller, shared: int) -> None:
    page = (await nari.call("ListMembers", channel_id=shared)).members
    assert [entry.member.role for entry in page] == [OWNER, resources_pb2.CHANNEL_ROLE_MEMBER]
    assert (await mina.refused("LeaveChannel", channel_id=shared)).what == ("FAILED_PRECONDITION", "LAST_OWNER")
    assert (await nari.refused("SetMemberRole", channel_id=shared, user_id=nari.user_id, role=OWNER)).what == (
        NOT_PERMITTED
    )
    await mina.call("SetMemberRole", channel_id=shared, user_id=nari.user_id, role=OWNER)
    await mina.call("LeaveChannel", channel_id=shared)


async def test_reports(mina: Caller, nari: Caller, shared: int) -> None:
    sequence = await nari.say(shared, "buy my soup")
    report = (await mina.call("ReportMessage", channel_id=shared, sequence=sequence, reason="spam")).report
    assert (report.text, report.author_id, report.reporter_id) == ("buy my soup", nari.user_id, mina.user_id)
    assert list((await mina.call("ListReports", channel_id=shared)).reports) == [report]
    assert (await nari.refused("ListReports", channel_id=shared)).what == NOT_PERMITTED
    assert (await mina.refused("ListReports")).what == NOT_PERMITTED
    closed = (await mina.call("ResolveReport", report_id=report.report_id)).report
    assert closed.resolver_id == mina.user_id
    assert not (await mina.call("ListReports", channel_id=shared)).reports
    assert list((await mina.call("ListReports", channel_id=shared, include_resolved=True)).reports) == [closed]
    assert (await nari.refused("ResolveReport", report_id=report.report_id)).what == ("NOT_FOUND", "REPORT_NOT_FOUND")
