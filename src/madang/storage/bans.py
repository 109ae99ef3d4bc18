"""SQL of the bans from channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from madang.core.models import Ban, User
from madang.storage import accounts
from madang.storage.schema import bans, users
from madang.storage.transaction import Transaction

_BAN = (
    bans.c.channel_id,
    bans.c.user_id,
    bans.c.moderator_id,
    bans.c.reason,
    bans.c.created_at,
    bans.c.expires_at,
)


def put(transaction: Transaction, ban: Ban) -> None:
    """Insert a ban, in place of the one that there may be of this user."""
    lift(transaction, ban.channel_id, ban.user_id)
    values = (ban.channel_id, ban.user_id, ban.moderator_id, ban.reason, ban.created_at, ban.expires_at)
    row = {column.name: value for column, value in zip(_BAN, values, strict=True)}
    transaction.connection.execute(sa.insert(bans).values(row))


def lift(transaction: Transaction, channel_id: int, user_id: int) -> bool:
    """Delete a ban; says whether there was one."""
    query = sa.delete(bans).where(bans.c.channel_id == channel_id, bans.c.user_id == user_id)
    return transaction.connection.execute(query).rowcount > 0


def in_force(connection: sa.Connection, channel_id: int, user_id: int, now: int) -> Ban | None:
    """The ban that keeps the user out at this time, microseconds; None when it may come in."""
    query = sa.select(*_BAN).where(bans.c.channel_id == channel_id, bans.c.user_id == user_id, _holds(now))
    row = connection.execute(query).one_or_none()
    return None if row is None else _ban(row)


def page(connection: sa.Connection, channel_id: int, now: int, after: int, size: int) -> list[tuple[Ban, User]]:
    """Bans of a channel that are in force, of users with an id beyond `after`, by user_id."""
    query = (
        sa.select(*_BAN, *accounts.USER)
        .join(users, users.c.user_id == bans.c.user_id)
        .where(bans.c.channel_id == channel_id, bans.c.user_id > after, _holds(now))
        .order_by(bans.c.user_id)
        .limit(size)
    )
    width = len(_BAN)
    return [(_ban(row[:width]), accounts.user_of(row[width:])) for row in connection.execute(query)]


def _holds(now: int) -> sa.ColumnElement[bool]:
    return sa.or_(bans.c.expires_at.is_(None), bans.c.expires_at > now)


def _ban(row: Sequence[Any]) -> Ban:
    return Ban(*row)
