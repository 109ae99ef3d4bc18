"""The lobby's commands, one row each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from madang.classic import client_to_agent_pb2 as pb
from madang.core.errors import BannedFromChannel, FailedPrecondition, GuestsNotAllowed, NotFound, ResourceExhausted
from madang.core.models import LOBBY_ID, Actor, ChannelKind, ServerRole
from madang.rpc.classic.addresses import reached_by
from madang.rpc.classic.doors import Door, Doors
from madang.rpc.classic.rooms import PAGE, Rooms
from madang.rpc.classic.roster import NO_CHANNEL, Guest, Roster
from madang.services.heartbeat import HeartbeatService
from madang.services.lobby import LobbyService

Row: TypeAlias = tuple[int, int]
"""A user, and the channel that it is in."""

_REFUSED = (NotFound, FailedPrecondition, ResourceExhausted, BannedFromChannel, GuestsNotAllowed)
"""What the contract answers with FAILURE: no such channel, one that lets the user not in, no port left."""


class Commands:
    """Runs a user's commands."""

    def __init__(
        self, rooms: Rooms, doors: Doors, roster: Roster, lobby: LobbyService, heartbeat: HeartbeatService
    ) -> None:
        self._rooms = rooms
        self._doors = doors
        self._roster = roster
        self._lobby = lobby
        self._heartbeat = heartbeat
        request = pb.CommandRequest
        self._table: dict[int, Callable[[Guest, int], Awaitable[pb.CommandReply]]] = {
            request.LIST_CHANNELS: self._list_channels,
            request.MAKE_CHANNEL: self._make_channel,
            request.JOIN_CHANNEL: self._join_channel,
            request.LEAVE_CHANNEL: self._leave_channel,
            request.LIST_USERS: self._list_users,
        }

    async def run(self, guest: Guest, status: int, channel_id: int) -> pb.CommandReply:
        """What came of a command; FAILURE for one that is not known. `channel_id`: 0 for none.

        Raises StorageUnavailable.
        """
        command = self._table.get(status)
        if command is None:
            return failure()
        try:
            return await command(guest, channel_id)
        except _REFUSED:
            return failure()

    async def _list_channels(self, guest: Guest, channel_id: int) -> pb.CommandReply:
        channels = await self._rooms.channels(guest.actor)
        return _success(channels=[channel.channel_id for channel in channels if channel.guests])

    async def _make_channel(self, guest: Guest, channel_id: int) -> pb.CommandReply:
        door = await self._rooms.make(guest)
        return _success(address=self._address(door, guest), channels=[door.channel_id])

    async def _join_channel(self, guest: Guest, channel_id: int) -> pb.CommandReply:
        door = await self._rooms.join(guest, channel_id)
        return _success(address=self._address(door, guest), channels=[channel_id])

    async def _leave_channel(self, guest: Guest, channel_id: int) -> pb.CommandReply:
        await self._rooms.leave(guest, channel_id or guest.channel_id)
        return _success()

    async def _list_users(self, guest: Guest, channel_id: int) -> pb.CommandReply:
        rows = await self._everyone() if channel_id == NO_CHANNEL else await self._everyone_in(guest, channel_id)
        return _success(users=[user for user, _ in rows], channels=[channel for _, channel in rows])

    def _here(self) -> set[int]:
        """Who is here: everyone with presence, and classic users from their login on."""
        present = {presence.user_id for presence in self._heartbeat.here()}
        return present | {guest.index for guest in self._roster if not guest.ended}

    async def _everyone(self) -> list[Row]:
        """All who are here. A Madang user has a row for each of its channels."""
        rows: list[Row] = []
        for index in sorted(self._here()):
            guest = self._roster.find(index)
            channels = await self._channels_of(index) if guest is None else [_shown(guest)]
            rows += [(index, channel) for channel in channels or [NO_CHANNEL]]
        return rows

    async def _everyone_in(self, guest: Guest, channel_id: int) -> list[Row]:
        here = self._here()
        if channel_id == LOBBY_ID:
            return [(index, LOBBY_ID) for index in sorted(here)]
        members = self._rooms.members(guest.actor, channel_id)
        return [(user.user_id, channel_id) async for user in members if user.user_id in here]

    async def _channels_of(self, user_id: int) -> list[int]:
        """The public ones: who is in which other one is nobody else's business."""
        user = Actor(user_id, 0, ServerRole.GUEST)
        page, _ = await self._lobby.channels(user, PAGE, "", joined_only=True, include_archived=False)
        return [channel.channel_id for channel, _ in page if channel.kind is ChannelKind.PUBLIC]

    def _address(self, door: Door, guest: Guest) -> str:
        return str(reached_by(self._doors.address(door), guest.host))


def _shown(guest: Guest) -> int:
    """The channel of a classic user, as others see it."""
    return NO_CHANNEL if guest.hidden else guest.channel_id


def failure() -> pb.CommandReply:
    """The command could not be done."""
    return pb.CommandReply(status=pb.CommandReply.FAILURE)


def _success(address: str | None = None, channels: Iterable[int] = (), users: Iterable[int] = ()) -> pb.CommandReply:
    return pb.CommandReply(status=pb.CommandReply.SUCCESS, address=address, channels=channels, users=users)
