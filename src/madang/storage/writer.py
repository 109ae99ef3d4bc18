"""Group commit: what arrives while a commit runs is stored by the next one; durability is paid once for the group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa

from madang.core.errors import Internal, MadangError, Overloaded, ServerDraining
from madang.core.events import Event
from madang.core.models import Draft, Message
from madang.storage.database import Database
from madang.storage.errors import NotUnique
from madang.storage.transaction import Transaction

T = TypeVar("T")

Appended = Message | MadangError
"""What became of a draft."""

Append = Callable[[Transaction, Sequence[Draft]], list[Appended]]
"""Stores drafts in their order, and says of each what became of it. Unless the transaction is `careful` it may raise
NotUnique at a repeat; the group is then run again, carefully."""

Operation = Callable[[Transaction], T]

MAX_WAITING = 50_000
"""How many drafts may wait for their turn before new ones are refused."""

MAX_GROUP = 2_000
"""How many drafts go into one commit, so that no commit takes long."""


class Writer:
    """The one place that writes. Operations and drafts wait here, and leave in groups, in the order of their coming."""

    def __init__(
        self,
        database: Database,
        append: Append,
        committed: Callable[[list[Event]], None],
        clock: Callable[[], int],
    ) -> None:
        """`committed` is told of the events right after their commit, in order, before anyone is answered."""
        self._database = database
        self._append = append
        self._committed = committed
        self._clock = clock
        self._operations: list[tuple[Operation[Any], asyncio.Future[Any]]] = []
        self._drafts: list[tuple[Sequence[Draft], asyncio.Future[list[Appended]]]] = []
        self._waiting = 0
        self._news = asyncio.Event()
        self._closing = False

    async def run(self, operation: Operation[T]) -> T:
        """Run the operation in the next commit; return when that is on disk. Raises what the operation raises."""
        if self._closing:
            raise ServerDraining(retry_after=1)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._operations.append((operation, future))
        self._news.set()
        return await future

    def append(self, drafts: Sequence[Draft]) -> asyncio.Future[list[Appended]]:
        """Store the drafts with the next commit. The future fails as a whole only when the commit does.

        Drafts that were handed over earlier are stored earlier. Raises Overloaded and ServerDraining at once.
        """
        if self._closing:
            raise ServerDraining(retry_after=1)
        if self._waiting + len(drafts) > MAX_WAITING:
            raise Overloaded(problem="the store is behind", retry_after=1)
        future: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
        if not drafts:
            future.set_result([])
            return future
        self._drafts.append((drafts, future))
        self._waiting += len(drafts)
        self._news.set()
        return future

    async def work(self) -> None:
        """Commit group after group, until `close` was called and nothing waits."""
        while not (self._closing and not self._operations and not self._drafts):
            await self._news.wait()
            self._news.clear()
            while self._operations or self._drafts:
                operations, self._operations = self._operations, []
                await self._commit(operations, self._take_drafts())

    def close(self) -> None:
        """Take nothing new; `work` returns when what waits is stored."""
        self._closing = True
        self._news.set()

    def _take_drafts(self) -> list[tuple[Sequence[Draft], asyncio.Future[list[Appended]]]]:
        size = taken = 0
        for drafts, _ in self._drafts:
            if taken and size + len(drafts) > MAX_GROUP:
                break
            size += len(drafts)
            taken += 1
        group, self._drafts = self._drafts[:taken], self._drafts[taken:]
        self._waiting -= size
        return group

    async def _commit(
        self,
        operations: list[tuple[Operation[Any], asyncio.Future[Any]]],
        posts: list[tuple[Sequence[Draft], asyncio.Future[list[Appended]]]],
    ) -> None:
        drafts = [draft for few, _ in posts for draft in few]
        work = partial(self._group, [operation for operation, _ in operations], drafts)
        try:
            try:
                events, outcomes, appended = await self._database.write(partial(work, False))
            except NotUnique:
                events, outcomes, appended = await self._database.write(partial(work, True))
        except Exception as error:
            failure = error if isinstance(error, MadangError) else Internal()
            failure.__cause__ = failure.__cause__ or error
            # Drafts that wait behind those that failed must not overtake them: they fail too, and are sent again.
            waiting, self._drafts, self._waiting = self._drafts, [], 0
            for _, future in (*operations, *posts, *waiting):
                if not future.done():
                    future.set_exception(failure)
            return
        self._committed(events)
        for (_, future), outcome in zip(operations, outcomes, strict=True):
            _settle(future, outcome)
        start = 0
        for few, future in posts:
            _settle(future, appended[start : start + len(few)])
            start += len(few)

    def _group(
        self, operations: list[Operation[Any]], drafts: list[Draft], careful: bool, connection: sa.Connection
    ) -> tuple[list[Event], list[Any], list[Appended]]:
        """Runs in the writer's thread: everything of one group, in one transaction."""
        transaction = Transaction(connection, self._clock(), careful)
        outcomes = [_isolated(transaction, operation) for operation in operations]
        appended = self._append(transaction, drafts) if drafts else []
        return transaction.events, outcomes, appended


def _isolated(transaction: Transaction, operation: Operation[Any]) -> Any:
    """The operation's result, or the error that it raised: then nothing of it stays in the transaction."""
    before = len(transaction.events)
    try:
        with transaction.connection.begin_nested():
            return operation(transaction)
    except MadangError as error:
        del transaction.events[before:]
        return error


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():  # its caller has gone
        return
    if isinstance(outcome, MadangError):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
