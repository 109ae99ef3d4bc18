"""SQL of memberships: who is in a channel, and as what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from madang.core.models import LOBBY_ID, ChannelRole, Member, ServerRole, User
from madang.storage import accounts
from madang.storage.schema import members, users
from madang.storage.transaction import Transaction

MEMBER = (
    members.c.channel_id,
    members.c.user_id,
    members.c.joined_at,
    members.c.read_through,
    members.c.role,
    members.c.muted_until,
)
ROLES = {role.value: role for role in ChannelRole}

_ONE_MEMBER = sa.select(*MEMBER).where(
    members.c.channel_id == sa.bindparam("of_channel"), members.c.user_id == sa.bindparam("of_user")
)
_MEMBERSHIPS = sa.select(*MEMBER).where(
    members.c.user_id == sa.bindparam("of_user"),
    sa.or_(members.c.joined_at.is_not(None), members.c.channel_id == LOBBY_ID),
)


def get(connection: sa.Connection, channel_id: int, user_id: int) -> Member | None:
    """A user's membership; None for one that is not in. Everyone is in the lobby."""
    row = connection.execute(_ONE_MEMBER, {"of_channel": channel_id, "of_user": user_id}).one_or_none()
    return maybe_member(channel_id, user_id, (None,) * len(MEMBER) if row is None else row)


def of_user(connection: sa.Connection, user_id: int) -> dict[int, Member]:
    """All memberships of a user, the lobby's too."""
    found = {row[0]: _member(row) for row in connection.execute(_MEMBERSHIPS, {"of_user": user_id})}
    found.setdefault(LOBBY_ID, Member(LOBBY_ID, user_id, None, 0))
    return found


def marks(connection: sa.Connection, user_ids: Iterable[int]) -> dict[int, dict[int, int]]:
    """Where users are members, and how far they have read there: by user, by channel. The lobby only where a row says
    so.
    """
    query = sa.select(members.c.user_id, members.c.channel_id, members.c.read_through).where(
        members.c.user_id.in_(list(user_ids)),
        sa.or_(members.c.joined_at.is_not(None), members.c.channel_id == LOBBY_ID),
    )
    found: dict[int, dict[int, int]] = {}
    for user_id, channel_id, read_through in connection.execute(query):
        found.setdefault(user_id, {})[channel_id] = read_through
    return found


def add(transaction: Transaction, channel_id: int, user_id: int, role: ChannelRole | None = None) -> Member:
    """Make the user a member; how far it had read before is kept, and so is a mute.

    `role`: by default what the row says of one who was there before, see `remove`, or else MEMBER.
    """
    values = {"joined_at": transaction.now} | ({} if role is None else {"role": role.value})
    if not _update_member(transaction, channel_id, user_id, **values):
        _insert(transaction, {"channel_id": channel_id, "user_id": user_id, "read_through": 0}, values)
    return _the_member(transaction.connection, channel_id, user_id)


def remove(transaction: Transaction, channel_id: int, user_id: int, keep_role: bool = False) -> None:
    """Make the user a stranger. `keep_role`: it has its role again when it comes back."""
    role = {} if keep_role else {"role": ChannelRole.MEMBER.value}
    _update_member(transaction, channel_id, user_id, joined_at=None, **role)


def change(transaction: Transaction, channel_id: int, user_id: int, **values: int | None) -> Member:
    """Set columns of a membership, `role` or `muted_until`; the membership as it is now."""
    _set_member(transaction, channel_id, user_id, **values)
    return _the_member(transaction.connection, channel_id, user_id)


def set_wrote_at(transaction: Transaction, channel_id: int, user_ids: Iterable[int]) -> None:
    """Note that these members wrote just now."""
    for user_id in user_ids:
        _set_member(transaction, channel_id, user_id, wrote_at=transaction.now)


def set_read_through(transaction: Transaction, channel_id: int, user_id: int, sequence: int) -> None:
    """Set how far the user has read."""
    _set_member(transaction, channel_id, user_id, read_through=sequence)


def page(connection: sa.Connection, channel_id: int, after: int, size: int) -> list[tuple[Member, User]]:
    """Members of a channel with a user_id beyond `after`, by user_id. In the lobby: every user."""
    if channel_id == LOBBY_ID:
        joined = sa.and_(members.c.user_id == users.c.user_id, members.c.channel_id == LOBBY_ID)
        source = users.outerjoin(members, joined)
        condition = sa.and_(users.c.user_id > after, users.c.deleted_at.is_(None))
    else:
        source = users.join(members, members.c.user_id == users.c.user_id)
        condition = sa.and_(
            members.c.channel_id == channel_id, members.c.user_id > after, members.c.joined_at.is_not(None)
        )
    query = (
        sa.select(*accounts.USER, *MEMBER).select_from(source).where(condition).order_by(users.c.user_id).limit(size)
    )
    found = []
    for row in connection.execute(query):
        user = accounts.user_of(row[: len(accounts.USER)])
        place = maybe_member(channel_id, user.user_id, row[len(accounts.USER) :])
        found.append((place or Member(channel_id, user.user_id, None, 0), user))
    return found


def others_in(connection: sa.Connection, channel_id: int, user_id: int, role: ChannelRole) -> int:
    """How many others than the user are in the channel with at least this role."""
    query = sa.select(sa.func.count()).where(*_others(channel_id, user_id), members.c.role >= role.value)
    return connection.execute(query).scalar_one()


def heir(connection: sa.Connection, channel_id: int, user_id: int) -> int | None:
    """Whoever comes next in a channel after the user: of those with the highest role, who has been in it longest."""
    order = (members.c.role.desc(), members.c.joined_at, members.c.user_id)
    query = sa.select(members.c.user_id).where(*_others(channel_id, user_id)).order_by(*order).limit(1)
    return connection.execute(query).scalar_one_or_none()


def server_roles(connection: sa.Connection, user_ids: Iterable[int]) -> dict[int, ServerRole]:
    """What those of the users that there are may do on this server. Who deleted its account is there no more."""
    query = sa.select(users.c.user_id, users.c.role).where(
        users.c.user_id.in_(list(user_ids)), users.c.deleted_at.is_(None)
    )
    return {user_id: ServerRole(role) for user_id, role in connection.execute(query)}


def maybe_member(channel_id: int, user_id: int, row: Sequence[Any]) -> Member | None:
    """The membership in a row of outer-joined columns. A row without a time of joining counts in the lobby alone."""
    if row[2] is not None or (channel_id == LOBBY_ID and row[0] is not None):
        return _member(row)
    return Member(LOBBY_ID, user_id, None, 0) if channel_id == LOBBY_ID else None


def _member(row: Sequence[Any]) -> Member:
    channel_id, user_id, joined_at, read_through, role, muted_until = row
    return Member(channel_id, user_id, joined_at, read_through, ROLES[role], muted_until)


def _others(channel_id: int, user_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return members.c.channel_id == channel_id, members.c.user_id != user_id, members.c.joined_at.is_not(None)


def _the_member(connection: sa.Connection, channel_id: int, user_id: int) -> Member:
    return _member(connection.execute(_ONE_MEMBER, {"of_channel": channel_id, "of_user": user_id}).one())


def _set_member(transaction: Transaction, channel_id: int, user_id: int, **values: int | None) -> None:
    """Set columns of the row of a user who is in the channel, or was once, or (in the lobby) makes its row now."""
    if not _update_member(transaction, channel_id, user_id, **values):
        row = {"channel_id": channel_id, "user_id": user_id, "joined_at": None, "read_through": 0}
        _insert(transaction, row, values)


def _insert(transaction: Transaction, row: Mapping[str, int | None], values: Mapping[str, int | None]) -> None:
    """Insert a row with these values. Another node may have made it just now: then they are set there."""
    if transaction.locks is None:
        transaction.connection.execute(sa.insert(members).values({**row, **values}))
        return
    query = postgresql.insert(members).values({**row, **values})
    transaction.connection.execute(query.on_conflict_do_update(index_elements=["channel_id", "user_id"], set_=values))


def _update_member(transaction: Transaction, channel_id: int, user_id: int, **values: int | None) -> bool:
    """Set columns of a row, if there is one; says whether there is."""
    query = sa.update(members).where(members.c.channel_id == channel_id, members.c.user_id == user_id).values(**values)
    return transaction.connection.execute(query).rowcount > 0
