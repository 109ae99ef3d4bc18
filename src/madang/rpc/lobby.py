"""LobbyService on the wire."""

from __future__ import annotations

from madang.core.models import ChannelKind
from madang.rpc.interceptor import Context, actor, caller
from madang.rpc.members import entries, maybe_member, shown
from madang.rpc.moderation import ModerationMethods
from madang.services.lobby import LobbyService
from madang.services.making import ChannelUpdate
from madang.services.moderation import ModerationService
from madang.services.reports import ReportService
from madang.v1 import lobby_service_pb2 as pb
from madang.wire.channels import CHANNEL_KINDS, channel_to_pb, member_to_pb
from madang.wire.people import user_to_pb
from madang.wire.values import request_id_bytes


class LobbyServicer(ModerationMethods):
    """Decode, call, encode; what each method does is said in the contract. The moderators' part is next door."""

    def __init__(self, lobby: LobbyService, moderation: ModerationService, reports: ReportService) -> None:
        super().__init__(moderation, reports)
        self._lobby = lobby

    async def CreateChannel(self, request: pb.CreateChannelRequest, context: Context) -> pb.CreateChannelResponse:
        """See the contract."""
        request_id = request_id_bytes(request.request_id)
        kind = CHANNEL_KINDS.core(request.kind) if request.kind else ChannelKind.PUBLIC
        channel = await self._lobby.create(actor(), request.name, request.topic, request_id, kind)
        return pb.CreateChannelResponse(channel=channel_to_pb(channel))

    async def GetChannel(self, request: pb.GetChannelRequest, context: Context) -> pb.GetChannelResponse:
        """See the contract."""
        if request.WhichOneof("channel") == "name":
            channel, member = await self._lobby.get_by_name(actor(), request.name)
        else:
            channel, member = await self._lobby.get(actor(), request.channel_id)
        return pb.GetChannelResponse(channel=channel_to_pb(channel), self=maybe_member(member))

    async def ListChannels(self, request: pb.ListChannelsRequest, context: Context) -> pb.ListChannelsResponse:
        """See the contract."""
        found, token = await self._lobby.channels(
            actor(), request.page_size, request.page_token, request.joined_only, request.include_archived
        )
        return pb.ListChannelsResponse(channels=entries(found), next_page_token=token)

    async def UpdateChannel(self, request: pb.UpdateChannelRequest, context: Context) -> pb.UpdateChannelResponse:
        """See the contract."""
        channel = await self._lobby.update(actor(), request.channel_id, _update(request))
        return pb.UpdateChannelResponse(channel=channel_to_pb(channel))

    async def ArchiveChannel(self, request: pb.ArchiveChannelRequest, context: Context) -> pb.ArchiveChannelResponse:
        """See the contract."""
        channel = await self._lobby.set_archived(actor(), request.channel_id, True)
        return pb.ArchiveChannelResponse(channel=channel_to_pb(channel))

    async def UnarchiveChannel(
        self, request: pb.UnarchiveChannelRequest, context: Context
    ) -> pb.UnarchiveChannelResponse:
        """See the contract."""
        channel = await self._lobby.set_archived(actor(), request.channel_id, False)
        return pb.UnarchiveChannelResponse(channel=channel_to_pb(channel))

    async def JoinChannel(self, request: pb.JoinChannelRequest, context: Context) -> pb.JoinChannelResponse:
        """See the contract."""
        channel, member = await self._lobby.join(actor(), request.channel_id)
        return pb.JoinChannelResponse(channel=channel_to_pb(channel), self=member_to_pb(member))

    async def LeaveChannel(self, request: pb.LeaveChannelRequest, context: Context) -> pb.LeaveChannelResponse:
        """See the contract."""
        await self._lobby.leave(actor(), request.channel_id)
        return pb.LeaveChannelResponse()

    async def OpenDirectChannel(
        self, request: pb.OpenDirectChannelRequest, context: Context
    ) -> pb.OpenDirectChannelResponse:
        """See the contract."""
        channel, member = await self._lobby.open_direct(actor(), request.user_ids)
        return pb.OpenDirectChannelResponse(channel=channel_to_pb(channel), self=member_to_pb(member))

    async def AddMember(self, request: pb.AddMemberRequest, context: Context) -> pb.AddMemberResponse:
        """See the contract."""
        member = await self._lobby.add(actor(), request.channel_id, request.user_id)
        return pb.AddMemberResponse(member=shown(member))

    async def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        """See the contract."""
        found, token = await self._lobby.members(actor(), request.channel_id, request.page_size, request.page_token)
        rows = [pb.MemberEntry(member=shown(member), user=user_to_pb(user)) for member, user in found]
        return pb.ListMembersResponse(members=rows, next_page_token=token)

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        """See the contract."""
        if request.WhichOneof("user") == "handle":
            user = await self._lobby.user_by_handle(request.handle)
        else:
            user = await self._lobby.user(request.user_id)
        [user] = await self._lobby.as_seen_by(actor(), [user])
        return pb.GetUserResponse(user=user_to_pb(user))

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, context: Context) -> pb.BatchGetUsersResponse:
        """See the contract."""
        users = await self._lobby.users_by_id(request.user_ids)
        return pb.BatchGetUsersResponse(users=map(user_to_pb, users))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        """See the contract."""
        users, token = await self._lobby.users(caller().user_id, request.page_size, request.page_token)
        seen = await self._lobby.as_seen_by(actor(), users)
        return pb.ListUsersResponse(users=map(user_to_pb, seen), next_page_token=token)


def _update(request: pb.UpdateChannelRequest) -> ChannelUpdate:
    return ChannelUpdate(
        name=request.name if request.HasField("name") else None,
        topic=request.topic if request.HasField("topic") else None,
        read_only=request.read_only if request.HasField("read_only") else None,
        slow_mode=request.slow_mode_seconds if request.HasField("slow_mode_seconds") else None,
        guests=request.guests if request.HasField("guests") else None,
    )
