"""What an operation of the store works in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from madang.core.events import Event
from madang.storage.errors import NotUnique
from madang.storage.locks import Locks


@dataclass(slots=True)
class Transaction:
    """One transaction of the writer.

    `now` is its time, microseconds. What others need to know of it is left in `events`: it rings the bus
    right after the commit, before anyone is answered. `careful`: look for repeated drafts first, because one was found.
    `locks`: what it has locked, where others write into the same database; None where there is one writer.
    """

    connection: sa.Connection
    now: int
    careful: bool = False
    events: list[Event] = field(default_factory=list)
    locks: Locks | None = None

    def lock_channels(self, channel_ids: Iterable[int]) -> None:
        """Nobody else writes into these channels until the transaction ends. Called before anything that decides over
        the write is read; what is read afterwards is as it is now.
        """
        if self.locks is not None:
            self.locks.channels(channel_ids)


@contextmanager
def unique(transaction: Transaction, last: bool = False) -> Iterator[None]:
    """Around a statement that a unique key may refuse: raises NotUnique then, and the transaction can go on.

    SQLite undoes the statement alone. PostgreSQL undoes everything up to the last savepoint, so there is one here;
    unless `last` says that nobody goes on after NotUnique.
    """
    try:
        if transaction.locks is None or last:
            yield
        else:
            with transaction.connection.begin_nested():
                yield
    except IntegrityError as error:
        raise NotUnique from error
