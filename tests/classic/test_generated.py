"""A client that was generated from the contract just now, and knows nothing else of us."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from madang.node.embed import Server

from .people import Network, read

PROTO = Path(__file__).parents[2] / "proto" / "classic" / "client_to_agent.proto"

CLIENT = """
import sys
import grpc
import client_to_agent_pb2 as pb
import client_to_agent_pb2_grpc as rpc

agent_address = sys.argv[1]


class User:
    def __init__(self):
        reply = rpc.AgentStub(grpc.insecure_channel(agent_address)).TryLogin(pb.LoginRequest(ip="10.0.0.7"))
        self.index = reply.index
        self.me = pb.UserRequest(index=self.index)
        self.heartbeat = rpc.HeartbeatStub(grpc.insecure_channel(reply.heartbeat_ip))
        self.lobby = rpc.LobbyStub(grpc.insecure_channel(reply.lobby_ip))
        self.beats = self.heartbeat.TryHeartbeat(pb.HeartbeatRequest(index=self.index))
        next(self.beats)
        self.chat = self.lobby.TryChatReceive(pb.Chat(index=self.index))
        self.status = self.lobby.TryStatusRequest(self.me)
        self.chat.initial_metadata()
        self.status.initial_metadata()

    def command(self, status, channel=None):
        return self.lobby.TryCommand(pb.CommandRequest(status=status, index=self.index, channel=channel))

    def enter(self, address):
        self.channel = rpc.ChannelStub(grpc.insecure_channel(address))
        self.channel_status = self.channel.TryStatusRequest(self.me)
        first = next(self.channel_status)
        assert (first.status, first.index) == (pb.StatusReply.JOIN_USER, self.index), first
        self.channel_chat = self.channel.TryChatReceive(pb.Chat(index=self.index))
        self.channel_chat.initial_metadata()
        return first.channel


anna, bela = User(), User()
assert anna.index < bela.index
assert anna.heartbeat.TryUserLives(bela.me).status == pb.UserLivesReply.LIVE
assert anna.heartbeat.TryUserLives(pb.UserRequest(index=999)).status == pb.UserLivesReply.UNKNOWN
came = next(s for s in anna.status if s.index == bela.index)
assert came.status == pb.StatusReply.JOIN_USER and not came.HasField("channel")

anna.lobby.TryChatSend(pb.Chat(index=anna.index, text="hello, all"))
heard = next(bela.chat)
assert (heard.index, heard.text) == (anna.index, "hello, all")

made = anna.command(pb.CommandRequest.MAKE_CHANNEL)
assert made.status == pb.CommandReply.SUCCESS and made.HasField("address")
(channel,) = made.channels
assert anna.enter(made.address) == channel
assert list(bela.command(pb.CommandRequest.LIST_CHANNELS).channels) == [channel]
refused = bela.command(pb.CommandRequest.JOIN_CHANNEL, channel + 1)
assert refused.status == pb.CommandReply.FAILURE and not refused.HasField("address")
joined = bela.command(pb.CommandRequest.JOIN_CHANNEL, channel)
assert joined.address == made.address
bela.enter(joined.address)
came = next(anna.channel_status)
assert (came.status, came.index, came.channel) == (pb.StatusReply.JOIN_USER, bela.index, channel)
listed = bela.command(pb.CommandRequest.LIST_USERS)
assert dict(zip(listed.users, listed.channels)) == {anna.index: channel, bela.index: channel}

bela.channel.TryChatSend(pb.Chat(index=bela.index, text="hello, anna"))
heard = next(anna.channel_chat)
assert (heard.index, heard.text) == (bela.index, "hello, anna")

bela.channel.TryUserRemove(bela.me)
went = next(anna.channel_status)
assert (went.status, went.index, went.channel) == (pb.StatusReply.LEAVE_USER, bela.index, channel)
assert anna.command(pb.CommandRequest.LEAVE_CHANNEL, channel).status == pb.CommandReply.SUCCESS
assert list(bela.command(pb.CommandRequest.LIST_CHANNELS).channels) == []
assert bela.lobby.TryUserExit(bela.me).status == pb.StatusReply.OK
bela.lobby.TryUserRemove(bela.me)
assert next(s for s in anna.status if s.status == pb.StatusReply.LEAVE_USER).index == bela.index
assert anna.command(pb.CommandRequest.LIST_USERS).users == [anna.index]
anna.lobby.TryUserRemove(anna.me)
print("everything as the contract says")
"""


async def test_a_client_generated_from_the_contract_works_unchanged(server: Server, tmp_path: Path) -> None:
    options = [f"-I{PROTO.parent}", f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}", PROTO.name]
    assert await _run("-m", "grpc_tools.protoc", *options, at=tmp_path) == ""
    (tmp_path / "client.py").write_text(CLIENT)
    assert await _run("client.py", server.target, at=tmp_path) == "everything as the contract says\n"


async def _run(*arguments: str, at: Path) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=at,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_generic_tools_find_the_contract(server: Server, net: Network) -> None:
    """Reflection and health know the classic services too."""
    channel = net.connect(server.target)
    stub: Any = ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([ServerReflectionRequest(list_services="")]))
    names = {service.name for service in (await read(call)).list_services_response.service}
    assert {"Agent", "Heartbeat", "Lobby", "madang.v1.AgentService"} <= names
    health: Any = HealthStub(channel)
    reply = await health.Check(HealthCheckRequest(service="Lobby"))
    assert reply.status == HealthCheckResponse.SERVING
