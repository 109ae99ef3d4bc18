"""Classic users come, and are taken out: by themselves, or when their time is over."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress

from madang.core.errors import HandleTaken
from madang.core.events import MembershipChanged, SessionEnded
from madang.core.hosts import limit_key
from madang.core.models import LOBBY_ID, UserKind
from madang.rpc.classic.rooms import Rooms
from madang.rpc.classic.roster import Guest, Roster
from madang.services.agent import AgentService
from madang.services.heartbeat import HeartbeatService
from madang.services.limits import Limiter

DEVICE = "classic client"


class Guests:
    """The life of a classic user, from login to sign-out."""

    def __init__(
        self,
        roster: Roster,
        rooms: Rooms,
        agent: AgentService,
        heartbeat: HeartbeatService,
        clock: Callable[[], int],
        limiter: Limiter,
    ) -> None:
        self._roster = roster
        self._rooms = rooms
        self._agent = agent
        self._heartbeat = heartbeat
        self._clock = clock
        self._limiter = limiter
        self._left: set[int] = set()
        self._swept = False

    async def login(self, host: str) -> Guest:
        """A new guest, named for its index. Raises RateLimited, StorageUnavailable."""
        self._limiter.pay_guest(limit_key(host))
        signed_in = await self._agent.sign_in_guest(f"classic-{secrets.token_hex(4)}", DEVICE, UserKind.CLASSIC)
        index = signed_in.user.user_id
        with suppress(HandleTaken):  # by a guest who chose it; the made-up name does as well
            await self._agent.set_handle(index, f"classic-{index}")
        return self._roster.admit(signed_in.session, host, self._clock())

    async def remove(self, guest: Guest) -> None:
        """End the user's streams, and take it out of its channel and of the lobby. Repeating it does no harm.

        The session ends first: from then on the index counts no more, and `tidy` goes on with what fails here.
        """
        await self._agent.sign_out(guest.session)
        await self._rooms.clear(guest)
        self._heartbeat.gone(guest.index)

    async def tidy(self) -> None:
        """Take out whoever's time is over, and close the channels that were left. Called now and then."""
        outcomes = await asyncio.gather(*map(self.remove, self._roster.due(self._clock())), return_exceptions=True)
        for channel_id in list(self._left):
            await self._retire(channel_id)
        if not self._swept:
            await self._rooms.sweep()
            self._swept = True
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    def on_session_ended(self, event: SessionEnded) -> None:
        """Somebody was signed out, by whatever way."""
        self._roster.end(event.user_id)

    def on_membership(self, event: MembershipChanged) -> None:
        """Somebody joined or left a channel."""
        if not event.joined and event.channel_id != LOBBY_ID:
            self._left.add(event.channel_id)
            self._rooms.went(event.user_id, event.channel_id)

    async def _retire(self, channel_id: int) -> None:
        await self._rooms.retire(channel_id)
        self._left.discard(channel_id)
