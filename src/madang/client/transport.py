"""The way to the server: at which of its nodes, the token in the metadata, errors as our own tree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import grpc

from madang.client.errors import ClientClosed, from_rpc, was_silent
from madang.client.nodes import Nodes
from madang.client.tls import Secure
from madang.client.wires import Wire, Wires
from madang.core.errors import MadangError, ServerUnreachable
from madang.core.models import Registration
from madang.v1 import (
    agent_service_pb2,
    agent_service_pb2_grpc,
    channel_service_pb2,
    channel_service_pb2_grpc,
    heartbeat_service_pb2_grpc,
    lobby_service_pb2_grpc,
)
from madang.v1.agent_service_pb2 import Endpoints, GetServerRequest, GetServerResponse

if TYPE_CHECKING:
    from madang.v1.agent_service_pb2_grpc import AgentServiceAsyncStub
    from madang.v1.channel_service_pb2_grpc import ChannelServiceAsyncStub
    from madang.v1.heartbeat_service_pb2_grpc import HeartbeatServiceAsyncStub
    from madang.v1.lobby_service_pb2_grpc import LobbyServiceAsyncStub

    PostCall = grpc.aio.StreamStreamCall[channel_service_pb2.PostRequest, channel_service_pb2.PostResponse]

Request = TypeVar("Request")
Response = TypeVar("Response")
T = TypeVar("T")

CALL_TIMEOUT = 15.0
"""For how many seconds a unary call waits for its answer."""

ASK_TIMEOUT = 2.0
"""For how many seconds a node is waited for that there are others beside, before anything is asked of it."""

MAX_AVOID = 32
"""How many addresses the contract lets one avoid."""

GONE_ELSEWHERE = "the client has gone elsewhere"
"""The problem of a call whose connection the client itself has given up."""

_SAFE = ("Get", "List")
"""How the names of those requests begin that only read: they may be sent twice."""

_REGISTRATIONS = {
    agent_service_pb2.REGISTRATION_INVITE: Registration.INVITE,
    agent_service_pb2.REGISTRATION_OPEN: Registration.OPEN,
    agent_service_pb2.REGISTRATION_CLOSED: Registration.CLOSED,
}


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server: its version, the history that it keeps, where it was found (`host:port`), and how one gets in.

    `nodes`: where it can be found now, this place too; empty when it is only here.
    """

    version: str
    store_id: str
    target: str
    registration: Registration = Registration.INVITE
    guests: bool = False
    nodes: tuple[str, ...] = ()


class Transport:
    """The stubs of the four services, wherever they are; at one node at a time, see `elsewhere`."""

    agent: AgentServiceAsyncStub
    heartbeat: HeartbeatServiceAsyncStub
    lobby: LobbyServiceAsyncStub
    channel: ChannelServiceAsyncStub

    def __init__(self, targets: str | Sequence[str], secure: Secure | None = None) -> None:
        """`targets`: the Agents' `host:port`; `secure`: None for plain text. Connects when the first call is made."""
        given = [targets] if isinstance(targets, str) else list(targets)
        self.address = ",".join(given)
        """The server as it was named to the client."""
        self.visit = 0
        """Counts the moves, to another node or to other addresses of this one's services, away from what failed."""
        self._nodes = Nodes(given, bare=secure is None)
        self._wires = Wires(secure)
        self._closed = False
        self._is_cluster = False  # nodes of a cluster always name an address, be it the balancer's alone
        self._moving = asyncio.Lock()
        self._metadata: tuple[tuple[str, str], ...] = ()
        self._use(self._nodes.first(), Endpoints())
        self.server = ServerInfo("", "", self.target)
        """The server, as it was when it was last asked."""

    @property
    def are_several(self) -> bool:
        """Whether there is another node to go to: at an address of its own, or behind the one that all nodes share."""
        return self._nodes.are_several or self._is_cluster

    async def get_server(self) -> ServerInfo:
        """Ask the Agent what the server is, and where its services are; they are called there from now on."""
        visit, timeout = self.visit, ASK_TIMEOUT if self.are_several else CALL_TIMEOUT
        answer = await self.call(self.agent.GetServer, GetServerRequest(), timeout)
        if visit == self.visit:
            await self._take(self.target, answer)
        return self.server

    async def arrive(self) -> ServerInfo:
        """The same at the first contact, when it does not matter yet where one is: goes on to where there is room."""
        server = await self.get_server()
        if server.nodes and server.nodes[0] != self.target and not self._nodes.has_missed(server.nodes[0]):
            await self._try(server.nodes[0], ())
        return self.server

    def told(self, nodes: Iterable[str]) -> None:
        """The server says where Agents are now; what is called, and where, stays as it is."""
        self.server = replace(self.server, nodes=tuple(nodes))
        self._nodes.told(self.server.nodes)

    async def elsewhere(self, visit: int, because: MadangError | None = None) -> bool:
        """A call of this visit has found its node gone, or about to go: move to one that answers. `because`: its error.

        Says whether the client is somewhere else now. Where there is no other, everything is as it was.
        """
        async with self._moving:
            if visit != self.visit:
                return True
            apart = [each for each in (self._at.heartbeat, self._at.lobby, self._at.channel) if each]
            # Where services have addresses of their own the Agent may be well, and know of better ones.
            tried = set() if apart else {self.target}
            silent = was_silent(because)
            if await self._try_all(tried, apart, silent):
                return True
            # Behind a balancer all nodes have one address: a new connection may lead to another of them. And one that
            # is about to go may say where the others are.
            avoid = [*apart, self.target]
            renewed = self._is_cluster and await self._try(self.target, avoid, renew=True, silent=silent)
            return renewed or await self._try_all(tried, apart, silent)

    async def _try_all(self, tried: set[str], apart: list[str], silent: bool) -> bool:
        """Try this place and all others, one after the other, but for those that were; says whether one was good."""
        while left := [each for each in (self.target, *self._nodes.others(self.target)) if each not in tried]:
            tried.add(left[0])
            if await self._try(left[0], [*apart, self.target], silent=silent):
                return True
        return False

    async def _try(self, target: str, avoid: Iterable[str], *, renew: bool = False, silent: bool = False) -> bool:
        """Move to a node, if it answers, belongs to the same server and is not about to go; says whether it did.

        `renew`: a new connection to this same place will do. Otherwise it has to be another place. `silent`: see Wires.
        """
        self._check_open()
        request = GetServerRequest(avoid=[each for each in avoid if each != target][:MAX_AVOID])
        wire = self._wires.anew((target, True))
        is_good = False
        try:
            answer = await agent_service_pb2_grpc.AgentServiceStub(wire).GetServer(request, timeout=ASK_TIMEOUT)
            same_server = self.server.store_id in ("", answer.store_id)
            same_place = not renew and target == self.target and answer.endpoints == self._at
            is_good = same_server and not same_place and not answer.draining and not self._closed
            self._nodes.reached(target)
            if same_server and answer.nodes:
                self._nodes.told(answer.nodes)
        except grpc.aio.AioRpcError:
            self._nodes.missed(target)
            return False
        finally:
            if not is_good:
                await wire.close()
        if not is_good:
            return False
        self._wires.put((target, True), wire, silent=silent)
        self.visit += 1
        await self._take(target, answer, renewed=True)
        return True

    async def _take(self, target: str, answer: GetServerResponse, *, renewed: bool = False) -> None:
        """A node has answered: its services are called from now on. `renewed`: over another connection than before."""
        self._check_open()
        registration = _REGISTRATIONS.get(answer.registration, Registration.INVITE)
        nodes = tuple(answer.nodes)
        self.server = ServerInfo(answer.version, answer.store_id, target, registration, answer.guests, nodes)
        self._nodes.told(nodes)
        self._is_cluster = bool(nodes) or (answer.draining and self._is_cluster)
        if renewed or (target, answer.endpoints, self.are_several) != (self.target, self._at, self._hasty):
            await self._wires.use(self._use(target, answer.endpoints))

    def authorize(self, token: str) -> None:
        """Let every call from now on carry the session's token."""
        self._metadata = (("authorization", f"Bearer {token}"),)

    async def call(
        self,
        method: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        timeout: float = CALL_TIMEOUT,
    ) -> Response:
        """Make a unary call; `timeout` in seconds.

        Raises the MadangError that the server or the way to it gave; ClientClosed when the client is, or gets, closed.
        """
        visit, stubs = self.visit, self._stubs()
        try:
            return await self._once(method, request, timeout)
        except ServerUnreachable as error:
            if not self.are_several or not await self.elsewhere(visit, error):
                raise
            if not type(request).__name__.startswith(_SAFE):
                raise
            again = self._same(method, stubs)
        return await self._once(again, request, timeout)

    async def _once(
        self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request, timeout: float
    ) -> Response:
        self._check_open()
        try:
            return await method(request, metadata=self._metadata, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self.target) from None
        except asyncio.CancelledError:
            raise self.cut_off() or asyncio.CancelledError from None

    async def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """Read a stream; it is cancelled when the caller stops. Raises like `call`, also when the server ends it."""
        call = method(request, metadata=self._metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self.target) from None
        except asyncio.CancelledError:
            raise self.cut_off() or asyncio.CancelledError from None
        finally:
            call.cancel()
        raise ServerUnreachable(target=self.target, problem="the server ended the stream")

    async def download(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """Read a stream that has an end. It is cancelled when the caller stops. Raises like `call`."""
        self._check_open()
        call = method(request, metadata=self._metadata)
        try:
            async for response in call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error, self.target) from None
        except asyncio.CancelledError:
            raise self.cut_off() or asyncio.CancelledError from None
        finally:
            call.cancel()

    def post(self) -> PostCall:
        """Open a Post stream; its errors are gRPC's, for the caller to turn."""
        return self.channel.Post(metadata=self._metadata)

    def cut_off(self) -> ServerUnreachable | None:
        """For who is told that a call was cancelled: what that means. None when it is the task that is to end.

        Else its channel was closed: the client has moved on, twice; or it is closed, and then this raises ClientClosed.
        """
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            return None
        self._check_open()
        return ServerUnreachable(target=self.target, problem=GONE_ELSEWHERE)

    async def close(self) -> None:
        """Close every connection; what waits for an answer raises ClientClosed."""
        self._closed = True
        await self._wires.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("the client is closed")

    def _use(self, target: str, endpoints: Endpoints) -> set[Wire]:
        """Make the stubs; to where."""
        hasty = self.are_several
        self.target, self._at, self._hasty = target, endpoints, hasty
        wires = [(each or target, hasty) for each in ("", endpoints.heartbeat, endpoints.lobby, endpoints.channel)]
        agent, heartbeat, lobby, channel = map(self._wires.to, wires)
        self.agent = agent_service_pb2_grpc.AgentServiceStub(agent)
        self.heartbeat = heartbeat_service_pb2_grpc.HeartbeatServiceStub(heartbeat)
        self.lobby = lobby_service_pb2_grpc.LobbyServiceStub(lobby)
        self.channel = channel_service_pb2_grpc.ChannelServiceStub(channel)
        return set(wires)

    def _stubs(self) -> tuple[object, ...]:
        return self.agent, self.heartbeat, self.lobby, self.channel

    def _same(self, method: T, stubs: Iterable[object]) -> T:
        """The method of one of these stubs, as the stub has it that stands in its place now."""
        for before, now in zip(stubs, self._stubs(), strict=True):
            for name, each in vars(before).items():
                if each is method:
                    found: T = getattr(now, name)
                    return found
        return method
