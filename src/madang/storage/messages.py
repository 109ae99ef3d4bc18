"""SQL of the messages: append, get, list, what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from madang.core.models import Changes, Content, Message
from madang.storage.bulk import insert_and_set, set_by_key
from madang.storage.schema import channels, messages
from madang.storage.transaction import Transaction, unique

_CONTENT = {content.value: content for content in Content}

COLUMNS = (
    messages.c.channel_id,
    messages.c.sequence,
    messages.c.version,
    messages.c.author_id,
    messages.c.created_at,
    messages.c.content,
    messages.c.text,
)
_HEAD = sa.select(channels.c.sequence).where(channels.c.channel_id == sa.bindparam("of_channel"))
_CHANGED = (
    sa.select(*COLUMNS)
    .where(
        messages.c.channel_id == sa.bindparam("of_channel"),
        messages.c.version > sa.bindparam("after"),
        messages.c.version <= sa.bindparam("head"),
    )
    .order_by(messages.c.version)
    .limit(sa.bindparam("most"))
)


def add(transaction: Transaction, rows: Sequence[tuple[Message, bytes | None]], heads: dict[int, int]) -> None:
    """Insert messages, each with its request_id, and set the head of each of their channels: channel_id to sequence.

    Raises NotUnique when an author's request_id is there already: the transaction has to be run again then.
    """
    values = [(*message[:5], message.content.value, message.text, request_id) for message, request_id in rows]
    with unique(transaction, last=True):
        key, head = channels.c.channel_id, channels.c.sequence
        insert_and_set(transaction.connection, messages, values, key, head, list(heads.items()))


def set_heads(transaction: Transaction, heads: dict[int, int]) -> None:
    """Set the head of each channel: channel_id to sequence."""
    set_by_key(transaction.connection, channels.c.channel_id, channels.c.sequence, list(heads.items()))


def by_request(transaction: Transaction, request_ids: Iterable[bytes]) -> dict[tuple[int, bytes], Message]:
    """The messages that were stored with these request_ids, by author and request_id."""
    query = sa.select(*COLUMNS, messages.c.request_id).where(messages.c.request_id.in_(list(request_ids)))
    return {(row.author_id, row.request_id): message_of(row) for row in transaction.connection.execute(query)}


def get(connection: sa.Connection, channel_id: int, sequence: int) -> Message | None:
    """One message; None when there is none at that place."""
    query = sa.select(*COLUMNS).where(messages.c.channel_id == channel_id, messages.c.sequence == sequence)
    row = connection.execute(query).one_or_none()
    return None if row is None else message_of(row)


def page(
    connection: sa.Connection, channel_id: int, after: int, before: int, newest_first: bool, size: int
) -> list[Message]:
    """At most `size` messages with after < sequence < before, in the order asked for."""
    order = messages.c.sequence.desc() if newest_first else messages.c.sequence.asc()
    query = (
        sa.select(*COLUMNS)
        .where(
            messages.c.channel_id == channel_id,
            messages.c.sequence > after,
            messages.c.sequence < before,
        )
        .order_by(order)
        .limit(size)
    )
    return [message_of(row) for row in connection.execute(query)]


def head(connection: sa.Connection, channel_id: int) -> int:
    """The channel's head; 0 for a channel that does not exist."""
    return connection.execute(_HEAD, {"of_channel": channel_id}).scalar() or 0


def heads(connection: sa.Connection, channel_ids: Sequence[int]) -> dict[int, int]:
    """The heads of channels."""
    query = sa.select(channels.c.channel_id, channels.c.sequence).where(channels.c.channel_id.in_(channel_ids))
    return {row.channel_id: row.sequence for row in connection.execute(query)}


def joined_at(connection: sa.Connection, channel_id: int, user_id: int) -> int:
    """The sequence with which a user last joined a channel; 0 where nobody is told of joining."""
    query = (
        sa.select(messages.c.sequence)
        .where(
            messages.c.channel_id == channel_id,
            messages.c.author_id == user_id,
            messages.c.content == Content.MEMBER_JOINED.value,
        )
        .order_by(messages.c.sequence.desc())
        .limit(1)
    )
    return connection.execute(query).scalar() or 0


def changed(
    connection: sa.Connection, channel_id: int, after: int, most: int, most_bytes: int, until: int | None = None
) -> Changes:
    """What changed after `after`: a complete range, of at most `most` messages and about `most_bytes` bytes of text,
    that does not go beyond `until`.

    The head is read first: a message that changes between the two reads then belongs to the next range, not to none.
    """
    end = head(connection, channel_id)
    if until is not None:
        end = min(end, until)
    rows = connection.execute(_CHANGED, {"of_channel": channel_id, "after": after, "head": end, "most": most}).all()
    found = [message_of(row) for row in rows]
    size = 0
    for count, message in enumerate(found, 1):
        size += len(message.text)
        if size > most_bytes and count < len(found):
            return Changes(channel_id, after, message.version, found[:count])
    return Changes(channel_id, after, found[-1].version if len(found) == most else max(end, after), found)


def message_of(row: Sequence[Any]) -> Message:
    """The message in a row that begins with `COLUMNS`."""
    return Message(row[0], row[1], row[2], row[3], row[4], _CONTENT[row[5]], row[6])
