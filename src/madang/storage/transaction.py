"""What an operation of the store works in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from madang.core.events import Event
from madang.storage.errors import NotUnique


@dataclass(slots=True)
class Transaction:
    """One transaction of the writer.

    `now` is its time, microseconds. What others need to know of it is left in `events`: it rings the bus
    right after the commit, before anyone is answered. `careful`: look for repeated drafts first, because one was found.
    """

    connection: sa.Connection
    now: int
    careful: bool = False
    events: list[Event] = field(default_factory=list)


@contextmanager
def unique() -> Iterator[None]:
    """Around a statement that a unique key may refuse: raises NotUnique then."""
    try:
        yield
    except IntegrityError as error:
        raise NotUnique from error
