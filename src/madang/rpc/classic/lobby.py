"""The classic Lobby on the wire."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import LobbyServicer
from madang.core.errors import ForeignIndex
from madang.core.models import LOBBY_ID
from madang.rpc.classic.addresses import peer_host
from madang.rpc.classic.comings import Comings, StatusFeed
from madang.rpc.classic.commands import Commands, failure
from madang.rpc.classic.guests import Guests
from madang.rpc.classic.relay import Relay, open_stream, others_chat
from madang.rpc.classic.roster import Guest, Roster
from madang.rpc.classic.times import Times
from madang.rpc.interceptor import Context
from madang.services.channel import ChannelService
from madang.services.limits import Limiter
from madang.services.streams import Streams


class ClassicLobby(LobbyServicer):
    """See docs/classic.md."""

    def __init__(
        self,
        roster: Roster,
        guests: Guests,
        commands: Commands,
        comings: Comings,
        channel: ChannelService,
        streams: Streams,
        times: Times,
        clock: Callable[[], int],
        limiter: Limiter,
    ) -> None:
        self._roster = roster
        self._guests = guests
        self._commands = commands
        self._comings = comings
        self._channel = channel
        self._relay = Relay(channel, streams, limiter)
        self._streams = streams
        self._times = times
        self._clock = clock
        self._limiter = limiter

    async def TryChatSend(self, request: pb.Chat, context: Context) -> pb.Empty:
        """Store a text in the lobby, for everybody."""
        guest = await self._caller(request.index, context)
        self._roster.act(guest, self._clock())
        await self._limiter.pay_message(guest.session)
        await self._channel.send(guest.index, LOBBY_ID, request.text, None)
        return pb.Empty()

    async def TryChatReceive(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.Chat, context: Context
    ) -> None:
        """What the others write in the lobby."""
        guest = await self._caller(request.index, context)
        await self._relay.run(guest, LOBBY_ID, context, others_chat(guest.index))

    async def TryStatusRequest(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.UserRequest, context: Context
    ) -> None:
        """Who comes and goes, and whether the user itself is idle."""
        guest = await self._caller(request.index, context)
        feed = self._comings.open(guest.index)
        try:
            with open_stream(self._streams, self._limiter, guest, feed.end):
                await context.send_initial_metadata(())
                async with aclosing(self._statuses(guest, feed)) as statuses:
                    async for status in statuses:
                        await context.write(status)
        finally:
            self._comings.close(feed)

    async def TryCommand(self, request: pb.CommandRequest, context: Context) -> pb.CommandReply:
        """Run a command. The contract has an answer for an unknown index; a foreign one is refused as everywhere."""
        try:
            guest = await self._caller(request.index, context)
        except ForeignIndex:
            found = self._roster.find(request.index)
            if found is not None and not found.ended:  # one that has ended is about to be unknown
                raise
            return failure()
        self._roster.act(guest, self._clock())
        self._limiter.pay_change(guest.index)
        return await self._commands.run(guest, request.status, request.channel)

    async def TryUserExit(self, request: pb.UserRequest, context: Context) -> pb.StatusReply:
        """Tell whether the user is idle."""
        guest = await self._caller(request.index, context)
        idle = self._roster.idle_in(guest, self._clock()) <= 0
        return pb.StatusReply(status=pb.StatusReply.QUIT if idle else pb.StatusReply.OK, index=guest.index)

    async def TryUserRemove(self, request: pb.UserRequest, context: Context) -> pb.Empty:
        """Sign the user out."""
        guest = await self._caller(request.index, context)
        guest.said_goodbye = True
        await self._guests.remove(guest)
        return pb.Empty()

    async def _caller(self, index: int, context: Context) -> Guest:
        return await self._guests.require(index, peer_host(context.peer()))

    async def _statuses(self, guest: Guest, feed: StatusFeed) -> AsyncGenerator[pb.StatusReply, None]:
        """What happens, and one QUIT each time that the user becomes idle."""
        told_of = None
        while True:
            idle_in = self._roster.idle_in(guest, self._clock())
            if idle_in <= 0:
                if guest.active_at != told_of:
                    told_of = guest.active_at
                    yield pb.StatusReply(status=pb.StatusReply.QUIT, index=guest.index)
                # An act after this moment makes the user idle no sooner than this.
                idle_in = self._times.idle
            for index, came in (await feed.next(idle_in)).items():
                status = pb.StatusReply.JOIN_USER if came else pb.StatusReply.LEAVE_USER
                yield pb.StatusReply(status=status, index=index)
