"""Classic users and their channels: each is in at most one."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress

from madang.core.errors import ChannelNotFound, ForeignIndex, Unavailable
from madang.core.models import LOBBY_ID, Actor, Channel, ChannelKind, ServerRole, User, UserKind
from madang.rpc.classic.doors import Door, Doors
from madang.rpc.classic.roster import NO_CHANNEL, Guest, Roster
from madang.rpc.classic.tasks import Tasks
from madang.services.lobby import LobbyService

PAGE = 1000
SERVER = Actor(0, 0, ServerRole.OWNER)
"""The server itself, which sees every channel that people of an earlier run may be in."""


class Rooms:
    """Make, join and leave. Each user's moves are made one at a time, and finished though its caller goes away."""

    def __init__(self, lobby: LobbyService, roster: Roster, doors: Doors) -> None:
        self._lobby = lobby
        self._roster = roster
        self._doors = doors
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._moves = Tasks()

    async def make(self, guest: Guest) -> Door:
        """A new channel with the user in it. Raises Overloaded when no port is free, StorageUnavailable."""
        return await self._moves.through(self._make(guest))

    async def join(self, guest: Guest, channel_id: int) -> Door:
        """Bring the user into a channel, and out of its former one. Repeating it changes nothing.

        Raises ChannelNotFound, ChannelArchived, BannedFromChannel, GuestsNotAllowed, Overloaded, StorageUnavailable;
        the user is then where it was.
        """
        return await self._moves.through(self._join(guest, channel_id))

    async def leave(self, guest: Guest, channel_id: int) -> None:
        """Take the user out of this channel; one that is elsewhere stays there."""
        await self._moves.through(self._leave(guest, channel_id))

    async def clear(self, guest: Guest) -> None:
        """Take the user out of whatever channel it is in, for good: the roster knows it no more."""
        await self._moves.through(self._clear(guest))

    async def retire(self, channel_id: int) -> None:
        """Archive the channel if nobody is in it and it was made through the classic contract."""
        await self._lobby.retire(channel_id)

    def went(self, user_id: int, channel_id: int) -> None:
        """A user is not in the channel any more, by whatever way: its door is not open for it."""
        guest = self._roster.find(user_id)
        if guest is not None and guest.channel_id == channel_id:
            guest.channel_id = NO_CHANNEL
        self._doors.leave(channel_id, user_id)

    async def channels(self, actor: Actor) -> list[Channel]:
        """All channels that are not archived and that the actor can see, but the lobby."""
        found: list[Channel] = []
        token = ""
        while True:
            page, token = await self._lobby.channels(actor, PAGE, token, joined_only=False, include_archived=False)
            found += [channel for channel, _ in page if channel.channel_id != LOBBY_ID]
            if not token:
                return found

    async def members(self, actor: Actor, channel_id: int) -> AsyncGenerator[User, None]:
        """Everyone in a channel, page by page. Raises ChannelNotFound, also where the actor cannot see it."""
        token = ""
        while True:
            page, token = await self._lobby.members(actor, channel_id, PAGE, token)
            for _, user in page:
                yield user
            if not token:
                return

    async def find(self, guest: Guest) -> None:
        """Find out in which channel a user is that logged in elsewhere."""
        joined, _ = await self._lobby.channels(guest.actor, PAGE, "", joined_only=True, include_archived=False)
        for channel, _ in joined:
            if channel.channel_id != LOBBY_ID and guest.channel_id == NO_CHANNEL:
                guest.channel_id = channel.channel_id
                guest.hidden = channel.kind is not ChannelKind.PUBLIC

    async def sweep(self, is_good: Callable[[int], Awaitable[bool]]) -> None:
        """Take out the classic users of an earlier run: nobody honours their indices any more, unless `is_good` says so
        of an index that is not in the roster.
        """
        for channel in await self.channels(SERVER):
            members = [user async for user in self.members(SERVER, channel.channel_id)]
            for user in members:
                is_unknown = user.kind is UserKind.CLASSIC and user.user_id not in self._roster
                if is_unknown and not await is_good(user.user_id):
                    await self._lobby.take_out(user.user_id, channel.channel_id)
            await self.retire(channel.channel_id)

    async def finish(self) -> None:
        """Wait until no move is under way."""
        await self._moves.finish()

    async def _make(self, guest: Guest) -> Door:
        async with self._turns[guest.index]:
            self._check(guest)
            door = await self._doors.unlock()
            try:
                channel = await self._lobby.create(guest.actor, f"classic-{secrets.token_hex(4)}", "", None)
                await self._change(guest, channel)
            except BaseException:
                self._doors.shut(door)
                raise
            self._doors.assign(door, channel.channel_id, guest.index)
            return door

    async def _join(self, guest: Guest, channel_id: int) -> Door:
        if channel_id in (NO_CHANNEL, LOBBY_ID):
            raise ChannelNotFound(channel=channel_id)
        async with self._turns[guest.index]:
            self._check(guest)
            door = await self._doors.enter(channel_id, guest.index)
            try:
                channel, _ = await self._lobby.join(guest.actor, channel_id)
                await self._change(guest, channel)
            except BaseException:
                if guest.channel_id != channel_id:
                    self._doors.leave(channel_id, guest.index)
                raise
            return door

    async def _leave(self, guest: Guest, channel_id: int) -> None:
        async with self._turns[guest.index]:
            if channel_id != NO_CHANNEL and guest.channel_id == channel_id:
                await self._change(guest, None)

    async def _clear(self, guest: Guest) -> None:
        async with self._turns[guest.index]:
            await self._change(guest, None)
            # Where a change failed half-way, the store may know of more channels than the roster.
            joined, _ = await self._lobby.channels(guest.actor, PAGE, "", joined_only=True, include_archived=True)
            for channel, _ in joined:
                if channel.channel_id != LOBBY_ID:
                    await self._lobby.take_out(guest.index, channel.channel_id)
            self._roster.remove(guest)
        self._turns.pop(guest.index, None)

    async def _change(self, guest: Guest, channel: Channel | None) -> None:
        """The user is in this channel now: take it out of the former one. It may always leave: the contract knows
        of no owners, so a channel that needs one gets another one.
        """
        channel_id = NO_CHANNEL if channel is None else channel.channel_id
        former = guest.channel_id
        moves = former not in (NO_CHANNEL, channel_id)
        if moves:
            await self._lobby.take_out(guest.index, former)
        guest.channel_id = channel_id
        guest.hidden = channel is not None and channel.kind is not ChannelKind.PUBLIC
        if moves:
            self._doors.leave(former, guest.index)
            with suppress(Unavailable):  # the gateway's tidying tries again
                await self.retire(former)

    def _check(self, guest: Guest) -> None:
        """Raise ForeignIndex for a user that was taken out while it waited for its turn."""
        if guest.ended or guest.index not in self._roster:
            raise ForeignIndex(index=guest.index)
