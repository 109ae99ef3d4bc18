"""Events as bytes, for the way from node to node; and on which subject each kind travels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from madang.bus.v1 import event_pb2 as pb
from madang.core import events
from madang.core.claims import Claim
from madang.core.events import BusEvent
from madang.wire.people import SERVER_ROLES, STATUSES, user_from_pb, user_to_pb

ALL = "all"
"""The subject of what every node has to know."""
PRESENCE = "presence"
"""The subject of who comes and goes."""
CHANNEL = "channel."
"""Followed by its id: the subject of what concerns one channel alone."""


class NotAnEvent(Exception):
    """These bytes are no event of this protocol."""


class Parcel(NamedTuple):
    """An event on its way: the subject, below the cluster's, and the bytes."""

    subject: str
    data: bytes


def encode(event: BusEvent) -> Parcel | None:
    """The event as it travels; None for one that concerns this node alone."""
    found = _ENCODERS.get(type(event))
    return None if found is None else found(event)


def decode(data: bytes) -> BusEvent | None:
    """The event in the bytes; None for a kind that is not known here. Raises NotAnEvent."""
    try:
        message = pb.Event.FromString(data)
    except DecodeError as error:
        raise NotAnEvent(str(error)) from error
    kind = message.WhichOneof("kind")
    if kind is None:
        return None
    try:
        event = _DECODERS[kind](getattr(message, kind))
    except (KeyError, ValueError) as error:  # a value that does not exist here
        raise NotAnEvent(f"{kind}: {error!r}") from error
    if message.trace and isinstance(event, events.ChannelChanged):
        return replace(event, trace=message.trace)
    return event


def claim_to_pb(claim: Claim) -> pb.Claim:
    """What a node says of a user."""
    return pb.Claim(
        user_id=claim.user_id,
        here=claim.here,
        seen_at=claim.seen_at,
        wanted=STATUSES.contract(claim.wanted),
        wanted_at=claim.wanted_at,
    )


def claim_from_pb(message: pb.Claim) -> Claim:
    """What a node says of a user."""
    return Claim(message.user_id, message.here, message.seen_at, STATUSES.core(message.wanted), message.wanted_at)


def _of_channel(event: Any, message: pb.Event) -> Parcel:
    return Parcel(f"{CHANNEL}{event.channel_id}", message.SerializeToString())


def _for_all(message: pb.Event) -> Parcel:
    return Parcel(ALL, message.SerializeToString())


def _channel_changed(event: events.ChannelChanged) -> Parcel:
    changed = pb.ChannelChanged(
        channel_id=event.channel_id, after=event.after, through=event.through, segment=event.segment
    )
    return _of_channel(event, pb.Event(channel_changed=changed, trace=event.trace))


def _head_known(event: events.HeadKnown) -> Parcel:
    return _of_channel(event, pb.Event(head_known=pb.HeadKnown(channel_id=event.channel_id, sequence=event.sequence)))


def _texts_erased(event: events.TextsErased) -> Parcel:
    return _of_channel(event, pb.Event(texts_erased=pb.TextsErased(channel_id=event.channel_id)))


def _typing_started(event: events.TypingStarted) -> Parcel:
    started = pb.TypingStarted(channel_id=event.channel_id, user_id=event.user_id)
    return _of_channel(event, pb.Event(typing_started=started))


def _membership_changed(event: events.MembershipChanged) -> Parcel:
    changed = pb.MembershipChanged(
        channel_id=event.channel_id, user_id=event.user_id, joined=event.joined, position=event.position
    )
    return _for_all(pb.Event(membership_changed=changed))


def _session_ended(event: events.SessionEnded) -> Parcel:
    return _for_all(pb.Event(session_ended=pb.SessionEnded(session_id=event.session_id, user_id=event.user_id)))


def _read_mark_moved(event: events.ReadMarkMoved) -> Parcel:
    moved = pb.ReadMarkMoved(channel_id=event.channel_id, user_id=event.user_id, read_through=event.read_through)
    return _for_all(pb.Event(read_mark_moved=moved))


def _user_changed(event: events.UserChanged) -> Parcel:
    return _for_all(pb.Event(user_changed=pb.UserChanged(user=user_to_pb(event.user))))


def _server_role_changed(event: events.ServerRoleChanged) -> Parcel:
    changed = pb.ServerRoleChanged(user_id=event.user_id, role=SERVER_ROLES.contract(event.role))
    return _for_all(pb.Event(server_role_changed=changed))


def _bot_limits_changed(event: events.BotLimitsChanged) -> Parcel:
    changed = pb.BotLimitsChanged(
        user_id=event.user_id, messages_per_second=event.messages_per_second, burst=event.burst
    )
    return _for_all(pb.Event(bot_limits_changed=changed))


def _news_lost(_: events.NewsLost) -> Parcel:
    return _for_all(pb.Event(news_lost=pb.NewsLost()))


def _claims_changed(event: events.ClaimsChanged) -> Parcel:
    changed = pb.ClaimsChanged(
        node_id=event.node_id, after=event.after, version=event.version, claims=map(claim_to_pb, event.claims)
    )
    return Parcel(PRESENCE, pb.Event(claims_changed=changed).SerializeToString())


_ENCODERS: dict[type[Any], Callable[[Any], Parcel]] = {
    events.ChannelChanged: _channel_changed,
    events.HeadKnown: _head_known,
    events.TextsErased: _texts_erased,
    events.TypingStarted: _typing_started,
    events.MembershipChanged: _membership_changed,
    events.SessionEnded: _session_ended,
    events.ReadMarkMoved: _read_mark_moved,
    events.UserChanged: _user_changed,
    events.ServerRoleChanged: _server_role_changed,
    events.BotLimitsChanged: _bot_limits_changed,
    events.NewsLost: _news_lost,
    events.ClaimsChanged: _claims_changed,
}

_DECODERS: dict[str, Callable[[Any], BusEvent]] = {
    "channel_changed": lambda m: events.ChannelChanged(m.channel_id, m.after, m.through, m.segment),
    "head_known": lambda m: events.HeadKnown(m.channel_id, m.sequence),
    "texts_erased": lambda m: events.TextsErased(m.channel_id),
    "typing_started": lambda m: events.TypingStarted(m.channel_id, m.user_id),
    "membership_changed": lambda m: events.MembershipChanged(m.channel_id, m.user_id, m.joined, m.position),
    "session_ended": lambda m: events.SessionEnded(m.session_id, m.user_id),
    "read_mark_moved": lambda m: events.ReadMarkMoved(m.channel_id, m.user_id, m.read_through),
    "user_changed": lambda m: events.UserChanged(user_from_pb(m.user)),
    "server_role_changed": lambda m: events.ServerRoleChanged(m.user_id, SERVER_ROLES.core(m.role)),
    "bot_limits_changed": lambda m: events.BotLimitsChanged(m.user_id, m.messages_per_second, m.burst),
    "news_lost": lambda m: events.NewsLost(),
    "claims_changed": lambda m: events.ClaimsChanged(
        m.node_id, m.after, m.version, tuple(map(claim_from_pb, m.claims))
    ),
}
