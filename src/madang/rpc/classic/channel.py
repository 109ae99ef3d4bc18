"""The classic Channel on the wire: one servicer for each door."""

from __future__ import annotations

from collections.abc import Callable

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import ChannelServicer
from madang.rpc.classic.addresses import peer_host
from madang.rpc.classic.doors import Door
from madang.rpc.classic.guests import Guests
from madang.rpc.classic.relay import Relay, comings_and_goings, others_chat
from madang.rpc.classic.rooms import Rooms
from madang.rpc.classic.roster import Guest, Roster
from madang.rpc.interceptor import Context
from madang.services.channel import ChannelService
from madang.services.limits import Limiter
from madang.services.streams import Streams


class ClassicChannel(ChannelServicer):
    """See docs/classic.md. Bound to the channel that its door leads to."""

    def __init__(
        self,
        door: Door,
        roster: Roster,
        guests: Guests,
        rooms: Rooms,
        channel: ChannelService,
        streams: Streams,
        clock: Callable[[], int],
        limiter: Limiter,
    ) -> None:
        self._door = door
        self._roster = roster
        self._guests = guests
        self._rooms = rooms
        self._channel = channel
        self._relay = Relay(channel, streams, limiter)
        self._clock = clock
        self._limiter = limiter

    async def TryChatSend(self, request: pb.Chat, context: Context) -> pb.Empty:
        """Store a text in the channel, for its members."""
        guest = await self._caller(request.index, context)
        self._roster.act(guest, self._clock())
        await self._limiter.pay_message(guest.session)
        await self._channel.send(guest.index, self._door.channel_id, request.text, None)
        return pb.Empty()

    async def TryChatReceive(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.Chat, context: Context
    ) -> None:
        """What the others write in the channel."""
        guest = await self._caller(request.index, context)
        await self._relay.run(guest, self._door.channel_id, context, others_chat(guest.index))

    async def TryStatusRequest(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.UserRequest, context: Context
    ) -> None:
        """Join the user in, and tell who joins and leaves.

        Its own stream begins with itself, also when it was in before: the command that made or joined the channel has
        made it a member.
        """
        guest = await self._caller(request.index, context)
        channel_id = self._door.channel_id
        await self._rooms.join(guest, channel_id)
        itself = pb.StatusReply(status=pb.StatusReply.JOIN_USER, index=guest.index, channel=channel_id)
        await self._relay.run(guest, channel_id, context, comings_and_goings, itself)

    async def TryUserRemove(self, request: pb.UserRequest, context: Context) -> pb.Empty:
        """Take the user out of the channel; one that is elsewhere stays there."""
        guest = await self._caller(request.index, context)
        await self._rooms.leave(guest, self._door.channel_id)
        return pb.Empty()

    async def _caller(self, index: int, context: Context) -> Guest:
        return await self._guests.require(index, peer_host(context.peer()))
