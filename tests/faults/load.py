"""Writers and readers together, over several channels, and the judgement in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress

from .checker import Verdict, check
from .history import Entry, History
from .people import Person, connect, make_channel, sign_in, stored_in
from .process import PATIENCE, eventually
from .readers import Reader
from .writers import PostWriter, SendWriter, Writer

HABITS = ((False, 0.0), (True, 0.0), (False, 0.05), (True, 0.01))
"""Of readers: whether it is restless, and how long it idles after every response."""


class Load:
    """Made by `under_load`."""

    def __init__(self, target: str, owner: Person, channel_ids: list[int], seed: int) -> None:
        self.target = target
        self.history = History()
        self.stored: dict[int, list[Entry]] = {}
        self._owner = owner
        self._channel_ids = channel_ids
        self._rng = random.Random(seed)
        self._writers: list[Writer] = []
        self._readers: list[Reader] = []
        self._tasks: list[asyncio.Task[None]] = []

    def people(self, kinds: Sequence[type[Writer]], readers: int, names: Iterator[Person]) -> None:
        """Writers of these kinds, every third of which gives up on some messages; readers of several habits."""
        for index, kind in enumerate(kinds):
            abandons = 0.3 if index % 3 == 2 else 0.0
            writer = kind(
                next(names), self.target, self._channel_ids, self.history, self._own_random(), abandons=abandons
            )
            self._writers.append(writer)
        for index in range(readers):
            restless, rest = HABITS[index % len(HABITS)]
            reader = Reader(
                next(names),
                self.target,
                self._channel_ids,
                self.history,
                self._own_random(),
                restless=restless,
                rest=rest,
            )
            self._readers.append(reader)

    @property
    def streams(self) -> int:
        """How many live streams the readers have had."""
        return sum(reader.streams for reader in self._readers)

    def _own_random(self) -> random.Random:
        return random.Random(self._rng.random())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let everyone work. What fails in a client fails the test."""
        async with asyncio.TaskGroup() as group:
            self._tasks = [group.create_task(writer.run()) for writer in self._writers]
            readers = [group.create_task(reader.run()) for reader in self._readers]
            yield
            for task in (*self._tasks, *readers):
                task.cancel()

    async def goes_on(self, more: int = 50, patience: float = PATIENCE) -> None:
        """Wait until so many more messages were acknowledged, and until every reader has read on."""
        acknowledged = self.history.acknowledged
        read = [reader.read() for reader in self._readers]

        def all_go_on() -> bool:
            reading = all(reader.read() > before for reader, before in zip(self._readers, read, strict=True))
            return reading and self.history.acknowledged >= acknowledged + more

        await eventually(all_go_on, f"the clients go on; their errors so far: {dict(self.history.errors)}", patience)

    async def settle(self) -> Verdict:
        """Let the writers finish and the readers catch up, and judge."""
        for writer in self._writers:
            writer.stop()
        await asyncio.wait_for(asyncio.gather(*self._tasks), PATIENCE)
        async with connect(self.target) as connection:
            for channel_id in self._channel_ids:
                self.stored[channel_id] = await stored_in(connection, self._owner, channel_id)
        heads = {channel_id: entries[-1].sequence for channel_id, entries in self.stored.items()}
        with suppress(AssertionError):  # the checker says better what is missing
            await eventually(lambda: all(reader.stands_at(heads) for reader in self._readers), "readers catch up")
        return check(self.history, self.stored)


@asynccontextmanager
async def under_load(
    target: str,
    seed: int,
    *,
    kinds: Sequence[type[Writer]] = (PostWriter, SendWriter, PostWriter, PostWriter, SendWriter),
    readers: int = 4,
    channels: int = 3,
) -> AsyncIterator[Load]:
    """Writers of these kinds and readers, all of them in several channels, at work."""
    async with connect(target) as connection:
        people = [await sign_in(connection, f"person-{number}") for number in range(len(kinds) + readers)]
        channel_ids = [
            await make_channel(connection, people[0], f"room-{number}", people) for number in range(channels)
        ]
    load = Load(target, people[0], channel_ids, seed)
    load.people(kinds, readers, iter(people))
    async with load.running():
        yield load
