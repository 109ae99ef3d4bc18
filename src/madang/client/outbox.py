"""Messages that wait for the server's verdict, in the order in which they were posted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from madang.client.journal import Journal
from madang.client.outgoing import Outgoing, Receipt
from madang.client.store import Post, Store
from madang.core.errors import (
    InvalidField,
    MadangError,
    RequestIdReused,
    StorageUnavailable,
    TextNotAllowed,
)
from madang.v1.buf.validate import validate_pb2
from madang.v1.channel_service_pb2 import SendRequest


class Outbox:
    """From `post` to the verdict. A message is `ready` to be sent when it is on disk, if there is a disk."""

    def __init__(self, store: Store, moved: Callable[[Outgoing], None]) -> None:
        """`moved` is told of every message that reached STORED or FAILED."""
        self.ready: deque[Outgoing] = deque()
        """To be sent next, in order. The sender takes from the left, and puts back there."""
        self.journal = Journal(store, self._written)
        self._durable = store.durable
        self._pending: dict[str, Outgoing] = {}
        self._moved = moved
        self._ended: Exception | None = None
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def pending(self) -> list[Outgoing]:
        """What has no verdict yet, in order."""
        return list(self._pending.values())

    def load(self, posts: Iterable[Post], stranger: MadangError | None) -> None:
        """Go on with what an earlier process left; with `stranger`, it was another user's, and has failed for that."""
        for post in posts:
            self._empty.clear()
            outgoing = Outgoing(post.request_id, post.channel_id or post.channel_name, post.text)
            self._pending[post.request_id] = outgoing
            if stranger is None:
                self._make_ready(outgoing)
            else:
                self.fail(outgoing, stranger)

    def add(self, outgoing: Outgoing) -> Outgoing:
        """Take a message; one that is here with the same request_id is returned in its place.

        Raises RequestIdReused when that one is a different message, and what ended the client.
        """
        if self._ended is not None:
            raise self._ended
        before = self._pending.get(outgoing.request_id)
        if before is not None:
            return _same(before, outgoing)
        self._pending[outgoing.request_id] = outgoing
        self._empty.clear()
        if not 0 <= outgoing.size <= _most_bytes():
            self.fail(outgoing, _unfit(outgoing))
        elif self._durable:
            self.journal.add(Post(outgoing.request_id, outgoing.channel_id, outgoing.channel_name, outgoing.text))
        else:
            self._make_ready(outgoing)
        return outgoing

    def settle(self, outgoing: Outgoing, receipt: Receipt) -> None:
        """It is stored."""
        if self._leaves(outgoing):
            outgoing._settle(receipt)
            self._moved(outgoing)

    def fail(self, outgoing: Outgoing, error: MadangError) -> None:
        """It was refused."""
        if self._leaves(outgoing):
            outgoing._fail(error)
            self._moved(outgoing)

    def end(self, error: Exception) -> None:
        """Nothing is sent any more: everyone who waits gets `error`."""
        if self._ended is None:
            self._ended = error
            for outgoing in self._pending.values():
                outgoing._end(error)
            self._empty.set()

    def fail_all(self, error: MadangError) -> None:
        """Give up everything that has no verdict."""
        for outgoing in self.pending:
            self.fail(outgoing, error)
        self.ready.clear()

    async def wait_ready(self) -> None:
        """Wait until there is something to send."""
        while not self.ready:
            await self.wait_news()

    async def wait_news(self) -> None:
        """Wait until something is posted, or `wake` is called."""
        self._news.clear()
        await self._news.wait()

    async def wait_empty(self) -> None:
        """Wait until everything has its verdict, or nothing will get one any more."""
        await self._empty.wait()

    def wake(self) -> None:
        """End `wait_news`."""
        self._news.set()

    def _make_ready(self, outgoing: Outgoing) -> None:
        self.ready.append(outgoing)
        self._news.set()

    def _written(self, posts: Sequence[Post], error: OSError | None) -> None:
        for post in posts:
            outgoing = self._pending.get(post.request_id)
            if outgoing is None:
                continue
            if error is None:
                self._make_ready(outgoing)
            else:
                self.fail(outgoing, StorageUnavailable(problem=f"this computer cannot keep it: {error}"))

    def _leaves(self, outgoing: Outgoing) -> bool:
        """Take it out; False when it has its verdict already, because everything was given up."""
        if self._pending.pop(outgoing.request_id, None) is None:
            return False
        if self._durable:
            self.journal.remove(outgoing.request_id)
        if not self._pending:
            self._empty.set()
        return True


def _same(before: Outgoing, again: Outgoing) -> Outgoing:
    same_id = before.channel_id == again.channel_id != 0
    same_name = before.channel_name.lower() == again.channel_name.lower() != ""
    if before.text != again.text or not (same_id or same_name):
        raise RequestIdReused(request_id=again.request_id)
    return before


def _unfit(outgoing: Outgoing) -> MadangError:
    if outgoing.size < 0:
        return TextNotAllowed(problem="is not valid Unicode")
    return InvalidField(field="text", rule=f"must be at most {_most_bytes()} bytes")


@cache
def _most_bytes() -> int:
    """The longest text that the contract allows. Longer ones would not even fit into a list of posts."""
    rules = SendRequest.DESCRIPTOR.fields_by_name["text"].GetOptions().Extensions[validate_pb2.field]
    return rules.string.max_bytes
