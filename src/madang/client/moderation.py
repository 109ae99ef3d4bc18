"""Keeping a channel in order: removing, banning, muting, roles, reports."""

from __future__ import annotations

from typing import NamedTuple

from madang.client.calls import Calls, from_now
from madang.client.known import ChannelRef, UserRef
from madang.client.paging import PAGE, pages
from madang.core.models import Ban, ChannelRole, Member, Report, User
from madang.v1 import lobby_service_pb2 as pb
from madang.wire.administration import ban_from_pb, report_from_pb
from madang.wire.channels import CHANNEL_ROLES, member_from_pb
from madang.wire.people import user_from_pb


class BanInfo(NamedTuple):
    """A ban, and who is banned."""

    ban: Ban
    user: User


class ModerationCalls(Calls):
    """The Lobby's calls of moderators, and `report`, which is everyone's."""

    async def remove_member(self, ref: ChannelRef, user: UserRef, reason: str = "") -> None:
        """Remove a member; it may come back. `reason` is shown in the channel."""
        channel_id, user_id = await self._where_who(ref, user)
        request = pb.RemoveMemberRequest(channel_id=channel_id, user_id=user_id, reason=reason)
        await self._transport.call(self._transport.lobby.RemoveMember, request)

    async def ban_member(
        self, ref: ChannelRef, user: UserRef, reason: str = "", *, seconds: float | None = None
    ) -> None:
        """Remove a user, member or not, and keep it out; `seconds`: for how long, None for good."""
        channel_id, user_id = await self._where_who(ref, user)
        request = pb.BanMemberRequest(
            channel_id=channel_id, user_id=user_id, reason=reason, expire_time=from_now(seconds)
        )
        await self._transport.call(self._transport.lobby.BanMember, request)

    async def unban_member(self, ref: ChannelRef, user: UserRef) -> None:
        """Let a user into the channel again."""
        channel_id, user_id = await self._where_who(ref, user)
        request = pb.UnbanMemberRequest(channel_id=channel_id, user_id=user_id)
        await self._transport.call(self._transport.lobby.UnbanMember, request)

    async def bans(self, ref: ChannelRef) -> list[BanInfo]:
        """Who is banned from a channel, by user id."""
        channel_id = await self._directory.channel_id(ref)

        async def fetch(token: str) -> pb.ListBansResponse:
            request = pb.ListBansRequest(channel_id=channel_id, page_size=PAGE, page_token=token)
            return await self._transport.call(self._transport.lobby.ListBans, request)

        found = [ban async for page in pages(fetch) for ban in page.bans]
        return [BanInfo(ban_from_pb(channel_id, ban), user_from_pb(ban.user)) for ban in found]

    async def mute_member(self, ref: ChannelRef, user: UserRef, seconds: int) -> Member:
        """Keep a member from writing for so many seconds, up to a year; 0: let it write again."""
        channel_id, user_id = await self._where_who(ref, user)
        request = pb.MuteMemberRequest(channel_id=channel_id, user_id=user_id, seconds=seconds)
        answer = await self._transport.call(self._transport.lobby.MuteMember, request)
        return member_from_pb(answer.member)

    async def set_member_role(self, ref: ChannelRef, user: UserRef, role: ChannelRole) -> Member:
        """Give a member a role (the channel's owners). Raises LastOwner."""
        channel_id, user_id = await self._where_who(ref, user)
        request = pb.SetMemberRoleRequest(channel_id=channel_id, user_id=user_id, role=CHANNEL_ROLES.contract(role))
        answer = await self._transport.call(self._transport.lobby.SetMemberRole, request)
        return member_from_pb(answer.member)

    async def report(self, ref: ChannelRef, sequence: int, reason: str = "") -> Report:
        """Report a message to the channel's moderators and the server's administrators. Raises MessageNotFound."""
        channel_id = await self._directory.channel_id(ref)
        request = pb.ReportMessageRequest(channel_id=channel_id, sequence=sequence, reason=reason)
        answer = await self._transport.call(self._transport.lobby.ReportMessage, request)
        return report_from_pb(answer.report)

    async def reports(self, ref: ChannelRef | None = None, *, include_resolved: bool = False) -> list[Report]:
        """Reports, newest first: of a channel (its moderators), or of all channels (administrators)."""
        channel_id = 0 if ref is None else await self._directory.channel_id(ref)

        async def fetch(token: str) -> pb.ListReportsResponse:
            request = pb.ListReportsRequest(
                channel_id=channel_id, include_resolved=include_resolved, page_size=PAGE, page_token=token
            )
            return await self._transport.call(self._transport.lobby.ListReports, request)

        return [report_from_pb(report) async for page in pages(fetch) for report in page.reports]

    async def resolve_report(self, report_id: int) -> Report:
        """Close a report. Raises ReportNotFound."""
        request = pb.ResolveReportRequest(report_id=report_id)
        answer = await self._transport.call(self._transport.lobby.ResolveReport, request)
        return report_from_pb(answer.report)

    async def _where_who(self, ref: ChannelRef, user: UserRef) -> tuple[int, int]:
        return await self._directory.channel_id(ref), await self._directory.user_id(user)
