"""SQL of users and sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from madang.core.models import Session, User, UserKind
from madang.core.text import fold
from madang.storage.schema import sessions, users
from madang.storage.transaction import Transaction, unique

USER = (users.c.user_id, users.c.handle, users.c.kind, users.c.created_at)
_SESSION = (
    sessions.c.session_id,
    sessions.c.user_id,
    sessions.c.device,
    sessions.c.created_at,
    sessions.c.used_at,
    sessions.c.expires_at,
    sessions.c.revoked_at,
)


def add_user(transaction: Transaction, handle: str, kind: UserKind) -> User:
    """Insert a user. Raises NotUnique when the handle is taken."""
    values = {"handle": handle, "handle_key": fold(handle), "kind": kind.value, "created_at": transaction.now}
    query = sa.insert(users).values(values).returning(*USER)
    with unique():
        return user_of(transaction.connection.execute(query).one())


def set_handle(transaction: Transaction, user_id: int, handle: str) -> User:
    """Give a user another handle. Raises NotUnique when it is taken."""
    query = (
        sa.update(users)
        .where(users.c.user_id == user_id)
        .values(handle=handle, handle_key=fold(handle))
        .returning(*USER)
    )
    with unique():
        return user_of(transaction.connection.execute(query).one())


def user(connection: sa.Connection, user_id: int) -> User | None:
    """A user by its id."""
    return _maybe_user(connection, users.c.user_id == user_id)


def user_by_handle(connection: sa.Connection, handle: str) -> User | None:
    """A user by its handle; case does not count."""
    return _maybe_user(connection, users.c.handle_key == fold(handle))


def users_by_id(connection: sa.Connection, user_ids: Iterable[int]) -> list[User]:
    """Those of the users that there are, by user_id."""
    query = sa.select(*USER).where(users.c.user_id.in_(list(user_ids))).order_by(users.c.user_id)
    return [user_of(row) for row in connection.execute(query)]


def users_page(connection: sa.Connection, after: int, size: int) -> list[User]:
    """Users with an id beyond `after`, by user_id."""
    query = sa.select(*USER).where(users.c.user_id > after).order_by(users.c.user_id).limit(size)
    return [user_of(row) for row in connection.execute(query)]


def message_rate(connection: sa.Connection, user_id: int) -> tuple[int, int]:
    """What was set for a bot: messages a second, and at once; 0 for what was not."""
    query = sa.select(users.c.message_rate, users.c.message_burst).where(users.c.user_id == user_id)
    row = connection.execute(query).one_or_none()
    return (0, 0) if row is None else (row[0] or 0, row[1] or 0)


def add_session(transaction: Transaction, user_id: int, token_digest: bytes, device: str, expires_at: int) -> Session:
    """Insert a session."""
    values = {
        "user_id": user_id,
        "token_digest": token_digest,
        "device": device,
        "created_at": transaction.now,
        "used_at": transaction.now,
        "expires_at": expires_at,
    }
    query = sa.insert(sessions).values(values).returning(*_SESSION)
    return _session(transaction.connection.execute(query).one())


def session_by_digest(connection: sa.Connection, token_digest: bytes) -> Session | None:
    """The session of a token, whether it is still good or not."""
    row = connection.execute(sa.select(*_SESSION).where(sessions.c.token_digest == token_digest)).one_or_none()
    return None if row is None else _session(row)


def touch_sessions(transaction: Transaction, used: dict[int, tuple[int, int]]) -> None:
    """Note the use of sessions: session_id to (used_at, expires_at), microseconds."""
    query = (
        sa.update(sessions)
        .where(sessions.c.session_id == sa.bindparam("of_session"))
        .values(used_at=sa.bindparam("used"), expires_at=sa.bindparam("expires"))
    )
    rows = [{"of_session": key, "used": at, "expires": until} for key, (at, until) in used.items()]
    transaction.connection.execute(query, rows)


def revoke_session(transaction: Transaction, session_id: int) -> None:
    """End a session. One that has ended stays as it is."""
    query = (
        sa.update(sessions)
        .where(sessions.c.session_id == session_id, sessions.c.revoked_at.is_(None))
        .values(revoked_at=transaction.now)
    )
    transaction.connection.execute(query)


def user_of(row: Sequence[object]) -> User:
    """The user in a row of the columns `USER`."""
    user_id, handle, kind, created_at = row
    return User(user_id, handle, UserKind(kind), created_at)  # type: ignore[arg-type]


def _maybe_user(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> User | None:
    row = connection.execute(sa.select(*USER).where(condition)).one_or_none()
    return None if row is None else user_of(row)


def _session(row: Sequence[object]) -> Session:
    return Session(*row)  # type: ignore[arg-type]
