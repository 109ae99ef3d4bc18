"""SQL of what somebody wrote, wherever it is: to be exported, or erased. Walks in steps that take a short time each.

There is no index by author: it would cost every message something, and serve two rare requests. A walk looks through
the channels that somebody ever was in, a bounded number of messages at each step.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from madang.core.models import LOBBY_ID, Content, Member, Message
from madang.storage import memberships as stored_memberships
from madang.storage.messages import COLUMNS, message_of
from madang.storage.schema import channels, members, messages, store_info
from madang.storage.transaction import Transaction

STEP = 1_000
"""How many messages one step looks through."""
_ERASE = "erase:"


def heads(connection: sa.Connection, user_id: int) -> dict[int, int]:
    """The channels that a user is or was in, and how far each goes: channel_id to sequence."""
    was_in = sa.select(members.c.channel_id).where(members.c.user_id == user_id)
    query = (
        sa.select(channels.c.channel_id, channels.c.sequence)
        .where(sa.or_(channels.c.channel_id == LOBBY_ID, channels.c.channel_id.in_(was_in)))
        .order_by(channels.c.channel_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def memberships(connection: sa.Connection, user_id: int) -> list[Member]:
    """Where a user is a member, by channel_id."""
    return [member for _, member in sorted(stored_memberships.of_user(connection, user_id).items())]


def steps(found: dict[int, int]) -> Iterator[tuple[int, int]]:
    """The steps of a walk through channels, given how far each goes: (channel_id, after)."""
    for channel_id, head in found.items():
        for after in range(0, head, STEP):
            yield channel_id, after


def written(connection: sa.Connection, user_id: int, channel_id: int, after: int) -> list[Message]:
    """What the user wrote or did in a channel, in one step from `after`, by sequence."""
    query = sa.select(*COLUMNS).where(*_in_step(user_id, channel_id, after)).order_by(messages.c.sequence)
    return [message_of(row) for row in connection.execute(query)]


def erase(transaction: Transaction, user_id: int, channel_id: int, after: int) -> int:
    """Empty the texts that the user wrote in a channel, in one step from `after`; how many there were."""
    query = (
        sa.update(messages)
        .where(
            *_in_step(user_id, channel_id, after),
            messages.c.content == Content.TEXT.value,
            messages.c.text != "",
        )
        .values(text="")
    )
    return int(transaction.connection.execute(query).rowcount)


def owe_erasure(transaction: Transaction, user_id: int) -> None:
    """Note that a user's texts are to be erased: should the server stop midway, it goes on at its next start."""
    transaction.connection.execute(sa.insert(store_info).values(key=f"{_ERASE}{user_id}", value=""))


def erased(transaction: Transaction, user_id: int) -> None:
    """Note that nothing is left to be erased."""
    transaction.connection.execute(sa.delete(store_info).where(store_info.c.key == f"{_ERASE}{user_id}"))


def owed_erasures(connection: sa.Connection) -> list[int]:
    """Whose texts are still to be erased."""
    query = sa.select(store_info.c.key).where(store_info.c.key.startswith(_ERASE, autoescape=True))
    return [int(key.removeprefix(_ERASE)) for key in connection.execute(query).scalars()]


def _in_step(user_id: int, channel_id: int, after: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        messages.c.channel_id == channel_id,
        messages.c.sequence > after,
        messages.c.sequence <= after + STEP,
        messages.c.author_id == user_id,
    )
