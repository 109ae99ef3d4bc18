"""Events as they travel: what is decoded is what was meant, and on which subject it goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from madang.bus.encoding import NotAnEvent, decode, encode
from madang.bus.v1 import event_pb2 as pb
from madang.core import events
from madang.core.events import BusEvent
from madang.core.presence import Presence, Status

from .test_bus import CHANNEL, FOR_ALL, OF_CHANNEL

CHANGED = events.ChannelChanged(CHANNEL, 4, 6, b"segment")


@pytest.mark.parametrize("event", OF_CHANNEL + FOR_ALL, ids=lambda event: type(event).__name__)
def test_there_and_back(event: BusEvent) -> None:
    parcel = encode(event)
    assert parcel is not None
    assert decode(parcel.data) == event


def test_subjects() -> None:
    """Other versions listen there, and operators write them into the rights of NATS users."""
    assert {parcel.subject for event in OF_CHANNEL if (parcel := encode(event))} == {f"channel.{CHANNEL}"}
    subjects = {type(event).__name__: parcel.subject for event in FOR_ALL if (parcel := encode(event))}
    assert {name for name, subject in subjects.items() if subject == "presence"} == {"ClaimsChanged"}
    assert {subject for name, subject in subjects.items() if name != "ClaimsChanged"} == {"all"}


def test_what_concerns_this_node_alone_does_not_travel() -> None:
    assert encode(events.PresenceChanged((Presence(1, Status.ONLINE, 5),))) is None


def test_a_trace_goes_along_with_a_change() -> None:
    traced = replace(CHANGED, trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    parcel = encode(traced)
    assert parcel is not None
    assert decode(parcel.data) == traced
    assert traced != CHANGED
    other = pb.Event(news_lost=pb.NewsLost(), trace="of no use there")
    assert decode(other.SerializeToString()) == events.NewsLost()


def test_a_kind_of_a_later_version_is_nothing() -> None:
    assert decode(b"") is None
    assert decode(bytes([(100 << 3 | 2) & 0x7F | 0x80, (100 << 3 | 2) >> 7, 0])) is None, "field 100, empty"


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 8,
        pb.Event(server_role_changed=pb.ServerRoleChanged(user_id=1, role=99)).SerializeToString(),  # type: ignore[arg-type]
        pb.Event(claims_changed=pb.ClaimsChanged(claims=[pb.Claim(user_id=1, wanted=99)])).SerializeToString(),  # type: ignore[arg-type]
    ],
)
def test_garbage(data: bytes) -> None:
    with pytest.raises(NotAnEvent):
        decode(data)
