"""Channels and people: the Lobby's calls, and what is remembered of their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from madang.client.errors import is_passing
from madang.client.known import ChannelRef, Known, UserRef, parse_ref, parse_user_ref
from madang.client.paging import PAGE, pages
from madang.client.transport import Transport
from madang.core.errors import MadangError, UserNotFound
from madang.core.models import Channel, Member, User
from madang.v1 import lobby_service_pb2 as pb
from madang.v1 import resources_pb2
from madang.wire.channels import channel_from_pb, member_from_pb
from madang.wire.people import user_from_pb


class ChannelInfo(NamedTuple):
    """A channel, and the user's place in it; None when the user is not a member."""

    channel: Channel
    member: Member | None


class Directory:
    """Asks the Lobby, and remembers its answers."""

    def __init__(self, transport: Transport, me: User, changed: Callable[[User], None]) -> None:
        """`changed` is told of a user who turns out to have changed while no stream told of it."""
        self.known = Known()
        self.known.user_is(me)
        self._me = me.user_id
        self._transport = transport
        self._changed = changed

    # Users.

    async def meet(self, user_ids: Iterable[int]) -> None:
        """Get those of the users that were not seen before, or may have changed since."""
        strangers = sorted({user_id for user_id in user_ids if user_id > 0 and not self._is_current(user_id)})
        for start in range(0, len(strangers), PAGE):
            request = pb.BatchGetUsersRequest(user_ids=strangers[start : start + PAGE])
            answer = await self._transport.call(self._transport.lobby.BatchGetUsers, request)
            for user in answer.users:
                self.learn(user)

    async def catch_up(self) -> None:
        """A stream begins after a break: the others may have changed, and are asked for when they are needed."""
        self.known.doubt_users()
        await self.meet((self._me,))  # which is always needed

    async def name(self, user_id: int) -> str:
        """A user's handle. Raises UserNotFound."""
        try:
            await self.meet((user_id,))
        except MadangError as error:
            if not (is_passing(error) and self.known.has_user(user_id)):
                raise
        if not self.known.has_user(user_id):
            raise UserNotFound(user=user_id)
        return self.known.user(user_id).handle

    async def user(self, ref: UserRef) -> User:
        """A user, asked anew."""
        target = parse_user_ref(ref)
        request = pb.GetUserRequest(user_id=target) if isinstance(target, int) else pb.GetUserRequest(handle=target)
        answer = await self._transport.call(self._transport.lobby.GetUser, request)
        return self.learn(answer.user)

    async def user_id(self, ref: UserRef) -> int:
        """A user's id; asks the server for a handle. Raises UserNotFound."""
        target = parse_user_ref(ref)
        return target if isinstance(target, int) else (await self.user(ref)).user_id

    async def users(self) -> list[User]:
        """All users, by id."""

        async def fetch(token: str) -> pb.ListUsersResponse:
            request = pb.ListUsersRequest(page_size=PAGE, page_token=token)
            return await self._transport.call(self._transport.lobby.ListUsers, request)

        return [self.learn(user) async for page in pages(fetch) for user in page.users]

    def _is_current(self, user_id: int) -> bool:
        return self.known.has_user(user_id) and not self.known.is_doubtful(user_id)

    def learn(self, entry: resources_pb2.User) -> User:
        """Remember a user; a change that no stream told of, or will tell of, is told."""
        user = user_from_pb(entry)
        missed = self.known.is_doubtful(user.user_id) and self.known.user(user.user_id) != user
        self.known.user_is(user)
        if missed:
            self._changed(user)
        return user

    # Channels.

    async def channel_id(self, ref: ChannelRef) -> int:
        """A channel's id; asks the server for a name that was not seen before. Raises ChannelNotFound."""
        known = self.known.id_of(ref)
        return known if isinstance(known, int) else (await self.channel(known)).channel.channel_id

    async def channel(self, ref: ChannelRef) -> ChannelInfo:
        """A channel and the user's place in it, asked anew."""
        target = parse_ref(ref)
        request = (
            pb.GetChannelRequest(channel_id=target) if isinstance(target, int) else pb.GetChannelRequest(name=target)
        )
        answer = await self._transport.call(self._transport.lobby.GetChannel, request)
        return await self.met(self.info(answer))

    async def met(self, info: ChannelInfo) -> ChannelInfo:
        """The channel's people are known, where they are what it is called by."""
        await self.meet(info.channel.direct_user_ids)
        return info

    def info(self, entry: pb.GetChannelResponse | pb.ChannelEntry | pb.OpenDirectChannelResponse) -> ChannelInfo:
        """A channel of an answer, remembered, and the user's place in it."""
        channel = self.learn_channel(entry.channel)
        return ChannelInfo(channel, member_from_pb(entry.self) if entry.HasField("self") else None)

    def learn_channel(self, entry: resources_pb2.Channel) -> Channel:
        """Remember a channel of an answer."""
        return self.known.channel_is(channel_from_pb(entry))
