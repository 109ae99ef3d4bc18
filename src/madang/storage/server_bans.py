"""SQL of bans from the server: rows of `bans` without a channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from madang.core.models import Ban, User
from madang.storage.bulk import select_in
from madang.storage.schema import bans, users
from madang.storage.transaction import Transaction

SERVER = 0
BAN = (
    bans.c.channel_id,
    bans.c.user_id,
    bans.c.moderator_id,
    bans.c.reason,
    bans.c.created_at,
    bans.c.expires_at,
)


_SHUT_OUT = (
    sa.select(users.c.user_id, users.c.deleted_at, *BAN)
    .select_from(
        users.outerjoin(
            bans,
            sa.and_(
                bans.c.channel_id == sa.literal_column(str(SERVER)),
                bans.c.user_id.in_((users.c.user_id, users.c.owner_id)),
            ),
        )
    )
    .where(
        users.c.user_id.in_(sa.bindparam("user_ids", expanding=True)),
        sa.or_(users.c.deleted_at.is_not(None), bans.c.user_id.is_not(None)),
    )
)
ANY_SHUT_OUT = sa.exists(_SHUT_OUT)
"""Whether it is worth it to ask `shut_out` of the users in the parameter `user_ids`: mostly it is not."""


def holds(users: sa.Table, now: int) -> tuple[sa.Table, sa.ColumnElement[bool]]:
    """What to join for the ban that shuts a user out now: its own, or that of the person who owns the bot."""
    return bans, sa.and_(
        bans.c.channel_id == SERVER,
        bans.c.user_id.in_((users.c.user_id, users.c.owner_id)),
        sa.or_(bans.c.expires_at.is_(None), bans.c.expires_at > now),
    )


def active(connection: sa.Connection, user_id: int, now: int) -> Ban | None:
    """The ban that shuts a user out now; None when there is none."""
    query = sa.select(*BAN).where(
        bans.c.channel_id == SERVER,
        bans.c.user_id == user_id,
        sa.or_(bans.c.expires_at.is_(None), bans.c.expires_at > now),
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else ban_of(row)


def banned_since(connection: sa.Connection, earliest: int, now: int) -> list[int]:
    """Who was banned at that time or later, and still is."""
    query = sa.select(bans.c.user_id).where(
        bans.c.channel_id == SERVER,
        bans.c.created_at >= earliest,
        sa.or_(bans.c.expires_at.is_(None), bans.c.expires_at > now),
    )
    return list(connection.execute(query).scalars())


def shut_out(connection: sa.Connection, user_ids: Collection[int], now: int) -> dict[int, Ban | None]:
    """Those of the users who may do nothing here any more: banned, or bots of somebody who is, and the ban; or deleted,
    and None.
    """
    found: dict[int, Ban | None] = {}
    for user_id, deleted_at, *row in select_in(connection, _SHUT_OUT, {"user_ids": user_ids}):
        ban = ban_of(row)
        if deleted_at is not None:
            found[user_id] = None
        elif ban is not None and (ban.expires_at is None or ban.expires_at > now):
            found[user_id] = ban
    return found


def put(transaction: Transaction, user_id: int, moderator_id: int, reason: str, expires_at: int | None) -> None:
    """Shut a user out, in place of whatever ban there was."""
    lift(transaction, user_id)
    values = {
        "channel_id": SERVER,
        "user_id": user_id,
        "moderator_id": moderator_id,
        "reason": reason,
        "created_at": transaction.now,
        "expires_at": expires_at,
    }
    transaction.connection.execute(sa.insert(bans).values(values))


def lift(transaction: Transaction, user_id: int) -> bool:
    """Let a user in again; whether there was a ban."""
    query = sa.delete(bans).where(bans.c.channel_id == SERVER, bans.c.user_id == user_id)
    return bool(transaction.connection.execute(query).rowcount)


def marked(connection: sa.Connection, found: Sequence[User], now: int) -> list[User]:
    """The users, each with the time since which it is shut out: for administrators."""
    query = sa.select(bans.c.user_id, bans.c.created_at).where(
        bans.c.channel_id == SERVER,
        bans.c.user_id.in_([user.user_id for user in found]),
        sa.or_(bans.c.expires_at.is_(None), bans.c.expires_at > now),
    )
    banned = {row[0]: row[1] for row in connection.execute(query)}
    return [replace(user, banned_at=banned.get(user.user_id)) for user in found]


def ban_of(row: Sequence[Any]) -> Ban | None:
    """The ban in a row of the columns `BAN`; None in one of outer-joined columns without a ban."""
    return None if row[0] is None else Ban(*row)
