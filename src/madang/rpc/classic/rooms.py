"""Classic users and their channels: each is in at most one."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import suppress

from madang.core.errors import ChannelNotFound, ForeignIndex, Unavailable
from madang.core.models import LOBBY_ID, Channel, User, UserKind
from madang.rpc.classic.doors import Door, Doors
from madang.rpc.classic.roster import NO_CHANNEL, Guest, Roster
from madang.rpc.classic.tasks import Tasks
from madang.services.lobby import LobbyService

PAGE = 1000


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

        Raises ChannelNotFound, ChannelArchived, Overloaded, StorageUnavailable; the user is then where it was.
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
        channel, _ = await self._lobby.get(0, channel_id)
        owner = await self._lobby.user(channel.owner_id) if channel.channel_id != LOBBY_ID else None
        if owner is None or owner.kind is not UserKind.CLASSIC or channel.archived_at is not None:
            return
        if await self._is_empty(channel_id):
            await self._lobby.set_archived(owner.user_id, channel_id, archived=True)
            if not await self._is_empty(channel_id):  # somebody came in at the last moment
                await self._lobby.set_archived(owner.user_id, channel_id, archived=False)

    async def channels(self) -> list[Channel]:
        """All channels that are not archived, but the lobby."""
        found: list[Channel] = []
        token = ""
        while True:
            page, token = await self._lobby.channels(0, PAGE, token, joined_only=False, include_archived=False)
            found += [channel for channel, _ in page if channel.channel_id != LOBBY_ID]
            if not token:
                return found

    async def members(self, channel_id: int) -> AsyncGenerator[User, None]:
        """Everyone in a channel, page by page. Raises ChannelNotFound."""
        token = ""
        while True:
            page, token = await self._lobby.members(0, channel_id, PAGE, token)
            for _, user in page:
                yield user
            if not token:
                return

    async def sweep(self) -> None:
        """Take out the classic users of an earlier run: nobody honours their indices any more."""
        for channel in await self.channels():
            members = [user async for user in self.members(channel.channel_id)]
            for user in members:
                if user.kind is UserKind.CLASSIC and user.user_id not in self._roster:
                    await self._lobby.leave(user.user_id, channel.channel_id)
            await self.retire(channel.channel_id)

    async def finish(self) -> None:
        """Wait until no move is under way."""
        await self._moves.finish()

    async def _make(self, guest: Guest) -> Door:
        async with self._turns[guest.index]:
            self._check(guest)
            door = await self._doors.unlock()
            try:
                channel = await self._lobby.create(guest.index, f"classic-{secrets.token_hex(4)}", "", None)
                await self._change(guest, channel.channel_id)
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
                await self._lobby.join(guest.index, channel_id)
                await self._change(guest, channel_id)
            except BaseException:
                if guest.channel_id != channel_id:
                    self._doors.leave(channel_id, guest.index)
                raise
            return door

    async def _leave(self, guest: Guest, channel_id: int) -> None:
        async with self._turns[guest.index]:
            if channel_id != NO_CHANNEL and guest.channel_id == channel_id:
                await self._change(guest, NO_CHANNEL)

    async def _clear(self, guest: Guest) -> None:
        async with self._turns[guest.index]:
            await self._change(guest, NO_CHANNEL)
            # Where a change failed half-way, the store may know of more channels than the roster.
            joined, _ = await self._lobby.channels(guest.index, PAGE, "", joined_only=True, include_archived=True)
            for channel, _ in joined:
                if channel.channel_id != LOBBY_ID:
                    await self._lobby.leave(guest.index, channel.channel_id)
            self._roster.remove(guest)
        self._turns.pop(guest.index, None)

    async def _change(self, guest: Guest, channel_id: int) -> None:
        """The user is in this channel now: take it out of the former one."""
        former = guest.channel_id
        moves = former not in (NO_CHANNEL, channel_id)
        if moves:
            await self._lobby.leave(guest.index, former)
        guest.channel_id = channel_id
        if moves:
            self._doors.leave(former, guest.index)
            with suppress(Unavailable):  # the gateway's tidying tries again
                await self.retire(former)

    async def _is_empty(self, channel_id: int) -> bool:
        members, _ = await self._lobby.members(0, channel_id, 1, "")
        return not members

    def _check(self, guest: Guest) -> None:
        """Raise ForeignIndex for a user that was taken out while it waited for its turn."""
        if guest.ended or guest.index not in self._roster:
            raise ForeignIndex(index=guest.index)
