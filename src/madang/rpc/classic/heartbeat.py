"""The classic Heartbeat on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import HeartbeatServicer
from madang.core.errors import MadangError
from madang.rpc.classic.addresses import peer_host
from madang.rpc.classic.guests import Guests
from madang.rpc.classic.relay import open_stream
from madang.rpc.classic.roster import Guest, Roster
from madang.rpc.classic.times import Times
from madang.rpc.interceptor import Context
from madang.services.heartbeat import HeartbeatService
from madang.services.limits import Limiter
from madang.services.streams import Streams

_SECOND = 1_000_000


class ClassicHeartbeat(HeartbeatServicer):
    """See docs/classic.md.

    A stream is proof of life because its connection answers: HTTP/2 keepalive ends a half-dead one, and with it the
    stream.
    """

    def __init__(
        self,
        roster: Roster,
        guests: Guests,
        heartbeat: HeartbeatService,
        streams: Streams,
        times: Times,
        clock: Callable[[], int],
        ticks: Callable[[], int],
        limiter: Limiter,
    ) -> None:
        self._roster = roster
        self._guests = guests
        self._heartbeat = heartbeat
        self._streams = streams
        self._times = times
        self._clock = clock
        self._ticks = ticks
        self._limiter = limiter

    async def TryHeartbeat(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.HeartbeatRequest, context: Context
    ) -> None:
        """Send the time, again and again."""
        guest = await self._guests.require(request.index, peer_host(context.peer()))
        end = _End()
        self._roster.begin_beat(guest)
        try:
            held = self._heartbeat.held(guest.index, guest.session.session_id)
            with open_stream(self._streams, self._limiter, guest, end), held:
                while True:
                    await context.write(pb.HeartbeatReply(time=self._clock() // _SECOND))
                    await end.within(self._times.beat)
        finally:
            self._over(guest)

    async def TryUserLives(self, request: pb.UserRequest, context: Context) -> pb.UserLivesReply:
        """Tell whether a user's heartbeat is current. Anyone may ask about anyone: presence is no secret."""
        lives = self._guests.lives(request.index)
        return pb.UserLivesReply(status=pb.UserLivesReply.LIVE if lives else pb.UserLivesReply.UNKNOWN)

    def _over(self, guest: Guest) -> None:
        """A stream is down. After a sign-out there is no grace, so that the others see the user go at once."""
        self._roster.end_beat(guest, self._ticks())
        if guest.ended:
            self._heartbeat.gone(guest.index, guest.session.session_id)


class _End:
    """Called with the error that ends the stream."""

    def __init__(self) -> None:
        self._error: asyncio.Future[MadangError] = asyncio.get_running_loop().create_future()

    def __call__(self, error: MadangError) -> None:
        if not self._error.done():
            self._error.set_result(error)

    async def within(self, timeout: float) -> None:
        """Let the time pass, seconds; raise the error as soon as it is known."""
        done, _ = await asyncio.wait([self._error], timeout=timeout)
        if done:
            raise self._error.result()
