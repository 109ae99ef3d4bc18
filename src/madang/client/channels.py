"""Channels: find them, make them, change them, be in them."""

from __future__ import annotations

from madang.client.calls import Calls
from madang.client.directory import ChannelInfo
from madang.client.known import ChannelRef, UserRef
from madang.core.models import Channel, ChannelKind, Member, User
from madang.v1 import lobby_service_pb2 as pb
from madang.wire.channels import member_from_pb


class ChannelCalls(Calls):
    """The Lobby's calls about channels, but for those of moderators."""

    async def channels(self, *, joined_only: bool = False, include_archived: bool = False) -> list[ChannelInfo]:
        """The channels, by id, and the user's place in each."""
        return await self._directory.channels(joined_only=joined_only, include_archived=include_archived)

    async def channel(self, ref: ChannelRef) -> ChannelInfo:
        """A channel as it is now, and the user's place in it. Raises ChannelNotFound."""
        return await self._directory.channel(ref)

    async def create_channel(self, name: str, topic: str = "", *, kind: ChannelKind = ChannelKind.PUBLIC) -> Channel:
        """Make a PUBLIC or PRIVATE channel, and be its owner and first member.

        Raises NameNotAllowed, ChannelNameTaken, LimitReached.
        """
        return await self._directory.create(name, topic, kind)

    async def open_direct(self, *users: UserRef) -> Channel:
        """The direct channel with 1 to 8 others: the one that there is, or a new one. Raises UserNotFound."""
        return (await self._directory.open_direct([await self._directory.user_id(user) for user in users])).channel

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
        return await self._directory.update(
            ref, name=name, topic=topic, read_only=read_only, slow_mode=slow_mode, guests=guests
        )

    async def archive_channel(self, ref: ChannelRef) -> Channel:
        """Make a channel read-only, and take it out of the listing (its owners)."""
        return await self._directory.archive(ref)

    async def unarchive_channel(self, ref: ChannelRef) -> Channel:
        """Bring an archived channel back (its owners)."""
        return await self._directory.unarchive(ref)

    async def join(self, ref: ChannelRef) -> Channel:
        """Become a member of a channel; its news are in the events from then on. Raises BannedFromChannel."""
        return await self._directory.join(ref)

    async def leave(self, ref: ChannelRef) -> None:
        """Be a member of a channel no more. Raises LastOwner."""
        await self._directory.leave(ref)

    async def members(self, ref: ChannelRef) -> list[tuple[Member, User]]:
        """A channel's members, by user id."""
        return await self._directory.members(ref)

    async def add_member(self, ref: ChannelRef, user: UserRef) -> Member:
        """Bring a user into a channel that one is in. Raises BannedFromChannel, GuestsNotAllowed."""
        request = pb.AddMemberRequest(
            channel_id=await self._directory.channel_id(ref), user_id=await self._directory.user_id(user)
        )
        answer = await self._transport.call(self._transport.lobby.AddMember, request)
        return member_from_pb(answer.member)
