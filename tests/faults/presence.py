"""Who is shown as here while things go wrong, held against who has an open stream.

*Dwellers*, one at each node, past the proxies: each keeps a stream WatchPresence at its node, and comes back there and
nowhere else. What the stream tells is how that node shows presence. *Passers*, three for each fault, one at each node:
they come before the fault, and leave in it, or are cut off with their node, and do not come back.

- *Who is gone is gone*: 15 s after somebody's only stream ended, and 15 s after the last fault was over (a node that is
  killed is a fault that is over at once), no node shows them as here. Where nodes were kept from NATS it is a moment
  later: they have to come back to it first.
- *Who is here is here*: 15 s after the last fault was over every node shows everyone who has had a stream since then.
- *So it stays*: once every node was right after a fault, it is right until the next fault, without a moment's grace.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import grpc

from madang.v1 import channel_service_pb2, heartbeat_service_pb2

from .people import Connection, Person, problem_of, sign_in
from .process import eventually

LATEST = 15.0
"""Seconds after which presence has to be right: the promise."""
BACK_ON_NATS = 5.0
"""Seconds more where nodes have to come back to NATS first: they try every three seconds, and only then count."""
AGAIN = 0.1
"""Seconds before a dweller comes back, and between two looks."""

_Update = heartbeat_service_pb2.WatchPresenceResponse
_Stream: TypeAlias = (
    "grpc.aio.UnaryStreamCall[heartbeat_service_pb2.WatchPresenceRequest, heartbeat_service_pb2.WatchPresenceResponse]"
    " | grpc.aio.UnaryStreamCall[channel_service_pb2.SubscribeRequest, channel_service_pb2.SubscribeResponse]"
)


@dataclass(eq=False)
class Somebody:
    """A person, whether they have a stream open, and since when that is so."""

    person: Person
    here: bool = False
    since: float = field(default_factory=time.monotonic)

    def is_here(self, here: bool) -> None:
        """From now on, unless that is nothing new."""
        if here is not self.here:
            self.here = here
            self.since = time.monotonic()


@dataclass(eq=False)
class Dweller(Somebody):
    """What their node shows: the ids of those who are here; None: there is no stream that tells it."""

    node: str = ""
    shown: set[int] | None = None


class Presences:
    """An async context manager. Tell it of every fault: `disturb` when it begins, `calm` when it is over."""

    def __init__(
        self,
        nodes: Sequence[tuple[str, Connection]],
        rng: random.Random,
        errors: Counter[str],
        wrong: Callable[[str], None],
    ) -> None:
        """`nodes`: names, and connections past the proxies. `errors`: counts what streams end with. `wrong`: is told
        what must not be.
        """
        self._nodes = nodes
        self._rng = rng
        self._errors = errors
        self._wrong = wrong
        self._dwellers: list[Dweller] = []
        self._passers: list[Somebody] = []
        self._calm_since = math.inf
        self._right_since = math.inf
        self._patience = LATEST
        self._wrongly_shown: dict[str, float] = {}
        self._longest = 0.0
        self._told: set[str] = set()
        self._stack = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._group = await self._stack.enter_async_context(asyncio.TaskGroup())
        for name, connection in self._nodes:
            dweller = Dweller(await sign_in(connection, f"dweller-{len(self._dwellers) + 1}"), node=name)
            self._dwellers.append(dweller)
            self._tasks.append(self._group.create_task(self._dwell(dweller, connection)))
        self._tasks.append(self._group.create_task(self._judge()))
        self.calm()
        await self.right()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await self._stack.aclose()

    async def disturb(self) -> list[asyncio.Task[None]]:
        """A fault is about to begin, and passers are there; they leave when they are told to, see `leave`."""
        passers = [await self._come(connection) for _, connection in self._nodes]
        self._calm_since = self._right_since = math.inf
        return passers

    async def leave(self, passers: Sequence[asyncio.Task[None]], hold: float) -> None:
        """The passers go one by one, at random moments of a fault that lasts for so many seconds."""
        for passer in passers:
            await asyncio.sleep(self._rng.uniform(0, hold / len(passers)))
            passer.cancel()
        await asyncio.wait(passers)

    def calm(self, with_nats: bool = False) -> None:
        """The last fault is over. `with_nats`: one of them kept nodes from NATS."""
        self._calm_since = time.monotonic()
        self._patience = LATEST + BACK_ON_NATS if with_nats else LATEST
        self._longest = 0.0

    async def right(self) -> float | None:
        """Wait until every node shows everyone as they are. For how many seconds after the fault, and after they had
        come or gone, somebody was shown wrongly; None: it did not come to an end, and was told.
        """
        with suppress(AssertionError):
            await eventually(self._is_right, "every node shows who is here", 2 * LATEST)
            self._right_since = time.monotonic()
            self._look()
            return self._longest
        return None

    def _is_right(self) -> bool:
        return all(dweller.shown is not None for dweller in self._dwellers) and not any(self._errors_shown())

    def _errors_shown(self) -> Iterator[tuple[str, float, float]]:
        """What a node shows that is not so: since when it is not, and from when on it must not be shown."""
        for dweller in self._dwellers:
            if dweller.shown is None:
                continue
            for each in (*self._dwellers, *self._passers):
                shown = each.person.user_id in dweller.shown
                if shown is not each.here:
                    text = "shown as here, and is not" if shown else "not shown as here, and is"
                    # A node that has just been started has to hear of those who are here, not of those who were.
                    begun = max(each.since, self._calm_since, dweller.since if each.here else 0.0)
                    patience = 0.0 if begun < self._right_since < math.inf else self._patience
                    yield f"{each.person.name} is {text}, at {dweller.node}", begun, begun + patience

    def _look(self) -> None:
        now = time.monotonic()
        found = list(self._errors_shown())
        before, self._wrongly_shown = self._wrongly_shown, {what: begun for what, begun, _ in found}
        for what in before.keys() - self._wrongly_shown.keys():
            self._longest = max(self._longest, now - before[what])
        for what, _, latest in found:
            if now > latest and what not in self._told:
                self._told.add(what)
                self._wrong(f"{what}: {now - self._calm_since:.1f} s after the last fault was over")

    async def _judge(self) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            self._look()

    async def _dwell(self, dweller: Dweller, connection: Connection) -> None:
        request = heartbeat_service_pb2.WatchPresenceRequest()
        while True:
            call = connection.heartbeat.WatchPresence(request, metadata=dweller.person.metadata)
            try:
                first = await call.read()
                while isinstance(first, _Update):
                    if dweller.shown is None:
                        dweller.is_here(True)
                        dweller.shown = set()
                    self._take(dweller, first)
                    first = await call.read()
            except grpc.aio.AioRpcError as error:
                self._errors[str(problem_of(error))] += 1
            finally:
                call.cancel()
                dweller.is_here(False)
                dweller.shown = None
            await asyncio.sleep(AGAIN)

    def _take(self, dweller: Dweller, update: heartbeat_service_pb2.WatchPresenceResponse) -> None:
        assert dweller.shown is not None
        for presence in update.presences:
            if presence.status == heartbeat_service_pb2.PRESENCE_STATUS_OFFLINE:
                dweller.shown.discard(presence.user_id)
            else:
                dweller.shown.add(presence.user_id)
        self._look()

    async def _come(self, connection: Connection) -> asyncio.Task[None]:
        """A passer, with a stream of the one kind or the other."""
        passer = Somebody(await sign_in(connection, f"passer-{len(self._passers) + 1}"))
        self._passers.append(passer)
        call: _Stream
        if self._rng.random() < 0.5:
            watch = heartbeat_service_pb2.WatchPresenceRequest()
            call = connection.heartbeat.WatchPresence(watch, metadata=passer.person.metadata)
        else:
            subscribe = channel_service_pb2.SubscribeRequest()
            call = connection.messages.Subscribe(subscribe, metadata=passer.person.metadata)
        await call.read()
        passer.is_here(True)
        return asyncio.create_task(_stay(passer, call))


async def _stay(passer: Somebody, call: _Stream) -> None:
    """Until the stream ends, or this is cancelled."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError:
        pass
    finally:
        call.cancel()
        passer.is_here(False)
