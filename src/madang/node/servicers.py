"""The servicers of `madang.v1`, put on listeners."""

from __future__ import annotations

from dataclasses import dataclass

from madang.node.listeners import Listener
from madang.rpc.agent import AgentServicer, ServerFacts
from madang.rpc.channel import ChannelServicer
from madang.rpc.counting import CallCounts
from madang.rpc.heartbeat import HeartbeatServicer
from madang.rpc.lobby import LobbyServicer
from madang.rpc.validation import Contract
from madang.services.channel import ChannelService
from madang.services.front import Front
from madang.services.guide import Guide
from madang.services.heartbeat import HeartbeatService
from madang.services.limits import Limiter
from madang.services.lobby import LobbyService
from madang.services.moderation import ModerationService
from madang.services.reports import ReportService
from madang.services.streams import Streams
from madang.v1.agent_service_pb2_grpc import add_AgentServiceServicer_to_server
from madang.v1.channel_service_pb2_grpc import add_ChannelServiceServicer_to_server
from madang.v1.heartbeat_service_pb2_grpc import add_HeartbeatServiceServicer_to_server
from madang.v1.lobby_service_pb2_grpc import add_LobbyServiceServicer_to_server


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the servicers. A node has all of it, whatever it serves."""

    facts: ServerFacts
    guide: Guide
    front: Front
    heartbeat: HeartbeatService
    lobby: LobbyService
    moderation: ModerationService
    reports: ReportService
    channel: ChannelService
    streams: Streams
    limiter: Limiter
    contract: Contract
    counts: CallCounts


def add(name: str, listener: Listener, behind: Behind) -> None:
    """Serve "agent", "heartbeat", "lobby" or "channel" at a listener."""
    match name:
        case "agent":
            agent = AgentServicer(behind.front, behind.facts, behind.guide, behind.streams)
            add_AgentServiceServicer_to_server(agent, listener.grpc)
            listener.serves("madang.v1.AgentService")
        case "heartbeat":
            heartbeat = HeartbeatServicer(behind.heartbeat, behind.streams)
            add_HeartbeatServiceServicer_to_server(heartbeat, listener.grpc)
            listener.serves("madang.v1.HeartbeatService")
        case "lobby":
            lobby = LobbyServicer(behind.lobby, behind.moderation, behind.reports)
            add_LobbyServiceServicer_to_server(lobby, listener.grpc)
            listener.serves("madang.v1.LobbyService")
        case "channel":
            channel = ChannelServicer(
                behind.channel, behind.heartbeat, behind.streams, behind.contract, behind.limiter, behind.counts
            )
            add_ChannelServiceServicer_to_server(channel, listener.grpc)
            listener.serves("madang.v1.ChannelService")
