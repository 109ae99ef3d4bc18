"""How channels are made and changed. Runs inside the writer's transactions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from madang.core.errors import ChannelNameTaken
from madang.core.limits import Limits
from madang.core.models import Actor, Channel, ChannelKind, ChannelRole, Content, UserKind
from madang.core.policy import Action
from madang.core.text import fold
from madang.services import access, bounds, membership, posting
from madang.services.access import Place
from madang.storage import accounts, audit, directory, memberships
from madang.storage.database import Connection
from madang.storage.errors import NotUnique
from madang.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class ChannelUpdate:
    """What is to change in a channel; None: stays as it is. `slow_mode`: seconds, 0 for off."""

    name: str | None = None
    topic: str | None = None
    read_only: bool | None = None
    slow_mode: int | None = None
    guests: bool | None = None

    def named(self, name: str) -> ChannelUpdate:
        """The same with another name."""
        return replace(self, name=name)


def create(
    transaction: Transaction,
    limits: Limits | None,
    actor: Actor,
    name: str,
    topic: str,
    request_id: bytes | None,
    kind: ChannelKind,
) -> Channel:
    """Make a channel that the actor owns, with the actor in it.

    A repeat gets the channel that the first request made, whatever it is called by now. Raises ChannelNameTaken, also
    where the name is a private channel's: names are unique. LimitReached.
    """
    if request_id is not None:
        earlier = directory.get_by_request(transaction.connection, actor.user_id, request_id)
        if earlier is not None:
            return access.require(transaction.connection, actor, earlier.channel_id, Action.SEE).channel
    bounds.require_own(transaction, limits, actor.user_id)
    bounds.require_channels(transaction, limits, actor.user_id)
    try:
        channel = directory.create(transaction, name, topic, actor.user_id, request_id, kind)
    except NotUnique:
        raise ChannelNameTaken(name=name) from None
    audit.record(transaction, actor, "channel.create", channel_id=channel.channel_id, name=name, kind=kind.name.lower())
    membership.enter(transaction, channel, actor.user_id, ChannelRole.OWNER)
    return directory.get(transaction.connection, channel.channel_id) or channel


def update(transaction: Transaction, actor: Actor, channel_id: int, wanted: ChannelUpdate) -> Channel:
    """Change a channel, all of it or nothing; each change is a message of its own. Raises ChannelNameTaken, and what
    policy says.
    """
    place = access.require(transaction.connection, actor, channel_id, Action.SEE)
    channel = place.channel
    if wanted.name is not None:
        place.require(Action.RENAME)
        if wanted.name != channel.name:
            _rename(transaction, channel_id, wanted.name)
            _tell(transaction, actor, place, Content.RENAMED, wanted.name, name=wanted.name)
    if wanted.topic is not None:
        place.require(Action.SET_TOPIC)
        if wanted.topic != channel.topic:
            directory.update(transaction, channel_id, topic=wanted.topic)
            _tell(transaction, actor, place, Content.TOPIC_CHANGED, wanted.topic, topic="changed")
    for column, content, is_now, to in (
        ("read_only", Content.READ_ONLY_CHANGED, channel.read_only, wanted.read_only),
        ("slow_mode", Content.SLOW_MODE_CHANGED, channel.slow_mode, wanted.slow_mode),
        ("guests", Content.GUESTS_CHANGED, channel.guests, wanted.guests),
    ):
        if to is None:
            continue
        place.require(Action.SET_MODES)
        if to != is_now:
            directory.update(transaction, channel_id, **{column: to})
            _tell(transaction, actor, place, content, str(int(to)), **{column: int(to)})
    return directory.get(transaction.connection, channel_id) or channel


def set_archived(transaction: Transaction, actor: Actor, channel_id: int, archived: bool) -> Channel:
    """Archive a channel, or bring it back. Repeating it changes nothing. Raises what policy says."""
    place = access.require(transaction.connection, actor, channel_id, Action.ARCHIVE)
    if (place.channel.archived_at is not None) == archived:
        return place.channel
    audit.record(transaction, actor, "channel.archive" if archived else "channel.unarchive", channel_id=channel_id)
    return _archive(transaction, place.channel, actor.user_id, archived)


def retire(transaction: Transaction, channel_id: int) -> None:
    """Archive a channel in the name of the classic user who made it, when nobody is in it. Any other stays as it is."""
    channel = abandoned(transaction.connection, channel_id)
    if channel is not None:
        _archive(transaction, channel, channel.owner_id, archived=True)


def abandoned(connection: Connection, channel_id: int) -> Channel | None:
    """The channel, if a classic user made it, nobody is in it, and it is not archived; else None."""
    channel = directory.get(connection, channel_id)
    if channel is None or channel.archived_at is not None or channel.kind is ChannelKind.LOBBY:
        return None
    owner = accounts.user(connection, channel.owner_id)
    if owner is None or owner.kind is not UserKind.CLASSIC:
        return None
    return None if memberships.others_in(connection, channel_id, 0, ChannelRole.MEMBER) else channel


def _rename(transaction: Transaction, channel_id: int, name: str) -> None:
    try:
        directory.update(transaction, channel_id, name=name, name_key=fold(name))
    except NotUnique:
        raise ChannelNameTaken(name=name) from None


def _archive(transaction: Transaction, channel: Channel, author_id: int, archived: bool) -> Channel:
    directory.update(transaction, channel.channel_id, archived_at=transaction.now if archived else None)
    posting.record(transaction, channel, author_id, Content.ARCHIVED if archived else Content.UNARCHIVED)
    return directory.get(transaction.connection, channel.channel_id) or channel


def _tell(transaction: Transaction, actor: Actor, place: Place, content: Content, text: str, **details: Any) -> None:
    posting.record(transaction, place.channel, actor.user_id, content, text)
    audit.record(transaction, actor, "channel.update", channel_id=place.channel.channel_id, **details)
