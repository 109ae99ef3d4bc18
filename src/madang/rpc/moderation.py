"""LobbyService on the wire: the part of moderators, and reports."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from madang.core.errors import InvalidField
from madang.rpc.interceptor import Context, actor
from madang.rpc.members import shown
from madang.services.moderation import ModerationService
from madang.services.reports import ReportService
from madang.v1 import lobby_service_pb2 as pb
from madang.v1.lobby_service_pb2_grpc import LobbyServiceServicer
from madang.wire.administration import ban_to_pb, report_to_pb
from madang.wire.channels import CHANNEL_ROLES
from madang.wire.values import micros

LAST_SECOND = 253_402_300_799
"""The end of the year 9999, beyond which a Timestamp says nothing."""


class ModerationMethods(LobbyServiceServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(self, moderation: ModerationService, reports: ReportService) -> None:
        self._moderation = moderation
        self._reports = reports

    async def RemoveMember(self, request: pb.RemoveMemberRequest, context: Context) -> pb.RemoveMemberResponse:
        """See the contract."""
        await self._moderation.remove(actor(), request.channel_id, request.user_id, request.reason)
        return pb.RemoveMemberResponse()

    async def BanMember(self, request: pb.BanMemberRequest, context: Context) -> pb.BanMemberResponse:
        """See the contract."""
        until = _until(request.expire_time) if request.HasField("expire_time") else None
        await self._moderation.ban(actor(), request.channel_id, request.user_id, request.reason, until)
        return pb.BanMemberResponse()

    async def UnbanMember(self, request: pb.UnbanMemberRequest, context: Context) -> pb.UnbanMemberResponse:
        """See the contract."""
        await self._moderation.unban(actor(), request.channel_id, request.user_id)
        return pb.UnbanMemberResponse()

    async def ListBans(self, request: pb.ListBansRequest, context: Context) -> pb.ListBansResponse:
        """See the contract."""
        found, token = await self._moderation.bans(actor(), request.channel_id, request.page_size, request.page_token)
        return pb.ListBansResponse(bans=[ban_to_pb(ban, user) for ban, user in found], next_page_token=token)

    async def MuteMember(self, request: pb.MuteMemberRequest, context: Context) -> pb.MuteMemberResponse:
        """See the contract."""
        member = await self._moderation.mute(actor(), request.channel_id, request.user_id, request.seconds)
        return pb.MuteMemberResponse(member=shown(member))

    async def SetMemberRole(self, request: pb.SetMemberRoleRequest, context: Context) -> pb.SetMemberRoleResponse:
        """See the contract."""
        role = CHANNEL_ROLES.core(request.role)
        member = await self._moderation.set_role(actor(), request.channel_id, request.user_id, role)
        return pb.SetMemberRoleResponse(member=shown(member))

    async def ReportMessage(self, request: pb.ReportMessageRequest, context: Context) -> pb.ReportMessageResponse:
        """See the contract."""
        report = await self._reports.report(actor(), request.channel_id, request.sequence, request.reason)
        return pb.ReportMessageResponse(report=report_to_pb(report))

    async def ListReports(self, request: pb.ListReportsRequest, context: Context) -> pb.ListReportsResponse:
        """See the contract."""
        found, token = await self._reports.page(
            actor(), request.channel_id, request.include_resolved, request.page_size, request.page_token
        )
        return pb.ListReportsResponse(reports=map(report_to_pb, found), next_page_token=token)

    async def ResolveReport(self, request: pb.ResolveReportRequest, context: Context) -> pb.ResolveReportResponse:
        """See the contract."""
        report = await self._reports.resolve(actor(), request.report_id)
        return pb.ResolveReportResponse(report=report_to_pb(report))


def _until(stamp: Timestamp) -> int:
    """A Timestamp in microseconds. Raises InvalidField for one that is none: a service knows which have passed."""
    if not 0 <= stamp.seconds <= LAST_SECOND or not 0 <= stamp.nanos < 1_000_000_000:
        raise InvalidField(field="expire_time", rule="is not a time between 1970 and 9999")
    return micros(stamp)
