"""Channels: find them, make them, change them, be in them."""

from __future__ import annotations

from madang.client.calls import Calls
from madang.client.directory import ChannelInfo
from madang.client.known import ChannelRef, UserRef
from madang.client.paging import PAGE, pages
from madang.core.models import Channel, ChannelKind, Member, User
from madang.v1 import lobby_service_pb2 as pb
from madang.wire.channels import CHANNEL_KINDS, member_from_pb


class ChannelCalls(Calls):
    """The Lobby's calls about channels, but for those of moderators."""

    async def channels(self, *, joined_only: bool = False, include_archived: bool = False) -> list[ChannelInfo]:
        """The channels, by id, and the user's place in each."""

        async def fetch(token: str) -> pb.ListChannelsResponse:
            request = pb.ListChannelsRequest(
                page_size=PAGE, page_token=token, joined_only=joined_only, include_archived=include_archived
            )
            return await self._transport.call(self._transport.lobby.ListChannels, request)

        infos = [self._directory.info(entry) async for page in pages(fetch) for entry in page.channels]
        await self._directory.meet(user_id for info in infos for user_id in info.channel.direct_user_ids)
        return infos

    async def channel(self, ref: ChannelRef) -> ChannelInfo:
        """A channel as it is now, and the user's place in it. Raises ChannelNotFound."""
        return await self._directory.channel(ref)

    async def create_channel(self, name: str, topic: str = "", *, kind: ChannelKind = ChannelKind.PUBLIC) -> Channel:
        """Make a PUBLIC or PRIVATE channel, and be its owner and first member.

        Raises NameNotAllowed, ChannelNameTaken, LimitReached.
        """
        request = pb.CreateChannelRequest(name=name.removeprefix("#"), topic=topic, kind=CHANNEL_KINDS.contract(kind))
        answer = await self._transport.call(self._transport.lobby.CreateChannel, request)
        return self._directory.learn_channel(answer.channel)

    async def open_direct(self, *users: UserRef) -> Channel:
        """The direct channel with 1 to 8 others: the one that there is, or a new one. Raises UserNotFound."""
        request = pb.OpenDirectChannelRequest(user_ids=[await self._directory.user_id(user) for user in users])
        answer = await self._transport.call(self._transport.lobby.OpenDirectChannel, request)
        return (await self._directory.met(self._directory.info(answer))).channel

    async def update_channel(
        self,
        ref: ChannelRef,
        *,
        name: str | None = None,
        topic: str | None = None,
        read_only: bool | None = None,
        slow_mode: int | None = None,
        guests: bool | None = None,
    ) -> Channel:
        """Change a channel's topic (its members), or how it works (its owners); None leaves a thing as it is.

        `read_only`: only moderators may write. `slow_mode`: seconds between two messages of a member, 0 for none.
        `guests`: whether guests may enter.
        """
        request = pb.UpdateChannelRequest(
            channel_id=await self._directory.channel_id(ref),
            name=name,
            topic=topic,
            read_only=read_only,
            slow_mode_seconds=slow_mode,
            guests=guests,
        )
        answer = await self._transport.call(self._transport.lobby.UpdateChannel, request)
        return self._directory.learn_channel(answer.channel)

    async def archive_channel(self, ref: ChannelRef) -> Channel:
        """Make a channel read-only, and take it out of the listing (its owners)."""
        request = pb.ArchiveChannelRequest(channel_id=await self._directory.channel_id(ref))
        answer = await self._transport.call(self._transport.lobby.ArchiveChannel, request)
        return self._directory.learn_channel(answer.channel)

    async def unarchive_channel(self, ref: ChannelRef) -> Channel:
        """Bring an archived channel back (its owners)."""
        request = pb.UnarchiveChannelRequest(channel_id=await self._directory.channel_id(ref))
        answer = await self._transport.call(self._transport.lobby.UnarchiveChannel, request)
        return self._directory.learn_channel(answer.channel)

    async def join(self, ref: ChannelRef) -> Channel:
        """Become a member of a channel; its news are in the events from then on. Raises BannedFromChannel."""
        request = pb.JoinChannelRequest(channel_id=await self._directory.channel_id(ref))
        answer = await self._transport.call(self._transport.lobby.JoinChannel, request)
        return self._directory.learn_channel(answer.channel)

    async def leave(self, ref: ChannelRef) -> None:
        """Be a member of a channel no more. Raises LastOwner."""
        request = pb.LeaveChannelRequest(channel_id=await self._directory.channel_id(ref))
        await self._transport.call(self._transport.lobby.LeaveChannel, request)

    async def members(self, ref: ChannelRef) -> list[tuple[Member, User]]:
        """A channel's members, by user id."""
        channel_id = await self._directory.channel_id(ref)

        async def fetch(token: str) -> pb.ListMembersResponse:
            request = pb.ListMembersRequest(channel_id=channel_id, page_size=PAGE, page_token=token)
            return await self._transport.call(self._transport.lobby.ListMembers, request)

        entries = [entry async for page in pages(fetch) for entry in page.members]
        return [(member_from_pb(entry.member), self._directory.learn(entry.user)) for entry in entries]

    async def add_member(self, ref: ChannelRef, user: UserRef) -> Member:
        """Bring a user into a channel that one is in. Raises BannedFromChannel, GuestsNotAllowed."""
        request = pb.AddMemberRequest(
            channel_id=await self._directory.channel_id(ref), user_id=await self._directory.user_id(user)
        )
        answer = await self._transport.call(self._transport.lobby.AddMember, request)
        return member_from_pb(answer.member)
