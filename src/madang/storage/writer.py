"""Group commit: what arrives while a commit runs is stored by the next one; durability is paid once for the group."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from madang.core.counting import SIZES, Histogram
from madang.core.errors import Internal, MadangError, Overloaded, ServerDraining, StorageUnavailable
from madang.core.events import Event
from madang.core.models import Changes, Draft, Message
from madang.core.outages import Outage
from madang.storage.database import Database, Failures
from madang.storage.errors import NotUnique, is_of_a_value, not_storable, unavailable
from madang.storage.locks import Locks, OutOfOrder, opening
from madang.storage.transaction import Transaction

T = TypeVar("T")

Appended = Message | MadangError
"""What became of a draft."""

Append = Callable[[Transaction, Sequence[Draft]], list[Appended]]
"""Stores drafts in their order, and says of each what became of it. Unless the transaction is `careful` it may raise
NotUnique at a repeat; the group is then run again, carefully."""

Operation = Callable[[Transaction], T]

MAX_GROUP = 1024 * 1024
"""How much goes into one commit, so that none takes long. In bytes of text; what else a row or an operation costs is
counted as if it were text."""

MAX_WAITING = 64 * 1024 * 1024
"""How much may wait for its turn before more is refused."""

GATHER = 0.006
"""How far apart commits begin, seconds, while the fan-out is behind: what was stored earlier would not be read earlier,
and a few large commits cost less than many small ones."""

TRIES = 10
"""How often a group is run at most, because of what was found under way: a repeat, channels that were not free."""

DRAFT_WEIGHT = 200
OPERATION_WEIGHT = 4_000

_log = logging.getLogger("madang.storage")


@dataclass(slots=True)
class _Waiting:
    """Something that waits to be stored: an operation, or drafts."""

    future: asyncio.Future[Any]
    weight: int
    operation: Operation[Any] | None = None
    drafts: Sequence[Draft] = ()


class Writer:
    """The one place that writes. What is asked for waits here, and leaves in groups, in the order of its coming."""

    def __init__(
        self,
        database: Database,
        append: Append,
        committed: Callable[[list[Event]], None],
        clock: Callable[[], int],
        unhurried: Callable[[], bool],
        recovered: Callable[[], None],
    ) -> None:
        """`committed` is told of the events right after their commit, in order, before anyone is answered.

        `unhurried` says whether what is stored now would have to wait for its readers anyway. `recovered` is called
        when something could be stored after something could not: some of that may be stored, and nobody was told.
        """
        self._database = database
        self._recovered = recovered
        self._append = append
        self._committed = committed
        self._clock = clock
        self._unhurried = unhurried
        self._began = 0.0
        self._queue: deque[_Waiting] = deque()
        self._weight = 0
        self._news = asyncio.Event()
        self._closing = False
        self._failing = False
        self._outage = Outage()
        self.commit_seconds = Histogram()
        """How long commits took."""
        self.group_size = Histogram(SIZES)
        """How many drafts and operations went into one."""
        self.stored = 0
        """How many messages, and changes that are told as messages, were stored."""
        self.failures = 0
        """How many commits failed."""
        self.traced: Callable[[set[str], float, int], None] | None = None
        """Told of each commit: the traces in it, how long it took, how much was in it."""

    @property
    def waiting(self) -> int:
        """The weight of what waits for its commit; see MAX_WAITING."""
        return self._weight

    async def run(self, operation: Operation[T]) -> T:
        """Run the operation in the next commit; return when that is on disk.

        Raises what the operation raises, and Overloaded, ServerDraining, StorageUnavailable.
        """
        result: T = await self._add(OPERATION_WEIGHT, operation=operation)
        return result

    def append(self, drafts: Sequence[Draft]) -> asyncio.Future[list[Appended]]:
        """Store the drafts with the next commit. The future fails as a whole only when the commit does.

        Drafts that were handed over earlier are stored earlier. Raises Overloaded and ServerDraining at once.
        """
        if not drafts:
            nothing: asyncio.Future[list[Appended]] = asyncio.get_running_loop().create_future()
            nothing.set_result([])
            return nothing
        return self._add(sum(len(draft.text) for draft in drafts) + DRAFT_WEIGHT * len(drafts), drafts=drafts)

    async def work(self) -> None:
        """Commit group after group, until `close` was called and nothing waits."""
        while not (self._closing and not self._queue):
            await self._news.wait()
            self._news.clear()
            while self._queue:
                await self._gather()
                self._began = asyncio.get_running_loop().time()
                await self._commit(self._take())

    def close(self) -> None:
        """Take nothing new; `work` returns when what waits is stored."""
        self._closing = True
        self._news.set()

    def _add(
        self, weight: int, operation: Operation[Any] | None = None, drafts: Sequence[Draft] = ()
    ) -> asyncio.Future[Any]:
        if self._closing:
            raise ServerDraining(retry_after=1)
        if self._weight + weight > MAX_WAITING:
            raise Overloaded(problem="the store is behind", retry_after=1)
        waiting = _Waiting(asyncio.get_running_loop().create_future(), weight, operation, drafts)
        self._queue.append(waiting)
        self._weight += weight
        self._news.set()
        return waiting.future

    async def _gather(self) -> None:
        """Let a larger group come together, when that costs nobody anything."""
        rest = self._began + GATHER - asyncio.get_running_loop().time()
        if rest > 0 and not self._closing and self._weight < MAX_GROUP and self._unhurried():
            await asyncio.sleep(rest)

    def _take(self) -> list[_Waiting]:
        """The next group: from the front of the queue, at least one, at most what may go into a commit.

        Where others write too, it is either drafts or operations: their locks are of different kinds.
        """
        group: list[_Waiting] = []
        weight = 0
        while self._queue and (not group or weight + self._queue[0].weight <= MAX_GROUP):
            if self._database.shared and group and (group[0].operation is None) != (self._queue[0].operation is None):
                break
            weight += self._queue[0].weight
            group.append(self._queue.popleft())
        self._weight -= weight
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        began = time.perf_counter()
        try:
            events, outcomes = await self._write(group)
        except _FailedError as error:  # nothing was stored, and nothing is known of the store
            _settle(group[0].future, error.error)
            return
        except Exception as error:
            self._fail(group, error)
            return
        recovered, self._failing = self._failing, False
        failed_for = self._outage.worked(asyncio.get_running_loop().time())
        took, size = time.perf_counter() - began, sum(len(waiting.drafts) or 1 for waiting in group)
        self.commit_seconds.observe(took)
        self.group_size.observe(size)
        if self.traced is not None:
            self.traced({draft.trace for waiting in group for draft in waiting.drafts} - {""}, took, size)
        self.stored += sum(len(event.messages) for event in events if isinstance(event, Changes))
        self._committed(events)
        for waiting, outcome in zip(group, outcomes, strict=True):
            _settle(waiting.future, outcome)
        if failed_for is not None:
            _log.warning("the store can be written again; it could not %s", failed_for)
        if recovered:  # whether or not the log was told
            self._recovered()

    async def _write(self, group: list[_Waiting]) -> tuple[list[Event], list[Any]]:
        """The events, and what became of each. Raises _FailedError where the group is one operation, and it failed."""
        if not self._database.shared:
            try:
                return await self._database.write(partial(self._store, group, False, None))
            except NotUnique:
                return await self._database.write(partial(self._store, group, True, None))
        careful = False
        operations = group[0].operation is not None
        first = frozenset(draft.channel_id for waiting in group for draft in waiting.drafts)
        for _ in range(TRIES):
            try:
                store = partial(self._store, group, careful, first)
                return await self._database.write(store, opening(operations, first))
            except NotUnique:  # careful already: another node has stored the same key since
                careful = True
            except OutOfOrder as error:
                first = error.channel_ids
        raise unavailable("nothing was stored: too many others write the same; try again")

    def _fail(self, group: list[_Waiting], error: Exception) -> None:
        """Tell everyone of the group. Drafts that wait must not overtake those that failed: they fail too."""
        self.failures += 1
        self._failing = True
        for_how_long = self._outage.failed(asyncio.get_running_loop().time())
        if for_how_long is not None:
            known = isinstance(error, MadangError)
            text = error.in_full if isinstance(error, MadangError) else str(error)
            _log.error("the store cannot be written%s: %s", for_how_long, text, exc_info=not known)
        behind = [waiting for waiting in self._queue if waiting.drafts]
        self._queue = deque(waiting for waiting in self._queue if not waiting.drafts)
        self._weight = sum(waiting.weight for waiting in self._queue)
        for waiting in group:
            _settle(waiting.future, _failure(error, waiting))
        for waiting in behind:
            _settle(waiting.future, _failure_before(error))

    def _store(
        self, group: list[_Waiting], careful: bool, locked: frozenset[int] | None, connection: sa.Connection
    ) -> tuple[list[Event], list[Any]]:
        """Runs where the database runs it: everything of one group, in one transaction, in its order. `locked`: the
        channels that are locked already; None where that is no matter.
        """
        transaction = Transaction(connection, self._clock(), careful)
        if locked is not None:
            transaction.locks = Locks(connection, locked)
            if len(group) == 1 and group[0].operation is not None:
                return _alone(transaction, group[0].operation, self._database.failures)
        outcomes: list[Any] = []
        drafts: list[Draft] = []
        sizes: list[int] = []

        def flush() -> None:
            appended = self._append(transaction, drafts) if drafts else []
            start = 0
            for size in sizes:
                outcomes.append(appended[start : start + size])
                start += size
            drafts.clear()
            sizes.clear()

        for waiting in group:
            if waiting.operation is None:
                drafts += waiting.drafts
                sizes.append(len(waiting.drafts))
            else:
                flush()
                outcomes.append(_isolated(transaction, waiting.operation, self._database.failures))
        flush()
        return transaction.events, outcomes


def _isolated(transaction: Transaction, operation: Operation[Any], failures: Failures) -> Any:
    """The operation's result, or what it raised: then nothing of it stays in the transaction.

    A database that fails, fails everyone: the transaction cannot be trusted any more. `failures`: see Database.
    """
    before = len(transaction.events)
    held = transaction.locks.held if transaction.locks is not None else frozenset()
    try:
        with transaction.connection.begin_nested():
            return operation(transaction)
    except Exception as error:
        failure = _of_its_own(error, failures)
        del transaction.events[before:]
        if transaction.locks is not None:
            transaction.locks.held = held
        return failure


def _of_its_own(error: Exception, failures: Failures) -> Exception:
    """What an operation is told that raised this. Raises it where that is not the operation's matter alone."""
    if isinstance(error, DBAPIError) and is_of_a_value(error):
        return not_storable(error)
    if isinstance(error, (*failures, OutOfOrder)):
        raise error
    return error


class _FailedError(Exception):
    """The one operation of a transaction failed, with this error."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def _alone(transaction: Transaction, operation: Operation[Any], failures: Failures) -> tuple[list[Event], list[Any]]:
    """The same for the only operation of a transaction, which needs no savepoint. Raises _FailedError."""
    try:
        outcome = operation(transaction)
    except Exception as error:
        raise _FailedError(_of_its_own(error, failures)) from error
    return transaction.events, [outcome]


def _failure(error: Exception, waiting: _Waiting) -> MadangError:
    """What one of a group is told whose commit failed. Where nobody knows whether it happened, what to do about that is
    not the same for all: a draft with a request_id is sent again, and what has none may be done twice.
    """
    if not isinstance(error, StorageUnavailable) or error.is_settled:
        return _for_the_caller(error)
    if waiting.operation is None and all(draft.request_id for draft in waiting.drafts):
        advice = "send it again with the same request_id"
    else:
        advice = "see whether it happened before you do it again"
    failure = unavailable(f"{error}; {advice}", error.detail, settled=False)
    failure.__cause__ = error
    return failure


def _failure_before(error: Exception) -> MadangError:
    """What drafts are told that waited behind a group whose commit failed: of them nothing was stored for certain."""
    if not isinstance(error, StorageUnavailable) or error.is_settled:
        return _for_the_caller(error)
    failure = unavailable("nothing was stored: it waited behind a commit that failed; send it again", error.detail)
    failure.__cause__ = error
    return failure


def _for_the_caller(error: Exception) -> MadangError:
    if isinstance(error, MadangError):
        return error
    failure = Internal()
    failure.__cause__ = error
    return failure


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():  # its caller has gone
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
        future.exception()  # who asked may have gone without a word, with the stream it came by
    else:
        future.set_result(outcome)
