"""What a transaction has locked, where other nodes write into the same database.

Two kinds of locks, and both end with the transaction, however it ends:

- a row of `channels`, by whoever writes into the channel: it gives the channel its one order;
- the operations' lock, one for the whole database, by whoever changes anything but messages: what holds where there is
  one writer (the last owner stays, an invite is used once) then holds over any number of nodes.

Messages lock their channels in the order of the ids, so over channels they never wait for each other in a circle. An
operation learns only as it goes which channels it writes into. Where it wants one out of that order, it does not wait
for it: when somebody else has it, the transaction is given up, and run again with all of its channels locked first.

Rows that are locked because they are written are in no such order. Those of `members` can make a circle with a channel:
an operation that has noted what somebody read and then wants the channel, and a message that has the channel and notes
when somebody wrote. PostgreSQL sees the circle and ends one of the two, which is run again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError

from madang.storage.schema import channels

SPACE = 0x4D414447
"""The first of the two numbers of our advisory locks: "MADG"."""
OPERATIONS = 1
MIGRATIONS = 2

_LOCK_NOT_AVAILABLE = "55P03"
_CHANNELS = (
    sa.select(channels.c.channel_id)
    .where(channels.c.channel_id == sa.any_(sa.bindparam("ids", type_=ARRAY(sa.BigInteger))))
    .order_by(channels.c.channel_id)
)
_IN_ORDER = _CHANNELS.with_for_update()
_AT_ONCE = _CHANNELS.with_for_update(nowait=True)


def turn(number: int) -> str:
    """SQL that waits for a lock that one transaction in the whole database has at a time. Before any row is locked."""
    return f"SELECT pg_advisory_xact_lock({SPACE}, {number})"


def opening(operations: bool, channel_ids: Collection[int]) -> str:
    """SQL that locks what a transaction is known to need, as plain numbers: so it takes one trip with its BEGIN."""
    statements = [turn(OPERATIONS)] if operations else []
    if channel_ids:
        ids = ", ".join(map(str, sorted(channel_ids)))
        rows = f"SELECT FROM {channels} WHERE channel_id IN ({ids}) ORDER BY channel_id FOR UPDATE"
        statements.append(rows)
    return "; ".join(statements)


class OutOfOrder(Exception):
    """Channels had to be locked out of order, and one of them is not free: run again, with all of these first."""

    def __init__(self, channel_ids: frozenset[int]) -> None:
        super().__init__(sorted(channel_ids))
        self.channel_ids = channel_ids


class Locks:
    """The locks of one transaction. `held`: the channels; whoever goes back to a savepoint sets it back too."""

    def __init__(self, connection: sa.Connection, held: frozenset[int]) -> None:
        """`held`: what the transaction was opened with."""
        self.held = held
        self._connection = connection

    def channels(self, channel_ids: Iterable[int]) -> None:
        """Lock these channels until the transaction ends, those that there are. Raises OutOfOrder."""
        wanted = frozenset(channel_ids) - self.held
        if not wanted:
            return
        ids = sorted(wanted)
        if not self.held or ids[0] > max(self.held):
            self._connection.execute(_IN_ORDER, {"ids": ids})
        else:
            try:
                self._connection.execute(_AT_ONCE, {"ids": ids})
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE:
                    raise OutOfOrder(self.held | wanted) from None
                raise
        self.held |= wanted
