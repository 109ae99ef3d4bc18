"""SQL of channels, and of who may write in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from madang.core.models import LOBBY_ID, Channel, ChannelKind, ChannelRole, Member
from madang.core.text import fold
from madang.storage import memberships
from madang.storage.bulk import select_in
from madang.storage.schema import channels, members
from madang.storage.server_bans import ANY_SHUT_OUT
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
    channels.c.read_only,
    channels.c.slow_mode,
    channels.c.guests,
)
_KINDS = {kind.value: kind for kind in ChannelKind}

_MAX_BLOCK = 256

# What every commit asks is built once: to build a statement takes longer than to run it.
_BY_IDS = sa.select(*_CHANNEL).where(channels.c.channel_id.in_(sa.bindparam("ids", expanding=True)))
_PLACES = (
    sa.select(
        *_CHANNEL,
        members.c.user_id,
        members.c.role,
        members.c.muted_until,
        members.c.wrote_at,
        ANY_SHUT_OUT.label("shut"),
    )
    .select_from(
        channels.outerjoin(
            members,
            sa.and_(
                members.c.channel_id == channels.c.channel_id,
                members.c.user_id.in_(sa.bindparam("user_ids", expanding=True)),
                sa.or_(members.c.joined_at.is_not(None), members.c.channel_id == sa.literal_column(str(LOBBY_ID))),
            ),
        )
    )
    .where(channels.c.channel_id.in_(sa.bindparam("channel_ids", expanding=True)))
)


class Seat(NamedTuple):
    """A user's place in a channel, as far as it matters to whoever writes. `wrote_at`: see the table."""

    role: ChannelRole
    muted_until: int | None
    wrote_at: int | None


def create(
    transaction: Transaction,
    name: str,
    topic: str,
    owner_id: int,
    request_id: bytes | None,
    kind: ChannelKind = ChannelKind.PUBLIC,
) -> Channel:
    """Insert a channel with nobody in it. Guests may enter a public one.

    Raises NotUnique when the name or the owner's request_id is there already.
    """
    values = {
        "name": name,
        "name_key": fold(name),
        "topic": topic,
        "kind": kind.value,
        "owner_id": owner_id,
        "sequence": 0,
        "created_at": transaction.now,
        "request_id": request_id,
        "guests": kind is ChannelKind.PUBLIC,
    }
    query = sa.insert(channels).values(values).returning(*_CHANNEL)
    with unique(transaction):
        return _channel(transaction.connection.execute(query).one())


def create_direct(transaction: Transaction, user_ids: Iterable[int]) -> Channel:
    """Insert the direct channel of these users, with nobody in it. Raises NotUnique when it is there already."""
    return create(transaction, _direct_key(user_ids), "", 0, None, ChannelKind.DIRECT)


def get_direct(connection: sa.Connection, user_ids: Iterable[int]) -> Channel | None:
    """The direct channel of these users."""
    return _maybe_channel(connection, channels.c.name_key == _direct_key(user_ids))


def get(connection: sa.Connection, channel_id: int) -> Channel | None:
    """A channel by its id."""
    return _maybe_channel(connection, channels.c.channel_id == channel_id)


def get_by_name(connection: sa.Connection, name: str) -> Channel | None:
    """A channel by its name; case does not count. Direct channels have none."""
    named = sa.and_(channels.c.name_key == fold(name), channels.c.kind != ChannelKind.DIRECT.value)
    return _maybe_channel(connection, named)


def get_by_request(connection: sa.Connection, owner_id: int, request_id: bytes) -> Channel | None:
    """The channel that an owner made with this request_id."""
    return _maybe_channel(connection, sa.and_(channels.c.owner_id == owner_id, channels.c.request_id == request_id))


def get_many(connection: sa.Connection, channel_ids: Iterable[int]) -> dict[int, Channel]:
    """Channels by their ids."""
    return {row[0]: _channel(row) for row in connection.execute(_BY_IDS, {"ids": list(channel_ids)})}


def page(
    connection: sa.Connection,
    user_id: int,
    after: int,
    size: int,
    joined_only: bool,
    include_archived: bool,
    private_too: bool = False,
) -> list[tuple[Channel, Member | None]]:
    """Channels with an id beyond `after`, by id, each with the user's membership: public ones, and the user's own.

    `private_too`: private channels that the user is not in as well.
    """
    joined = sa.and_(members.c.channel_id == channels.c.channel_id, members.c.user_id == user_id)
    query = (
        sa.select(*_CHANNEL, *memberships.MEMBER)
        .select_from(channels.outerjoin(members, joined))
        .where(channels.c.channel_id > after)
        .order_by(channels.c.channel_id)
        .limit(size)
    )
    seen = [members.c.joined_at.is_not(None), channels.c.channel_id == LOBBY_ID]
    if not joined_only:
        kinds = (ChannelKind.PUBLIC, ChannelKind.PRIVATE) if private_too else (ChannelKind.PUBLIC,)
        seen.append(channels.c.kind.in_([kind.value for kind in kinds]))
    query = query.where(sa.or_(*seen))
    if not include_archived:
        query = query.where(channels.c.archived_at.is_(None))
    width = len(_CHANNEL)
    return [
        (_channel(row[:width]), memberships.maybe_member(row[0], user_id, row[width:]))
        for row in connection.execute(query)
    ]


def update(transaction: Transaction, channel_id: int, **values: str | int | None) -> Channel:
    """Set columns of a channel; the channel as it is now. Raises NotUnique when the name is taken."""
    transaction.lock_channels([channel_id])
    query = sa.update(channels).where(channels.c.channel_id == channel_id).values(**values).returning(*_CHANNEL)
    with unique(transaction):
        return _channel(transaction.connection.execute(query).one())


def place(connection: sa.Connection, channel_id: int, user_id: int) -> tuple[Channel | None, Member | None]:
    """A channel, and a user's place in it."""
    return get(connection, channel_id), memberships.get(connection, channel_id, user_id)


def places(
    connection: sa.Connection, pairs: Iterable[tuple[int, int]]
) -> tuple[dict[int, Channel], dict[tuple[int, int], Seat], bool]:
    """The channels of the (channel_id, user_id) pairs, and the seats of those of the pairs that are memberships; and
    whether some of the users may be shut out from the server, see `server_bans.shut_out`.

    In the lobby, where everyone is a member, only some have a seat of their own. Maybe some seats too that were not
    asked for.
    """
    suspicious = False
    found: dict[int, Channel] = {}
    seats: dict[tuple[int, int], Seat] = {}
    width = len(_CHANNEL)
    for channel_ids, user_ids in _blocks(sorted(pairs)):
        for row in select_in(connection, _PLACES, {"channel_ids": channel_ids, "user_ids": user_ids}):
            if row[0] not in found:
                found[row[0]] = _channel(row[:width])
            suspicious = suspicious or bool(row[width + 4])
            user_id = row[width]
            if user_id is not None:
                seats[row[0], user_id] = Seat(memberships.ROLES[row[width + 1]], row[width + 2], row[width + 3])
    return found, seats, suspicious


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


def _maybe_channel(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Channel | None:
    row = connection.execute(sa.select(*_CHANNEL).where(condition)).one_or_none()
    return None if row is None else _channel(row)


def _channel(row: Sequence[Any]) -> Channel:
    channel_id, name, topic, kind, owner_id, sequence, created_at, archived_at, read_only, slow_mode, guests = row
    direct: tuple[int, ...] = ()
    if kind == ChannelKind.DIRECT.value:
        name, direct = "", tuple(map(int, name[1:].split(",")))
    return Channel(
        channel_id,
        name,
        topic,
        _KINDS[kind],
        owner_id,
        sequence,
        created_at,
        archived_at,
        bool(read_only),
        slow_mode,
        bool(guests),
        direct,
    )


def _direct_key(user_ids: Iterable[int]) -> str:
    return ":" + ",".join(map(str, sorted(user_ids)))
