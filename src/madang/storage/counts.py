"""How many there are of what a server keeps only so many of: SQL for `madang.services.bounds`."""

from __future__ import annotations

import sqlalchemy as sa

from madang.core.models import ChannelKind
from madang.storage.schema import channels, codes, members, sessions, users


def members_of(connection: sa.Connection, channel_id: int) -> int:
    """Members of a channel."""
    return _count(connection, members, members.c.channel_id == channel_id, members.c.joined_at.is_not(None))


def channels_joined(connection: sa.Connection, user_id: int) -> int:
    """Channels that a user is in; the lobby and direct ones are not counted."""
    return _count(connection, _joined(user_id), channels.c.kind != ChannelKind.DIRECT.value)


def direct_channels(connection: sa.Connection, user_id: int) -> int:
    """Direct channels that a user is in."""
    return _count(connection, _joined(user_id), channels.c.kind == ChannelKind.DIRECT.value)


def channels_owned(connection: sa.Connection, user_id: int) -> int:
    """Channels that a user owns, archived ones too; direct ones are not counted."""
    return _count(connection, channels, channels.c.owner_id == user_id, channels.c.kind != ChannelKind.DIRECT.value)


def invites_of(connection: sa.Connection, creator_id: int, now: int) -> int:
    """Invites that a user has made and that are good; `now` in microseconds."""
    return _count(
        connection,
        codes,
        codes.c.creator_id == creator_id,
        codes.c.user_id.is_(None),
        codes.c.revoked_at.is_(None),
        codes.c.expires_at > now,
        codes.c.uses < codes.c.max_uses,
    )


def bots_of(connection: sa.Connection, owner_id: int) -> int:
    """Bots of a person."""
    return _count(connection, users, users.c.owner_id == owner_id, users.c.deleted_at.is_(None))


def sessions_of(connection: sa.Connection, user_id: int, now: int) -> int:
    """Sessions of a user, or tokens of a bot, that are good; `now` in microseconds."""
    lasts = sa.or_(sessions.c.expires_at == 0, sessions.c.expires_at > now)
    return _count(connection, sessions, sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), lasts)


def sessions_by_use(connection: sa.Connection, user_id: int, now: int) -> list[int]:
    """The ids of a user's sessions that are good, the one that was used last first; `now` in microseconds."""
    query = (
        sa.select(sessions.c.session_id)
        .where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), sessions.c.expires_at > now)
        .order_by(sessions.c.used_at.desc(), sessions.c.session_id.desc())
    )
    return list(connection.execute(query).scalars())


def _joined(user_id: int) -> sa.FromClause:
    inside = sa.and_(
        members.c.channel_id == channels.c.channel_id, members.c.user_id == user_id, members.c.joined_at.is_not(None)
    )
    return channels.join(members, inside)


def _count(connection: sa.Connection, source: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(source).where(*conditions)
    return int(connection.execute(query).scalar_one())
