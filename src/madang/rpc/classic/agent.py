"""The classic Agent on the wire."""

from __future__ import annotations

from collections.abc import Callable

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import AgentServicer
from madang.rpc.classic.addresses import Place, peer_host, reached_by
from madang.rpc.classic.guests import Guests
from madang.rpc.interceptor import Context


class ClassicAgent(AgentServicer):
    """See docs/classic.md."""

    def __init__(self, guests: Guests, where: Callable[[str], Place]) -> None:
        """`where`: where a service listens, by its name."""
        self._guests = guests
        self._where = where

    async def TryLogin(self, request: pb.LoginRequest, context: Context) -> pb.LoginReply:
        """Register a user, if there is a place for it to go to.

        The address that the client claims to have is not looked at: we see the real one.
        """
        host = peer_host(context.peer())
        heartbeat, lobby = (str(reached_by(self._where(name), host)) for name in ("heartbeat", "lobby"))
        guest = await self._guests.login(host)
        return pb.LoginReply(index=guest.index, heartbeat_ip=heartbeat, lobby_ip=lobby)
