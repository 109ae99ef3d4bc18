"""SQL of users."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from madang.core.handles import deleted_handle
from madang.core.models import ServerRole, User, UserKind
from madang.core.text import fold
from madang.storage.schema import bans, users
from madang.storage.transaction import Transaction, unique

USER = (
    users.c.user_id,
    users.c.handle,
    users.c.kind,
    users.c.created_at,
    users.c.role,
    users.c.display_name,
    users.c.status_text,
    users.c.owner_id,
    users.c.deleted_at,
)


def add_user(
    transaction: Transaction,
    handle: str,
    kind: UserKind,
    role: ServerRole = ServerRole.GUEST,
    *,
    display_name: str = "",
    owner_id: int = 0,
    password_hash: str | None = None,
) -> User:
    """Insert a user. Raises NotUnique when the handle is taken."""
    values = {
        "handle": handle,
        "handle_key": fold(handle),
        "kind": kind.value,
        "created_at": transaction.now,
        "role": role.value,
        "display_name": display_name,
        "owner_id": owner_id,
        "password_hash": password_hash,
    }
    query = sa.insert(users).values(values).returning(*USER)
    with unique(transaction):
        return user_of(transaction.connection.execute(query).one())


def set_handle(transaction: Transaction, user_id: int, handle: str) -> User:
    """Give a user another handle. Raises NotUnique when it is taken."""
    with unique(transaction):
        return _update(transaction, user_id, handle=handle, handle_key=fold(handle))


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
    """Users with an id beyond `after` that are not deleted, by user_id."""
    query = (
        sa.select(*USER)
        .where(users.c.user_id > after, users.c.deleted_at.is_(None))
        .order_by(users.c.user_id)
        .limit(size)
    )
    return [user_of(row) for row in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Credential:
    """A user and what its password is checked against: Argon2id in the usual text form; None for whoever has none."""

    user: User
    password_hash: str | None


def credential(connection: sa.Connection, user_id: int) -> Credential | None:
    """A user with its password's hash, by its id."""
    return _maybe_credential(connection, users.c.user_id == user_id)


def credential_by_handle(connection: sa.Connection, handle: str) -> Credential | None:
    """A user with its password's hash, by its handle; case does not count."""
    return _maybe_credential(connection, users.c.handle_key == fold(handle))


def set_password(transaction: Transaction, user_id: int, password_hash: str) -> None:
    """Give a user another password."""
    _update(transaction, user_id, password_hash=password_hash)


def set_profile(transaction: Transaction, user_id: int, **texts: str) -> User:
    """Set `display_name` and `status_text`, as far as they are given; the user as it is now."""
    return _update(transaction, user_id, **texts)


def set_role(transaction: Transaction, user_id: int, role: ServerRole) -> User:
    """Give a user a role; the user as it is now."""
    return _update(transaction, user_id, role=role.value)


def set_limits(transaction: Transaction, user_id: int, rate: int | None, burst: int | None) -> None:
    """Set how many messages a bot may send: a second, and at once; None for what the settings say."""
    _update(transaction, user_id, message_rate=rate, message_burst=burst)


def limits(connection: sa.Connection, user_id: int) -> tuple[int | None, int | None]:
    """How many messages a bot may send: a second, and at once; None for what the settings say."""
    query = sa.select(users.c.message_rate, users.c.message_burst).where(users.c.user_id == user_id)
    row = connection.execute(query).one_or_none()
    return (None, None) if row is None else (row[0], row[1])


def mark_deleted(transaction: Transaction, user_id: int) -> User:
    """Take everything from a user that says who it was; the row stays, messages point to it. Its handle is free."""
    return _update(
        transaction,
        user_id,
        handle=deleted_handle(user_id),
        handle_key=f":deleted:{user_id}",  # no handle has a colon
        display_name="",
        status_text="",
        role=ServerRole.GUEST.value,
        password_hash=None,
        deleted_at=transaction.now,
    )


def owners(connection: sa.Connection, now: int) -> list[int]:
    """The user_ids of the server's owners that can act as such: those that are not banned now."""
    banned = sa.exists().where(
        bans.c.channel_id == 0,
        bans.c.user_id == users.c.user_id,
        sa.or_(bans.c.expires_at.is_(None), bans.c.expires_at > now),
    )
    query = sa.select(users.c.user_id).where(
        users.c.role == ServerRole.OWNER.value, users.c.deleted_at.is_(None), sa.not_(banned)
    )
    return list(connection.execute(query).scalars())


def bots_page(connection: sa.Connection, owner_id: int, after: int, size: int) -> list[User]:
    """A person's bots with an id beyond `after`, by user_id."""
    query = (
        sa.select(*USER)
        .where(users.c.owner_id == owner_id, users.c.user_id > after, users.c.deleted_at.is_(None))
        .order_by(users.c.user_id)
        .limit(size)
    )
    return [user_of(row) for row in connection.execute(query)]


def user_of(row: Sequence[Any]) -> User:
    """The user in a row of the columns `USER`."""
    return User(row[0], row[1], UserKind(row[2]), row[3], ServerRole(row[4]), *row[5:])


def _maybe_user(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> User | None:
    row = connection.execute(sa.select(*USER).where(condition)).one_or_none()
    return None if row is None else user_of(row)


def _maybe_credential(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Credential | None:
    row = connection.execute(sa.select(*USER, users.c.password_hash).where(condition)).one_or_none()
    return None if row is None else Credential(user_of(row[:-1]), row[-1])


def _update(transaction: Transaction, user_id: int, **values: str | int | None) -> User:
    query = sa.update(users).where(users.c.user_id == user_id).values(**values).returning(*USER)
    return user_of(transaction.connection.execute(query).one())
