"""Clients of both contracts, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from parts import ports

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import AgentStub, ChannelStub, HeartbeatStub, LobbyStub
from madang.node.settings import PortRange
from madang.v1 import agent_service_pb2, channel_service_pb2, heartbeat_service_pb2, lobby_service_pb2, resources_pb2
from madang.v1.agent_service_pb2_grpc import AgentServiceStub
from madang.v1.channel_service_pb2_grpc import ChannelServiceStub
from madang.v1.heartbeat_service_pb2_grpc import HeartbeatServiceStub
from madang.v1.lobby_service_pb2_grpc import LobbyServiceStub

PATIENCE = 10.0
"""Seconds in which whatever is waited for has to happen."""

Call: TypeAlias = Any
"""A server stream of grpc.aio, whose stubs have no useful types here."""

request = pb.CommandRequest


def free_ports(count: int) -> PortRange:
    """Ports for the channels of a server."""
    found = ports.free_ports(count)
    return PortRange(found[0], found[-1])


async def read(call: Call) -> Any:
    """The next message of a stream."""
    return await asyncio.wait_for(call.read(), PATIENCE)


async def opened(call: Call) -> Call:
    """The stream, as soon as the server serves it: nothing is missed from here on."""
    await asyncio.wait_for(call.initial_metadata(), PATIENCE)
    return call


async def quiet(call: Call, fence: Callable[[], Awaitable[Any]], expected: Any) -> None:
    """The stream tells nothing before what the fence does."""
    await fence()
    assert await read(call) == expected


async def until(call: Call, expected: Any) -> None:
    """Wait until the stream tells this, whatever it tells before."""
    while await read(call) != expected:
        pass


async def ended(call: Call) -> grpc.StatusCode:
    """How a stream ends, whatever it says before."""
    try:
        while await read(call) is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    code: grpc.StatusCode = await call.code()
    return code


@contextmanager
def refused(code: grpc.StatusCode, reason: str) -> Iterator[None]:
    """What is done within is refused with this status and our reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert caught.value.code() is code, caught.value.details()
    assert reason_of(caught.value) == reason


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Our reason in an error."""
    status = rpc_status.from_call(error)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


class Network:
    """Connections, kept until the test is over."""

    def __init__(self) -> None:
        self._channels: list[grpc.aio.Channel] = []

    def connect(self, target: str) -> grpc.aio.Channel:
        """A connection of its own to an address."""
        channel = grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
        self._channels.append(channel)
        return channel

    async def close(self) -> None:
        """Close them all."""
        for channel in self._channels:
            await channel.close()

    async def login(self, target: str) -> Classic:
        """A classic user that found its way from the Agent's address alone."""
        reply = await AgentStub(self.connect(target)).TryLogin(pb.LoginRequest(ip="192.0.2.1"))
        return Classic(self, reply)

    async def sign_in(self, target: str, handle: str) -> Madang:
        """A Madang user."""
        channel = self.connect(target)
        credential = agent_service_pb2.GuestCredential(handle=handle)
        reply = await AgentServiceStub(channel).SignIn(agent_service_pb2.SignInRequest(guest=credential))
        return Madang(channel, reply)


class Classic:
    """A user of the classic contract."""

    def __init__(self, network: Network, reply: pb.LoginReply) -> None:
        self.network = network
        self.reply = reply
        self.index = reply.index
        self.me = pb.UserRequest(index=reply.index)
        lobby = network.connect(reply.lobby_ip)
        same = reply.heartbeat_ip == reply.lobby_ip
        self.heartbeat: Any = HeartbeatStub(lobby if same else network.connect(reply.heartbeat_ip))
        self.lobby: Any = LobbyStub(lobby)

    def room(self, address: str) -> Room:
        """A channel at its address."""
        return Room(self, address)

    async def begin_heartbeat(self) -> Call:
        """A heartbeat stream that is up."""
        call = self.heartbeat.TryHeartbeat(pb.HeartbeatRequest(index=self.index))
        await read(call)
        return call

    async def say(self, text: str) -> None:
        """Write in the lobby."""
        await self.lobby.TryChatSend(pb.Chat(index=self.index, text=text))

    async def hear(self) -> Call:
        """The stream of the lobby's chat."""
        return await opened(self.lobby.TryChatReceive(pb.Chat(index=self.index)))

    async def watch(self) -> Call:
        """The stream of the lobby's status."""
        return await opened(self.lobby.TryStatusRequest(self.me))

    async def lives(self, index: int = 0) -> bool:
        """Whether somebody lives."""
        reply = await self.heartbeat.TryUserLives(pb.UserRequest(index=index or self.index))
        return bool(reply.status == pb.UserLivesReply.LIVE)

    async def command(self, status: Any, channel: int | None = None) -> pb.CommandReply:
        """Run a command."""
        reply = await self.lobby.TryCommand(pb.CommandRequest(status=status, index=self.index, channel=channel))
        assert isinstance(reply, pb.CommandReply)
        return reply

    async def make(self) -> Room:
        """A new channel."""
        reply = await self.command(request.MAKE_CHANNEL)
        assert reply.status == pb.CommandReply.SUCCESS
        return Room(self, reply.address, reply.channels[0])

    async def join(self, channel: int) -> Room:
        """A channel that is there."""
        reply = await self.command(request.JOIN_CHANNEL, channel)
        assert reply.status == pb.CommandReply.SUCCESS
        return Room(self, reply.address, channel)

    async def channels(self) -> list[int]:
        """All channels."""
        return list((await self.command(request.LIST_CHANNELS)).channels)

    async def users(self, channel: int | None = None) -> list[tuple[int, int]]:
        """Everyone who is here, with their channels."""
        reply = await self.command(request.LIST_USERS, channel)
        assert reply.status == pb.CommandReply.SUCCESS
        return list(zip(reply.users, reply.channels, strict=True))

    async def goodbye(self) -> None:
        """Leave for good."""
        await self.lobby.TryUserRemove(self.me)


class Room:
    """A classic user in a channel."""

    def __init__(self, user: Classic, address: str, channel: int = 0) -> None:
        self.user = user
        self.address = address
        self.channel = channel
        self.stub: Any = ChannelStub(user.network.connect(address))

    async def say(self, text: str) -> None:
        """Write in the channel."""
        await self.stub.TryChatSend(pb.Chat(index=self.user.index, text=text))

    async def hear(self) -> Call:
        """The stream of the channel's chat."""
        return await opened(self.stub.TryChatReceive(pb.Chat(index=self.user.index)))

    async def watch(self) -> Call:
        """The stream of the channel's status, which joins the user in; what it begins with was read."""
        call = await opened(self.stub.TryStatusRequest(self.user.me))
        assert await read(call) == joined(self.user.index, self.channel)
        return call

    async def leave(self) -> None:
        """Leave the channel."""
        await self.stub.TryUserRemove(self.user.me)


class Madang:
    """A user of our own contract."""

    def __init__(self, channel: grpc.aio.Channel, reply: agent_service_pb2.SignInResponse) -> None:
        self.user_id = reply.user.user_id
        self.metadata = (("authorization", f"Bearer {reply.token}"),)
        self.lobby: Any = LobbyServiceStub(channel)
        self.channel: Any = ChannelServiceStub(channel)
        self.heartbeat: Any = HeartbeatServiceStub(channel)

    async def user(self, user_id: int) -> resources_pb2.User:
        """Somebody's account."""
        request_ = lobby_service_pb2.GetUserRequest(user_id=user_id)
        reply: lobby_service_pb2.GetUserResponse = await self.lobby.GetUser(request_, metadata=self.metadata)
        return reply.user

    async def make(self, name: str) -> int:
        """A new channel; its id."""
        created = await self.lobby.CreateChannel(
            lobby_service_pb2.CreateChannelRequest(name=name), metadata=self.metadata
        )
        return int(created.channel.channel_id)

    async def join(self, channel: int) -> None:
        """Join a channel."""
        await self.lobby.JoinChannel(lobby_service_pb2.JoinChannelRequest(channel_id=channel), metadata=self.metadata)

    async def leave(self, channel: int) -> None:
        """Leave a channel."""
        await self.lobby.LeaveChannel(lobby_service_pb2.LeaveChannelRequest(channel_id=channel), metadata=self.metadata)

    async def archive(self, channel: int) -> None:
        """Archive a channel."""
        await self.lobby.ArchiveChannel(
            lobby_service_pb2.ArchiveChannelRequest(channel_id=channel), metadata=self.metadata
        )

    async def send(self, channel: int, text: str) -> None:
        """Write in a channel."""
        await self.channel.Send(channel_service_pb2.SendRequest(channel_id=channel, text=text), metadata=self.metadata)

    async def subscribe(self) -> Call:
        """The live stream; what it begins with was read."""
        call = self.channel.Subscribe(channel_service_pb2.SubscribeRequest(), metadata=self.metadata)
        await read(call)
        return call

    async def watch_presence(self) -> Call:
        """The stream of presence; what it begins with was read."""
        call = self.heartbeat.WatchPresence(heartbeat_service_pb2.WatchPresenceRequest(), metadata=self.metadata)
        await read(call)
        return call

    async def history(self, channel: int) -> list[str]:
        """The texts of a channel, oldest first."""
        reply = await self.channel.ListMessages(
            channel_service_pb2.ListMessagesRequest(channel_id=channel, page_size=500), metadata=self.metadata
        )
        return [message.text for message in reversed(reply.messages) if message.text]

    async def texts(self, call: Call, count: int = 1) -> list[tuple[int, str]]:
        """The next texts of a live stream, with their authors."""
        found: list[tuple[int, str]] = []
        while len(found) < count:
            response = await read(call)
            found += [(m.author_id, m.text) for batch in response.batches for m in batch.messages if m.text]
        return found


def chat(index: int, text: str) -> pb.Chat:
    """What a stream tells of a text."""
    return pb.Chat(index=index, text=text)


def joined(index: int, channel: int | None = None) -> pb.StatusReply:
    """What a stream tells of somebody who came."""
    return pb.StatusReply(status=pb.StatusReply.JOIN_USER, index=index, channel=channel)


def left(index: int, channel: int | None = None) -> pb.StatusReply:
    """What a stream tells of somebody who went."""
    return pb.StatusReply(status=pb.StatusReply.LEAVE_USER, index=index, channel=channel)


@asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """Connections that are closed at the end."""
    connections = Network()
    try:
        yield connections
    finally:
        await connections.close()
