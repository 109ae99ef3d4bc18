"""Memberships as a caller may see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from madang.core.models import Channel, Member
from madang.rpc.interceptor import caller
from madang.v1 import lobby_service_pb2 as pb
from madang.v1 import resources_pb2
from madang.wire.channels import channel_to_pb, member_to_pb


def shown(member: Member) -> resources_pb2.Member:
    """A membership as others see it: how far somebody has read is nobody else's business."""
    mine = member.user_id == caller().user_id
    return member_to_pb(member if mine else replace(member, read_through=0))


def maybe_member(member: Member | None) -> resources_pb2.Member | None:
    """The caller's own membership, if there is one."""
    return None if member is None else member_to_pb(member)


def entries(found: Sequence[tuple[Channel, Member | None]]) -> list[pb.ChannelEntry]:
    """Channels with the caller's own memberships."""
    return [pb.ChannelEntry(channel=channel_to_pb(channel), self=maybe_member(member)) for channel, member in found]
