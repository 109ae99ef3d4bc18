"""Lists of channels and people as aligned lines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from madang.core.models import LOBBY_ID, Channel, Member, User
from madang.core.presence import Presence, Status
from madang.terminal.lines import local, table

_STATUSES = {Status.ONLINE: "here", Status.AWAY: "away", Status.DO_NOT_DISTURB: "do not disturb", Status.OFFLINE: ""}


def channel_lines(channels: Iterable[tuple[Channel, Member | None]], current_id: int = 0) -> list[str]:
    """Channels: name, whether the user is in it, topic."""
    return table([(f"#{c.name}", _place(c, member, current_id), c.topic) for c, member in channels])


def user_lines(people: Iterable[tuple[User, Presence | None]], me: int, shared: Mapping[int, list[str]]) -> list[str]:
    """People: handle, presence, and which of the user's channels they are in (`shared`, names by user_id)."""
    return table(
        [
            (_handle(user, me), status_text(presence), " ".join(f"#{name}" for name in shared.get(user.user_id, [])))
            for user, presence in people
        ]
    )


def status_text(presence: Presence | None) -> str:
    """A presence in a word or two; when the user was last seen where it is not here."""
    if presence is None:
        return "not here"
    if presence.status is Status.OFFLINE:
        return f"last here {local(presence.seen_at):%Y-%m-%d %H:%M}" if presence.seen_at else "not here"
    return _STATUSES[presence.status]


def is_here(presence: Presence | None) -> bool:
    """Whether somebody is here."""
    return presence is not None and presence.status is not Status.OFFLINE


def _handle(user: User, me: int) -> str:
    return f"{user.handle} (you)" if user.user_id == me else user.handle


def _place(channel: Channel, member: Member | None, current_id: int) -> str:
    if channel.archived_at is not None:
        return "archived"
    if channel.channel_id == current_id:
        return "you talk here"
    return "joined" if member is not None or channel.channel_id == LOBBY_ID else ""
