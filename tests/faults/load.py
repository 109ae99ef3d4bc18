"""Writers and readers together, over several channels, and the judgement in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from .checker import Fault, Finding, Verdict, check
from .history import Entry, History
from .people import Person, Route, connect, make_channel, sign_in, stored_in
from .process import PATIENCE, eventually
from .pulse import Pulse
from .readers import Reader
from .sdk import SdkPerson
from .writers import PostWriter, SendWriter, Writer

HABITS = ((False, 0.0), (True, 0.0), (False, 0.05), (True, 0.01))
"""Of readers: whether it is restless, and how long it idles after every response."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who works: writers of these kinds, readers of several habits, and users of the SDK, in so many channels.

    `pace`: how many messages a second each of them writes at most; 0: as many as it can (users of the SDK need one).
    """

    kinds: Sequence[type[Writer]] = (PostWriter, SendWriter, PostWriter, PostWriter, SendWriter)
    readers: int = 4
    sdk: int = 0
    channels: int = 3
    pace: float = 0.0
    habits: Sequence[tuple[bool, float]] = HABITS

    @property
    def size(self) -> int:
        """How many people it takes."""
        return len(self.kinds) + self.readers + self.sdk


@dataclass(frozen=True, slots=True)
class Watched:
    """A client, as its pulse tells of it."""

    name: str
    pulse: Pulse
    target: Callable[[], str]
    """Where it is at."""


class Load:
    """Made by `under_load`."""

    def __init__(self, target: str, owner: Person, channel_ids: list[int], seed: int) -> None:
        self.target = target
        self.history = History()
        self.stored: dict[int, list[Entry]] = {}
        self.writers: list[Watched] = []
        self.readers: list[Watched] = []
        self._targets = target.split(",")
        self._owner = owner
        self._channel_ids = channel_ids
        self._rng = random.Random(seed)
        self._writers: list[Writer] = []
        self._readers: list[Reader] = []
        self._sdk: list[SdkPerson] = []
        self._tasks: list[asyncio.Task[None]] = []

    def people(self, crowd: Crowd, names: Iterator[Person]) -> None:
        """Take on a crowd: every third writer gives up on some messages."""
        for index, kind in enumerate(crowd.kinds):
            self._add_writer(kind, next(names), 0.3 if index % 3 == 2 else 0.0, crowd.pace)
        for index in range(crowd.readers):
            self._add_reader(next(names), *crowd.habits[index % len(crowd.habits)])
        for _ in range(crowd.sdk):
            self._add_sdk(next(names), crowd.pace)

    @property
    def streams(self) -> int:
        """How many live streams the readers have had."""
        return sum(reader.streams for reader in self._everyone_reading)

    def _add_writer(self, kind: type[Writer], person: Person, abandons: float, pace: float) -> None:
        writer = kind(
            person, self._route(), self._channel_ids, self.history, self._own_random(), abandons=abandons, pace=pace
        )
        self._writers.append(writer)
        self.writers.append(Watched(f"{person.name} {kind.__name__}", writer.pulse, lambda: writer.route.target))

    def _add_reader(self, person: Person, restless: bool, rest: float) -> None:
        reader = Reader(
            person, self._route(), self._channel_ids, self.history, self._own_random(), restless=restless, rest=rest
        )
        self._readers.append(reader)
        self.readers.append(Watched(f"{person.name} Reader", reader.pulse, lambda: reader.route.target))

    def _add_sdk(self, person: Person, pace: float) -> None:
        target = ",".join(self._targets)
        sdk = SdkPerson(person, target, self._channel_ids, self.history, self._own_random(), pace)
        self._targets = [*self._targets[1:], self._targets[0]]
        self._sdk.append(sdk)
        self.writers.append(Watched(f"{person.name} SDK writing", sdk.writes, lambda: sdk.target))
        self.readers.append(Watched(f"{person.name} SDK reading", sdk.reads, lambda: sdk.target))

    def _route(self) -> Route:
        """The next client begins at the next server."""
        route = Route(*self._targets)
        self._targets = [*self._targets[1:], self._targets[0]]
        return route

    @property
    def _everyone_reading(self) -> list[Reader | SdkPerson]:
        return [*self._readers, *self._sdk]

    def _own_random(self) -> random.Random:
        return random.Random(self._rng.random())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Let everyone work. What fails in a client fails the test."""
        async with asyncio.TaskGroup() as group:
            self._tasks = [group.create_task(writer.run()) for writer in self._writers]
            self._tasks += [group.create_task(sdk.write()) for sdk in self._sdk]
            readers = [group.create_task(reader.run()) for reader in self._readers]
            readers += [group.create_task(sdk.follow()) for sdk in self._sdk]
            yield
            for task in (*self._tasks, *readers):
                task.cancel()

    async def goes_on(self, more: int = 50, patience: float = PATIENCE) -> None:
        """Wait until so many more messages were acknowledged, and until every reader has read on."""
        acknowledged = self.history.acknowledged
        read = [(reader, reader.read()) for reader in self._everyone_reading]

        def waiting() -> str:
            missing = acknowledged + more - self.history.acknowledged
            behind = [reader.person.name for reader, before in read if reader.read() <= before]
            return ", ".join(behind + ([f"{missing} acknowledgements"] if missing > 0 else []))

        try:
            await eventually(lambda: not waiting(), "everyone goes on", patience)
        except AssertionError:
            what = f"not within {patience:g} s: {waiting()}; the clients' errors: {dict(self.history.errors)}"
            raise AssertionError(what) from None

    async def settle(self, patience: float = PATIENCE) -> Verdict:
        """Let the writers finish and the readers catch up, and judge."""
        writers: list[Writer | SdkPerson] = [*self._writers, *self._sdk]
        for writer in writers:
            writer.stop()
        await asyncio.wait_for(asyncio.gather(*self._tasks), patience)
        self.stored = await self._list(self._targets[0])
        heads = {channel_id: entries[-1].sequence for channel_id, entries in self.stored.items()}
        with suppress(AssertionError):  # the checker says better what is missing
            await eventually(
                lambda: all(reader.stands_at(heads) for reader in self._everyone_reading), "readers catch up"
            )
        differing = [
            Finding(Fault.NODES_DIFFER, f"{self._targets[0]} and {target}")
            for target in self._targets[1:]
            if await self._list(target) != self.stored
        ]
        return Verdict((*check(self.history, self.stored).findings, *differing))

    async def _list(self, target: str) -> dict[int, list[Entry]]:
        async with connect(target) as connection:
            return {
                channel_id: list(map(self.history.same, await stored_in(connection, self._owner, channel_id)))
                for channel_id in self._channel_ids
            }


@asynccontextmanager
async def under_load(target: str, seed: int, crowd: Crowd = Crowd()) -> AsyncIterator[Load]:
    """A crowd at work at a server; at several, with commas between their addresses."""
    async with connect(target.partition(",")[0]) as connection:
        people = [await sign_in(connection, f"person-{number}") for number in range(crowd.size)]
        channel_ids = [
            await make_channel(connection, people[0], f"room-{number}", people) for number in range(crowd.channels)
        ]
    load = Load(target, people[0], channel_ids, seed)
    load.people(crowd, iter(people))
    async with load.running():
        yield load
