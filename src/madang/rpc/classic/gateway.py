"""The gateway as a whole: the four classic services over ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc

from madang.bus.base import Bus
from madang.classic.client_to_agent_pb2_grpc import (
    add_AgentServicer_to_server,
    add_ChannelServicer_to_server,
    add_HeartbeatServicer_to_server,
    add_LobbyServicer_to_server,
)
from madang.core.events import MembershipChanged, PresenceChanged, SessionEnded
from madang.rpc.classic.addresses import Place
from madang.rpc.classic.agent import ClassicAgent
from madang.rpc.classic.channel import ClassicChannel
from madang.rpc.classic.comings import Comings
from madang.rpc.classic.commands import Commands
from madang.rpc.classic.doors import Door, Doors, NewServer
from madang.rpc.classic.guests import Guests
from madang.rpc.classic.heartbeat import ClassicHeartbeat
from madang.rpc.classic.lobby import ClassicLobby
from madang.rpc.classic.ports import Ports
from madang.rpc.classic.rooms import Rooms
from madang.rpc.classic.roster import Roster
from madang.rpc.classic.times import Times
from madang.services.agent import AgentService
from madang.services.channel import ChannelService
from madang.services.heartbeat import HeartbeatService
from madang.services.limits import Limiter
from madang.services.lobby import LobbyService
from madang.services.streams import Streams

Where = Callable[[str], Place]
"""Where a service ("heartbeat", "lobby") is, as callers are told, in whichever process. Asked when a call is served, so
that ports are known."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the gateway is a gateway to."""

    agent: AgentService
    heartbeat: HeartbeatService
    lobby: LobbyService
    channel: ChannelService
    streams: Streams
    bus: Bus
    limiter: Limiter


class Gateway:
    """Put each service on its server with `add`, call `tidy` now and then, and `prove` where there are other processes;
    `shut` and `stop` at the end.
    """

    def __init__(
        self,
        services: Services,
        where: Where,
        here: Callable[[], Place],
        new_server: NewServer,
        ports: Ports,
        times: Times,
        clock: Callable[[], int],
        ticks: Callable[[], int],
    ) -> None:
        """`here`: where the Lobby of this process listens; `new_server` makes the servers of channels, with a
        ClassicInterceptor; `clock`: the time of day; `ticks`: a clock that nobody sets; both microseconds.
        """
        self._services = services
        self._where = where
        self._times = times
        self._clock = clock
        self._ticks = ticks
        self._roster = Roster(times)
        self._comings = Comings()
        self._doors = Doors(new_server, ports, self._serve_channel, here, lambda: where("lobby"))
        self._rooms = Rooms(services.lobby, self._roster, self._doors)
        self._guests = Guests(
            self._roster,
            self._rooms,
            services.agent,
            services.heartbeat,
            ticks,
            services.limiter,
            shared=services.bus.is_shared,
        )
        services.bus.subscribe(SessionEnded, self._guests.on_session_ended)
        services.bus.subscribe(MembershipChanged, self._guests.on_membership)
        services.bus.subscribe(PresenceChanged, lambda event: self._comings.note(event.presences))

    def add(self, name: str, server: grpc.aio.Server) -> str:
        """Serve "agent", "heartbeat" or "lobby" on a server; the full name that the service has there."""
        services = self._services
        match name:
            case "agent":
                add_AgentServicer_to_server(ClassicAgent(self._guests, self._where), server)
                return "Agent"
            case "heartbeat":
                heartbeat = ClassicHeartbeat(
                    self._roster,
                    self._guests,
                    services.heartbeat,
                    services.streams,
                    self._times,
                    self._clock,
                    self._ticks,
                    services.limiter,
                )
                add_HeartbeatServicer_to_server(heartbeat, server)
                return "Heartbeat"
            case "lobby":
                add_LobbyServicer_to_server(self._lobby(), server)
                return "Lobby"
        raise ValueError(f"the classic contract has no service {name!r} with an address of its own")

    async def prove(self) -> None:
        """Let the other processes know whose heart beats here."""
        await self._guests.prove()

    async def tidy(self) -> None:
        """Take out users whose time is over, and close channels that were left."""
        await self._guests.tidy()

    def shut(self) -> None:
        """Take no new calls in channels."""
        self._doors.shut_all()

    async def stop(self) -> None:
        """Finish the moves that are under way, and close every door."""
        await self._rooms.finish()
        self._doors.shut_all()
        await self._doors.closed()

    def _lobby(self) -> ClassicLobby:
        services = self._services
        commands = Commands(self._rooms, self._doors, self._roster, services.lobby, services.heartbeat)
        return ClassicLobby(
            self._roster,
            self._guests,
            commands,
            self._comings,
            services.channel,
            services.streams,
            self._times,
            self._ticks,
            services.limiter,
        )

    def _serve_channel(self, door: Door) -> None:
        services = self._services
        servicer = ClassicChannel(
            door,
            self._roster,
            self._guests,
            self._rooms,
            services.channel,
            services.streams,
            self._ticks,
            services.limiter,
        )
        add_ChannelServicer_to_server(servicer, door.server)
