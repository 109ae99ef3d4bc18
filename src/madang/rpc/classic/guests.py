"""Classic users come, and are taken out: by themselves, or when their time is over.

In a cluster a user logs in at one process, beats at another and chats at a third. They share the store, which has the
user's session and the host that it belongs to, and presence. So each process honours an index that the store knows;
and takes out nobody who is present anywhere. Whoever is present nowhere is taken out by all who know of it: that is the
same as by one of them.

Presence comes over the bus, and may be wrong: of a process that has lost the bus nothing is heard, and its users live
all the same. So each process also writes down, as the last use of their sessions, whose heart beats there; and before
one takes out a user it looks whether that has changed since it last looked. Nobody's clock is held against another's.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from madang.core.errors import HandleTaken, MadangError
from madang.core.events import MembershipChanged, SessionEnded
from madang.core.hosts import limit_key
from madang.core.models import LOBBY_ID, Session, UserKind
from madang.core.presence import Status
from madang.rpc.classic.rooms import Rooms
from madang.rpc.classic.roster import Guest, Roster
from madang.services.agent import AgentService
from madang.services.heartbeat import HeartbeatService
from madang.services.limits import Limiter

DEVICE = "classic client"
ADOPT_EVERY = 300_000_000
"""How often the store is asked for users that nobody may know any more, microseconds."""


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
        *,
        shared: bool = False,
    ) -> None:
        """`shared`: there may be other processes that serve the same users."""
        self._roster = roster
        self._rooms = rooms
        self._agent = agent
        self._heartbeat = heartbeat
        self._clock = clock
        self._limiter = limiter
        self._shared = shared
        self._left: set[int] = set()
        self._swept = False
        self._adopted_at = -ADOPT_EVERY
        self._ends = 0  # how many sessions have ended: what was read before that may not be so any more

    async def login(self, host: str) -> Guest:
        """A new guest, named for its index. Raises RateLimited, StorageUnavailable."""
        self._limiter.pay_guest(limit_key(host))
        signed_in = await self._agent.sign_in_guest(f"classic-{secrets.token_hex(4)}", DEVICE, UserKind.CLASSIC, host)
        index = signed_in.user.user_id
        with suppress(HandleTaken):  # by a guest who chose it; the made-up name does as well
            await self._agent.set_handle(index, f"classic-{index}")
        return self._roster.admit(signed_in.session, host, self._clock())

    async def require(self, index: int, host: str) -> Guest:
        """The user with the index, if the index was given to this host, by whichever process.

        Raises ForeignIndex, RateLimited, StorageUnavailable.
        """
        if index not in self._roster and self._shared and index > 0:
            self._limiter.pay_open_call(limit_key(host))  # anyone may ask for any index
            for session in await self._good_sessions(index):
                await self._adopt(session)
        return self._roster.require(index, host)

    def lives(self, index: int) -> bool:
        """Whether the user's heartbeat is current, at whichever process."""
        guest = self._roster.find(index)
        if guest is not None and (guest.ended or self._roster.lives(guest, self._clock())):
            return not guest.ended
        return (guest is None or self._shared) and self._is_present(index)

    async def remove(self, guest: Guest) -> None:
        """End the user's streams, and take it out of its channel and of the lobby. Repeating it does no harm.

        The session ends first: from then on the index counts no more, and `tidy` goes on with what fails here.
        """
        if not (guest.ended and self._shared):  # else another process was first
            await self._agent.sign_out(guest.session)
        await self._rooms.clear(guest)
        self._heartbeat.gone(guest.index, guest.session.session_id)

    async def tidy(self) -> None:
        """Take out whoever's time is over, and close the channels that were left. Called now and then."""
        due = [guest for guest in self._roster.due(self._clock()) if guest.ended or not self._is_elsewhere(guest)]
        outcomes = await asyncio.gather(*map(self._take_out, due), return_exceptions=True)
        for channel_id in list(self._left):
            await self._retire(channel_id)
        if self._shared and self._clock() - self._adopted_at >= ADOPT_EVERY:
            for session in await self._good_sessions():
                await self._adopt(session)
            self._adopted_at = self._clock()
        if not self._swept:
            await self._rooms.sweep(self._is_good)
            self._swept = True
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def prove(self) -> None:
        """Write down whose heart beats here, for the other processes. Called now and then."""
        beating = self._roster.beating()
        used_at = await self._agent.note_use([guest.session for guest in beating])
        for guest in beating:
            guest.session = replace(guest.session, used_at=used_at)  # what is written after this is not from here

    def on_session_ended(self, event: SessionEnded) -> None:
        """Somebody was signed out, by whatever way."""
        self._ends += 1
        self._roster.end(event.user_id)

    def on_membership(self, event: MembershipChanged) -> None:
        """Somebody joined or left a channel."""
        if not event.joined and event.channel_id != LOBBY_ID:
            self._left.add(event.channel_id)
            self._rooms.went(event.user_id, event.channel_id)

    async def _take_out(self, guest: Guest) -> None:
        """Remove a user whose time is over, unless the store knows of its life elsewhere."""
        if self._shared and not guest.ended:
            try:
                used = await self._agent.sign_out_unused(guest.session)
            except MadangError:
                # Nobody could write down anything meanwhile: what is found next is where it begins anew.
                guest.session = replace(guest.session, used_at=-1)
                self._roster.put_off(guest, self._clock())
                raise
            if used is not None:
                guest.session = used
                self._roster.put_off(guest, self._clock())
                return
        await self.remove(guest)

    async def _good_sessions(self, index: int = 0) -> list[Session]:
        """What the store says, asked again when something ended meanwhile: its answer may be from before."""
        while True:
            ends = self._ends
            found = await self._agent.sessions_of_kind(UserKind.CLASSIC, index)
            if ends == self._ends:
                return found

    async def _adopt(self, session: Session) -> None:
        """Let this process know a user that logged in at another one, or before it was started."""
        if session.user_id in self._roster:
            return
        guest = self._roster.admit(session, session.address, self._clock())
        await self._rooms.find(guest)

    async def _is_good(self, index: int) -> bool:
        """Whether a user of whom this process knows nothing may be logged in at another one."""
        return self._shared and bool(await self._good_sessions(index))

    def _is_elsewhere(self, guest: Guest) -> bool:
        """Whether another process has proof of life of a user of whom this one has none."""
        return self._shared and self._is_present(guest.index)

    def _is_present(self, index: int) -> bool:
        return self._heartbeat.get(index).status is not Status.OFFLINE

    async def _retire(self, channel_id: int) -> None:
        await self._rooms.retire(channel_id)
        self._left.discard(channel_id)
