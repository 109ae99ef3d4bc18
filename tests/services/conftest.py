"""The services over a store of their own, and a store whose answers can be held back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from support import PATIENCE, Parts, Where, parts


@pytest.fixture
async def own(where: Where) -> AsyncIterator[Parts]:
    """All services of a node."""
    async with parts(where) as made:
        yield made


class SlowStore:
    """Holds back what the store answered, as a busy disk would: the answer is from before, and comes after."""

    def __init__(self, own: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
        self._read: Callable[..., Any] = own.store.read
        self._held: set[object] = set()
        self._delayed: set[object] = set()
        self._all = False
        self.waiting = 0
        self._asked = asyncio.Event()
        self._answer = asyncio.Event()
        monkeypatch.setattr(own.store, "read", self.read)

    async def read(self, query: Callable[..., Any], *args: object) -> Any:
        if query in self._delayed:
            await self._wait()
        answer = await self._read(query, *args)
        if query in self._held or self._all:
            await self._wait()
        return answer

    async def _wait(self) -> None:
        self.waiting += 1
        self._asked.set()
        await self._answer.wait()

    def delay(self, query: Callable[..., Any]) -> None:
        """Let the store look only when it may answer: the answer is from then."""
        self.hold(query)
        self._held, self._delayed = set(), self._held

    def hold(self, *queries: Callable[..., Any]) -> None:
        """Hold back the answers to these, from now on; to everything when none is named."""
        self._held, self._all = set(queries), not queries
        self._asked.clear()
        self._answer.clear()

    async def is_asked(self) -> None:
        """Wait until there is an answer that is held back."""
        async with asyncio.timeout(PATIENCE):
            await self._asked.wait()

    def answer(self) -> None:
        """Let everything through."""
        self._held, self._all = set(), False
        self._answer.set()


@pytest.fixture
def slow(own: Parts, monkeypatch: pytest.MonkeyPatch) -> SlowStore:
    """The services' store, made slow."""
    return SlowStore(own, monkeypatch)


@pytest.fixture(autouse=True)
def nothing_goes_wrong_in_silence(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the server logs as an error fails the test: the bus, above all, only logs what a handler raises."""
    yield
    assert [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR] == []
