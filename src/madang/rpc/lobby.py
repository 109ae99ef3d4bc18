"""LobbyService on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from madang.core.models import Channel, Member
from madang.rpc.interceptor import Context, caller
from madang.services.lobby import LobbyService
from madang.v1 import lobby_service_pb2 as pb
from madang.v1 import resources_pb2
from madang.v1.lobby_service_pb2_grpc import LobbyServiceServicer
from madang.wire.convert import channel_to_pb, member_to_pb, request_id_bytes, user_to_pb


class LobbyServicer(LobbyServiceServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(self, lobby: LobbyService) -> None:
        self._lobby = lobby

    async def CreateChannel(self, request: pb.CreateChannelRequest, context: Context) -> pb.CreateChannelResponse:
        """See the contract."""
        request_id = request_id_bytes(request.request_id)
        channel = await self._lobby.create(caller().user_id, request.name, request.topic, request_id)
        return pb.CreateChannelResponse(channel=channel_to_pb(channel))

    async def GetChannel(self, request: pb.GetChannelRequest, context: Context) -> pb.GetChannelResponse:
        """See the contract."""
        if request.WhichOneof("channel") == "name":
            channel, member = await self._lobby.get_by_name(caller().user_id, request.name)
        else:
            channel, member = await self._lobby.get(caller().user_id, request.channel_id)
        return pb.GetChannelResponse(channel=channel_to_pb(channel), self=_maybe_member(member))

    async def ListChannels(self, request: pb.ListChannelsRequest, context: Context) -> pb.ListChannelsResponse:
        """See the contract."""
        found, token = await self._lobby.channels(
            caller().user_id, request.page_size, request.page_token, request.joined_only, request.include_archived
        )
        return pb.ListChannelsResponse(channels=_entries(found), next_page_token=token)

    async def UpdateChannel(self, request: pb.UpdateChannelRequest, context: Context) -> pb.UpdateChannelResponse:
        """See the contract."""
        channel = await self._lobby.update(
            caller().user_id,
            request.channel_id,
            request.name if request.HasField("name") else None,
            request.topic if request.HasField("topic") else None,
        )
        return pb.UpdateChannelResponse(channel=channel_to_pb(channel))

    async def ArchiveChannel(self, request: pb.ArchiveChannelRequest, context: Context) -> pb.ArchiveChannelResponse:
        """See the contract."""
        channel = await self._lobby.set_archived(caller().user_id, request.channel_id, True)
        return pb.ArchiveChannelResponse(channel=channel_to_pb(channel))

    async def UnarchiveChannel(
        self, request: pb.UnarchiveChannelRequest, context: Context
    ) -> pb.UnarchiveChannelResponse:
        """See the contract."""
        channel = await self._lobby.set_archived(caller().user_id, request.channel_id, False)
        return pb.UnarchiveChannelResponse(channel=channel_to_pb(channel))

    async def JoinChannel(self, request: pb.JoinChannelRequest, context: Context) -> pb.JoinChannelResponse:
        """See the contract."""
        channel, member = await self._lobby.join(caller().user_id, request.channel_id)
        return pb.JoinChannelResponse(channel=channel_to_pb(channel), self=member_to_pb(member))

    async def LeaveChannel(self, request: pb.LeaveChannelRequest, context: Context) -> pb.LeaveChannelResponse:
        """See the contract."""
        await self._lobby.leave(caller().user_id, request.channel_id)
        return pb.LeaveChannelResponse()

    async def ListMembers(self, request: pb.ListMembersRequest, context: Context) -> pb.ListMembersResponse:
        """See the contract."""
        found, token = await self._lobby.members(
            caller().user_id, request.channel_id, request.page_size, request.page_token
        )
        entries = [pb.MemberEntry(member=_shown(member), user=user_to_pb(user)) for member, user in found]
        return pb.ListMembersResponse(members=entries, next_page_token=token)

    async def GetUser(self, request: pb.GetUserRequest, context: Context) -> pb.GetUserResponse:
        """See the contract."""
        if request.WhichOneof("user") == "handle":
            user = await self._lobby.user_by_handle(request.handle)
        else:
            user = await self._lobby.user(request.user_id)
        return pb.GetUserResponse(user=user_to_pb(user))

    async def BatchGetUsers(self, request: pb.BatchGetUsersRequest, context: Context) -> pb.BatchGetUsersResponse:
        """See the contract."""
        users = await self._lobby.users_by_id(request.user_ids)
        return pb.BatchGetUsersResponse(users=map(user_to_pb, users))

    async def ListUsers(self, request: pb.ListUsersRequest, context: Context) -> pb.ListUsersResponse:
        """See the contract."""
        users, token = await self._lobby.users(caller().user_id, request.page_size, request.page_token)
        return pb.ListUsersResponse(users=map(user_to_pb, users), next_page_token=token)


def _shown(member: Member) -> resources_pb2.Member:
    """A membership as others see it: how far somebody has read is nobody else's business."""
    mine = member.user_id == caller().user_id
    return member_to_pb(member if mine else replace(member, read_through=0))


def _maybe_member(member: Member | None) -> resources_pb2.Member | None:
    return None if member is None else member_to_pb(member)


def _entries(found: Sequence[tuple[Channel, Member | None]]) -> list[pb.ChannelEntry]:
    return [pb.ChannelEntry(channel=channel_to_pb(channel), self=_maybe_member(member)) for channel, member in found]
