"""SQL of sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from madang.core.models import Ban, Scope, ServerRole, Session, User, UserKind
from madang.storage.schema import sessions, users
from madang.storage.server_bans import BAN, ban_of, banned_since, holds
from madang.storage.transaction import Transaction

_COLUMNS = (
    sessions.c.session_id,
    sessions.c.user_id,
    sessions.c.device,
    sessions.c.created_at,
    sessions.c.used_at,
    sessions.c.expires_at,
    sessions.c.revoked_at,
    sessions.c.address,
    sessions.c.scopes,
    users.c.role,
)
_DATABASE_NOW = sa.cast(sa.extract("epoch", sa.func.now()) * 1_000_000, sa.BigInteger)
_SOURCE = sessions.join(users, users.c.user_id == sessions.c.user_id)


@dataclass(frozen=True, slots=True)
class Found:
    """A session, whether it is still good or not, and the ban that shuts its user, or its bot's owner, out."""

    session: Session
    ban: Ban | None


def add(
    transaction: Transaction,
    user: User,
    token_digest: bytes,
    device: str,
    expires_at: int,
    address: str,
    scopes: Scope | None = None,
) -> Session:
    """Insert a session of the user's. `expires_at` 0: never."""
    values = {
        "user_id": user.user_id,
        "token_digest": token_digest,
        "device": device,
        "created_at": transaction.now,
        "used_at": transaction.now,
        "expires_at": expires_at,
        "address": address,
        "scopes": None if scopes is None else scopes.value,
    }
    query = sa.insert(sessions).values(values).returning(*_COLUMNS[:-1])
    return _session((*transaction.connection.execute(query).one(), user.role.value))


def by_digest(connection: sa.Connection, token_digest: bytes, now: int) -> Found | None:
    """The session of a token, and the ban that holds now."""
    query = (
        sa.select(*_COLUMNS, *BAN)
        .select_from(_SOURCE.outerjoin(*holds(users, now)))
        .where(sessions.c.token_digest == token_digest)
    )
    row = connection.execute(query).first()
    if row is None:
        return None
    width = len(_COLUMNS)
    return Found(_session(row[:width]), ban_of(row[width:]))


def get(connection: sa.Connection, session_id: int) -> Session | None:
    """A session by its id, whether it is still good or not."""
    row = connection.execute(
        sa.select(*_COLUMNS).select_from(_SOURCE).where(sessions.c.session_id == session_id)
    ).one_or_none()
    return None if row is None else _session(row)


def by_ids(connection: sa.Connection, session_ids: Sequence[int], now: int) -> dict[int, Found]:
    """Sessions by their ids, whether they are still good or not, with the bans that hold now."""
    query = (
        sa.select(*_COLUMNS, *BAN)
        .select_from(_SOURCE.outerjoin(*holds(users, now)))
        .where(sessions.c.session_id.in_(session_ids))
    )
    width = len(_COLUMNS)
    rows = connection.execute(query)
    return {row[0]: Found(_session(row[:width]), ban_of(row[width:])) for row in rows}


def revoked_since(connection: sa.Connection, since: int, now: int) -> list[tuple[int, int]]:
    """The sessions that were ended at that time or later, and those that are good but shut out since then: bots' keep
    their tokens for the time after their owner's ban. The id, and whose it was.

    How long ago a session was ended is told by one clock for all nodes, see `_clock`.
    """
    which = sessions.c.revoked_at >= _clock(connection, now) - (now - since)
    if banned := banned_since(connection, since, now):  # hardly ever: this is asked all the time
        bots = sa.select(users.c.user_id).where(users.c.owner_id.in_(banned))
        theirs = sa.or_(sessions.c.user_id.in_(banned), sessions.c.user_id.in_(bots))
        which = sa.or_(which, sa.and_(theirs, *_good(now)))
    query = sa.select(sessions.c.session_id, sessions.c.user_id).where(which)
    return [(row[0], row[1]) for row in connection.execute(query)]


def page(connection: sa.Connection, user_id: int, before: int | None, size: int, now: int) -> list[Session]:
    """A user's sessions that are still good, with an id below `before`, newest first."""
    query = (
        sa.select(*_COLUMNS)
        .select_from(_SOURCE)
        .where(sessions.c.user_id == user_id, *_good(now))
        .order_by(sessions.c.session_id.desc())
        .limit(size)
    )
    if before is not None:
        query = query.where(sessions.c.session_id < before)
    return [_session(row) for row in connection.execute(query)]


def of_kind(connection: sa.Connection, kind: UserKind, now: int, user_id: int = 0) -> list[Session]:
    """The sessions that are still good, of all users of a kind, or of one of them, in the order of their ids."""
    query = sa.select(*_COLUMNS).select_from(_SOURCE).where(users.c.kind == kind.value, *_good(now))
    if user_id:
        query = query.where(sessions.c.user_id == user_id)
    return [_session(row) for row in connection.execute(query.order_by(sessions.c.session_id))]


def touch(transaction: Transaction, used: dict[int, tuple[int, int, str | None]]) -> None:
    """Note the use of sessions: session_id to (used_at, expires_at, address or None for the one that is there)."""
    query = (
        sa.update(sessions)
        .where(sessions.c.session_id == sa.bindparam("of_session"))
        .values(
            used_at=sa.bindparam("used"),
            expires_at=sa.bindparam("expires"),
            address=sa.func.coalesce(sa.bindparam("from_address", type_=sa.Text), sessions.c.address),
        )
    )
    rows = [
        {"of_session": key, "used": at, "expires": until, "from_address": address}
        for key, (at, until, address) in used.items()
    ]
    transaction.connection.execute(query, rows)


def revoke(transaction: Transaction, session_id: int) -> bool:
    """End a session; whether it was good until now. One that has ended stays as it is."""
    return bool(_revoke(transaction, sessions.c.session_id == session_id))


def revoke_all(transaction: Transaction, user_id: int, but: int = 0) -> list[int]:
    """End all sessions of a user, but for one; the ids of those that ended just now."""
    return _revoke(transaction, sa.and_(sessions.c.user_id == user_id, sessions.c.session_id != but))


def good_ids(transaction: Transaction, user_id: int) -> list[int]:
    """The ids of a user's sessions that are still good."""
    query = sa.select(sessions.c.session_id).where(sessions.c.user_id == user_id, *_good(transaction.now))
    return list(transaction.connection.execute(query).scalars())


def _good(now: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        sessions.c.revoked_at.is_(None),
        sa.or_(sessions.c.expires_at == 0, sessions.c.expires_at > now),
    )


def _clock(connection: sa.Connection, now: int) -> sa.ColumnElement[int]:
    """The time at which sessions end: the database's own where nodes share it, whose clocks may differ."""
    return _DATABASE_NOW if connection.dialect.name == "postgresql" else sa.literal(now, sa.BigInteger)


def _revoke(transaction: Transaction, condition: sa.ColumnElement[bool]) -> list[int]:
    query = (
        sa.update(sessions)
        .where(condition, *_good(transaction.now))
        .values(revoked_at=_clock(transaction.connection, transaction.now))
        .returning(sessions.c.session_id)
    )
    return sorted(transaction.connection.execute(query).scalars())


def _session(row: Sequence[Any]) -> Session:
    """The session in a row of `_COLUMNS`."""
    session_id, user_id, device, created_at, used_at, expires_at, revoked_at, address, scopes, role = row
    return Session(
        session_id,
        user_id,
        device,
        created_at,
        used_at,
        expires_at,
        revoked_at,
        address,
        None if scopes is None else Scope(scopes),
        ServerRole(role),
    )
