"""SQL of channels and memberships."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import sqlalchemy as sa

from madang.core.models import LOBBY_ID, Channel, ChannelKind, Member, User
from madang.core.text import fold
from madang.storage import accounts
from madang.storage.bulk import select_in
from madang.storage.schema import channels, members, users
from madang.storage.transaction import Transaction, unique

_CHANNEL = (
    channels.c.channel_id,
    channels.c.name,
    channels.c.topic,
    channels.c.kind,
    channels.c.owner_id,
    channels.c.sequence,
    channels.c.created_at,
    channels.c.archived_at,
)
_MEMBER = (members.c.channel_id, members.c.user_id, members.c.joined_at, members.c.read_through)

_MAX_BLOCK = 256

# What every commit asks is built once: to build a statement takes longer than to run it.
_BY_IDS = sa.select(*_CHANNEL).where(channels.c.channel_id.in_(sa.bindparam("ids", expanding=True)))
_PLACES = (
    sa.select(*_CHANNEL, members.c.user_id)
    .select_from(
        channels.outerjoin(
            members,
            sa.and_(
                members.c.channel_id == channels.c.channel_id,
                members.c.user_id.in_(sa.bindparam("user_ids", expanding=True)),
                members.c.joined_at.is_not(None),
            ),
        )
    )
    .where(channels.c.channel_id.in_(sa.bindparam("channel_ids", expanding=True)))
)
_ONE_MEMBER = sa.select(*_MEMBER).where(
    members.c.channel_id == sa.bindparam("of_channel"), members.c.user_id == sa.bindparam("of_user")
)
_MEMBERSHIPS = sa.select(*_MEMBER).where(
    members.c.user_id == sa.bindparam("of_user"),
    sa.or_(members.c.joined_at.is_not(None), members.c.channel_id == LOBBY_ID),
)


def create(transaction: Transaction, name: str, topic: str, owner_id: int, request_id: bytes | None) -> Channel:
    """Insert a public channel. Raises NotUnique when the name or the owner's request_id is there already."""
    values = {
        "name": name,
        "name_key": fold(name),
        "topic": topic,
        "kind": ChannelKind.PUBLIC.value,
        "owner_id": owner_id,
        "sequence": 0,
        "created_at": transaction.now,
        "request_id": request_id,
    }
    query = sa.insert(channels).values(values).returning(*_CHANNEL)
    with unique():
        return _channel(transaction.connection.execute(query).one())


def get(connection: sa.Connection, channel_id: int) -> Channel | None:
    """A channel by its id."""
    return _maybe_channel(connection, channels.c.channel_id == channel_id)


def get_by_name(connection: sa.Connection, name: str) -> Channel | None:
    """A channel by its name; case does not count."""
    return _maybe_channel(connection, channels.c.name_key == fold(name))


def get_by_request(connection: sa.Connection, owner_id: int, request_id: bytes) -> Channel | None:
    """The channel that an owner made with this request_id."""
    return _maybe_channel(connection, sa.and_(channels.c.owner_id == owner_id, channels.c.request_id == request_id))


def get_many(connection: sa.Connection, channel_ids: Iterable[int]) -> dict[int, Channel]:
    """Channels by their ids."""
    return {row[0]: _channel(row) for row in connection.execute(_BY_IDS, {"ids": list(channel_ids)})}


def page(
    connection: sa.Connection, user_id: int, after: int, size: int, joined_only: bool, include_archived: bool
) -> list[tuple[Channel, Member | None]]:
    """Channels with an id beyond `after`, by id, each with the user's membership."""
    joined = sa.and_(members.c.channel_id == channels.c.channel_id, members.c.user_id == user_id)
    query = (
        sa.select(*_CHANNEL, *_MEMBER)
        .select_from(channels.outerjoin(members, joined))
        .where(channels.c.channel_id > after)
        .order_by(channels.c.channel_id)
        .limit(size)
    )
    if joined_only:
        query = query.where(sa.or_(members.c.joined_at.is_not(None), channels.c.channel_id == LOBBY_ID))
    if not include_archived:
        query = query.where(channels.c.archived_at.is_(None))
    width = len(_CHANNEL)
    return [(_channel(row[:width]), _maybe_member(row[0], user_id, row[width:])) for row in connection.execute(query)]


def update(transaction: Transaction, channel_id: int, **values: str | int | None) -> Channel:
    """Set columns of a channel; the channel as it is now. Raises NotUnique when the name is taken."""
    query = sa.update(channels).where(channels.c.channel_id == channel_id).values(**values).returning(*_CHANNEL)
    with unique():
        return _channel(transaction.connection.execute(query).one())


def member(connection: sa.Connection, channel_id: int, user_id: int) -> Member | None:
    """A user's membership; None for one that is not in. Everyone is in the lobby."""
    row = connection.execute(_ONE_MEMBER, {"of_channel": channel_id, "of_user": user_id}).one_or_none()
    return _maybe_member(channel_id, user_id, (None,) * len(_MEMBER) if row is None else row)


def place(connection: sa.Connection, channel_id: int, user_id: int) -> tuple[Channel | None, Member | None]:
    """A channel, and a user's place in it."""
    return get(connection, channel_id), member(connection, channel_id, user_id)


def places(
    connection: sa.Connection, pairs: Iterable[tuple[int, int]]
) -> tuple[dict[int, Channel], set[tuple[int, int]]]:
    """The channels of the (channel_id, user_id) pairs, and which of the pairs are memberships, the lobby's not counted.

    Maybe some memberships too that were not asked for.
    """
    found: dict[int, Channel] = {}
    inside: set[tuple[int, int]] = set()
    width = len(_CHANNEL)
    for channel_ids, user_ids in _blocks(sorted(pairs)):
        for row in select_in(connection, _PLACES, {"channel_ids": channel_ids, "user_ids": user_ids}):
            if row[0] not in found:
                found[row[0]] = _channel(row[:width])
            if row[width] is not None:
                inside.add((row[0], row[width]))
    return found, inside


def _blocks(pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[set[int], set[int]]]:
    """Channels and users whose product covers the pairs, in few and small blocks.

    A query can ask for the product of two lists by an index, but not for a list of pairs.
    """
    channel_ids: set[int] = set()
    user_ids: set[int] = set()
    for channel_id, user_id in pairs:
        channel_ids.add(channel_id)
        user_ids.add(user_id)
        if len(channel_ids) * len(user_ids) >= _MAX_BLOCK:
            yield channel_ids, user_ids
            channel_ids, user_ids = set(), set()
    if channel_ids:
        yield channel_ids, user_ids


def channels_of(connection: sa.Connection, user_id: int) -> dict[int, Member]:
    """All memberships of a user, the lobby's too."""
    found = {row[0]: _member(row) for row in connection.execute(_MEMBERSHIPS, {"of_user": user_id})}
    found.setdefault(LOBBY_ID, Member(LOBBY_ID, user_id, None, 0))
    return found


def add_member(transaction: Transaction, channel_id: int, user_id: int) -> Member:
    """Make the user a member; how far it had read before is kept."""
    old = _row_of_member(transaction.connection, channel_id, user_id)
    if old is None:
        values = {"channel_id": channel_id, "user_id": user_id, "joined_at": transaction.now, "read_through": 0}
        transaction.connection.execute(sa.insert(members).values(values))
        return Member(channel_id, user_id, transaction.now, 0)
    _update_member(transaction, channel_id, user_id, joined_at=transaction.now)
    return Member(channel_id, user_id, transaction.now, old)


def remove_member(transaction: Transaction, channel_id: int, user_id: int) -> None:
    """Make the user a stranger."""
    _update_member(transaction, channel_id, user_id, joined_at=None)


def set_read_through(transaction: Transaction, channel_id: int, user_id: int, sequence: int) -> None:
    """Set how far the user has read."""
    if _row_of_member(transaction.connection, channel_id, user_id) is None:
        values = {"channel_id": channel_id, "user_id": user_id, "joined_at": None, "read_through": sequence}
        transaction.connection.execute(sa.insert(members).values(values))
    else:
        _update_member(transaction, channel_id, user_id, read_through=sequence)


def members_page(connection: sa.Connection, channel_id: int, after: int, size: int) -> list[tuple[Member, User]]:
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
        sa.select(*accounts.USER, *_MEMBER).select_from(source).where(condition).order_by(users.c.user_id).limit(size)
    )
    found = []
    for row in connection.execute(query):
        user = accounts.user_of(row[: len(accounts.USER)])
        place = _maybe_member(channel_id, user.user_id, row[len(accounts.USER) :])
        found.append((place or Member(channel_id, user.user_id, None, 0), user))
    return found


def _maybe_channel(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Channel | None:
    row = connection.execute(sa.select(*_CHANNEL).where(condition)).one_or_none()
    return None if row is None else _channel(row)


def _channel(row: Sequence[object]) -> Channel:
    channel_id, name, topic, kind, owner_id, sequence, created_at, archived_at = row
    return Channel(channel_id, name, topic, ChannelKind(kind), owner_id, sequence, created_at, archived_at)  # type: ignore[arg-type]


def _member(row: Sequence[object]) -> Member:
    return Member(*row)  # type: ignore[arg-type]


def _maybe_member(channel_id: int, user_id: int, row: Sequence[object]) -> Member | None:
    """The membership in a row of outer-joined columns. A row without a time of joining counts in the lobby alone."""
    if row[2] is not None:
        return _member(row)
    if channel_id == LOBBY_ID:
        return Member(LOBBY_ID, user_id, None, int(row[3] or 0))  # type: ignore[call-overload]
    return None


def _row_of_member(connection: sa.Connection, channel_id: int, user_id: int) -> int | None:
    """How far a user had read, whether it is in the channel or was once; None when there is no row."""
    query = sa.select(members.c.read_through).where(members.c.channel_id == channel_id, members.c.user_id == user_id)
    return connection.execute(query).scalar_one_or_none()


def _update_member(transaction: Transaction, channel_id: int, user_id: int, **values: int | None) -> None:
    query = sa.update(members).where(members.c.channel_id == channel_id, members.c.user_id == user_id).values(**values)
    transaction.connection.execute(query)
