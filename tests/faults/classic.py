"""Users of the classic contract, who chat in the lobby through every fault, and what docs/classic.md promises them.

It promises less than `madang.v1` does: a text has no request_id, and a stream no position. What is left of it:

- *A text that was taken is stored*, once. One whose answer was lost is stored once or not at all; nobody repeats it.
- *A stream tells what happens from its beginning on*, which is when its headers came: what the others write, each text
  once, in the order of the store, without a hole, until it ends. Streams that are open in the end have come to the end.
- *An index is honoured by all nodes*, while its heart beats at any of them: nobody is signed out whose heart had not
  stopped for five seconds, not even where it beats at a node that has lost NATS alone. (One that has lost more than
  NATS, or stands still, cannot tell the others.)
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import grpc

from madang.classic import client_to_agent_pb2 as pb
from madang.classic.client_to_agent_pb2_grpc import AgentStub, HeartbeatStub, LobbyStub

from .checker import Fault, Finding
from .history import Entry
from .people import Route, problem_of
from .process import eventually

LOBBY = 1
"""The lobby's channel_id."""
GRACE = 5.0
"""How long a user lives on whose heart has stopped, seconds."""
REMEMBERED = 40.0
"""For how long it counts that a heart had stopped, seconds: a node may come to it later."""
CALL = 5.0
PAUSE = 0.1
"""How long a call may take, and how long to wait before the next try, seconds."""
SIGNED_OUT = ("FOREIGN_INDEX", "SESSION_REVOKED")


@dataclass(slots=True)
class Said:
    """A text that was handed over, once."""

    writer: str
    number: int
    text: str
    begun: float
    taken: bool = False


@dataclass(slots=True)
class Heard:
    """What a stream told: the texts of everybody but its own index."""

    reader: str
    index: int
    begun: float
    """When its headers had come."""
    texts: list[str] = field(default_factory=list)
    is_open: bool = True


def check(said: Sequence[Said], heard: Sequence[Heard], lobby: Sequence[Entry]) -> Iterator[Finding]:
    """Hold what was said and heard against what the lobby holds. Streams that are open were let to catch up."""
    stored = [entry for entry in lobby if entry.is_text]
    counts = Counter(entry.text for entry in stored)
    for each in said:
        if counts[each.text] > 1:
            yield Finding(Fault.DOUBLED, f"{each.text!r} in the lobby, {counts[each.text]} times")
        if each.taken and not counts[each.text]:
            yield Finding(Fault.LOST, f"{each.text!r} in the lobby")
    yield from _writers(said, stored)
    begun = {each.text: each.begun for each in said}
    for stream in heard:
        yield from _stream(stream, [entry.text for entry in stored if entry.author_id != stream.index], begun)


def _writers(said: Sequence[Said], stored: Sequence[Entry]) -> Iterator[Finding]:
    taken = {each.text: each for each in said if each.taken}
    latest: defaultdict[str, int] = defaultdict(int)
    for entry in stored:
        each = taken.get(entry.text)
        if each is not None and each.number < latest[each.writer]:
            yield Finding(Fault.WRITER_ORDER, f"the lobby: {each.text!r} after number {latest[each.writer]}")
        if each is not None:
            latest[each.writer] = each.number


def _stream(stream: Heard, others: Sequence[str], begun: dict[str, float]) -> Iterator[Finding]:
    """A stream has to be one piece of what the others wrote, that begins with its beginning at the latest."""
    where = f"{stream.reader} of the classic lobby"
    places = {text: place for place, text in enumerate(others)}
    strange = [text for text in stream.texts if text not in places]
    if strange:
        yield Finding(Fault.READ_DIFFERS, f"{where}: {strange[0]!r}")
        return
    at = [places[text] for text in stream.texts]
    if len(set(at)) < len(at):
        yield Finding(Fault.READ_TWICE, where)
    if any(later < former for former, later in pairwise(at)):
        yield Finding(Fault.READ_ORDER, where)
    first_due = next((place for place, text in enumerate(others) if begun.get(text, 0.0) > stream.begun), len(others))
    end = len(others) if stream.is_open else max(at, default=-1) + 1
    missing = set(range(min([first_due, *at]), end)) - set(at)
    if missing:
        yield Finding(Fault.UNREAD, f"{where}: {len(missing)} from {others[min(missing)]!r}")


class ClassicUser:
    """Logs in, beats, writes and reads, at one node after the other."""

    def __init__(self, name: str, route: Route, rng: random.Random, pace: float, crowd: ClassicCrowd) -> None:
        self.name = name
        self.newest_said = self.newest_heard = 0.0
        self._route = route
        self._rng = rng
        self._pace = pace
        self._crowd = crowd
        self._index = 0
        self._number = 0
        self._still_since: float | None = None
        self._stops: list[tuple[float, float]] = []

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                async with self._route.connect() as connection:
                    if not self._index:
                        await self._login(connection.channel)
                    await self._live(connection.channel)
            except grpc.aio.AioRpcError as error:
                problem = problem_of(error)
                if problem.reason in SIGNED_OUT:
                    self._signed_out()
                else:
                    self._crowd.errors[str(problem)] += 1
            self._route.move()
            await asyncio.sleep(PAUSE)

    async def _login(self, channel: grpc.aio.Channel) -> None:
        agent: Any = AgentStub(channel)
        reply = await agent.TryLogin(pb.LoginRequest(ip="127.0.0.1"), timeout=CALL)
        self._index = reply.index
        self._stops.clear()
        self._still_since = None
        self._crowd.logins += 1

    async def _live(self, channel: grpc.aio.Channel) -> None:
        """Everything at once, until the first of it breaks."""
        heart, lobby = HeartbeatStub(channel), LobbyStub(channel)
        tasks = [asyncio.create_task(each) for each in (self._beat(heart), self._hear(lobby), self._write(lobby))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in done:
            task.result()

    async def _beat(self, heart: Any) -> None:
        call = heart.TryHeartbeat(pb.HeartbeatRequest(index=self._index))
        beats = False
        try:
            while await call.read() is not grpc.aio.EOF:
                if not beats:
                    beats = True
                    self._began()
            self._crowd.protocol.append(f"{self.name}'s heartbeat ended in order")
        finally:
            call.cancel()
            if beats:
                self._still_since = time.monotonic()

    async def _hear(self, lobby: Any) -> None:
        call = lobby.TryChatReceive(pb.Chat(index=self._index))
        heard: Heard | None = None
        try:
            await call.initial_metadata()
            heard = self._crowd.hear(self.name, self._index)
            while isinstance(chat := await call.read(), pb.Chat):
                heard.texts.append(chat.text)
                self.newest_heard = max(self.newest_heard, self._crowd.begun(chat.text))
            self._crowd.protocol.append(f"{self.name}'s chat ended in order")
        finally:
            call.cancel()
            if heard is not None:
                heard.is_open = False

    async def _write(self, lobby: Any) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) / self._pace)
            if self._crowd.stopping:
                continue
            self._number += 1
            text = f"{self.name} {self._number} of {self._rng.randrange(10**9)}"
            said = Said(self.name, self._number, text, time.monotonic())
            self._crowd.say(said)
            self._crowd.under_way += 1
            try:
                await lobby.TryChatSend(pb.Chat(index=self._index, text=text), timeout=CALL)
            finally:
                self._crowd.under_way -= 1
            said.taken = True
            self.newest_said = said.begun

    def _began(self) -> None:
        """The heart beats again."""
        if self._still_since is not None:
            self._stops.append((self._still_since, time.monotonic()))
        self._still_since = None

    def _signed_out(self) -> None:
        """Say so where no stop of the heart was long enough for it; then the user is a new one."""
        now = time.monotonic()
        stops = [*self._stops, *([] if self._still_since is None else [(self._still_since, now)])]
        longest = max((end - begin for begin, end in stops if end > now - REMEMBERED), default=0.0)
        self._index = 0
        self._crowd.signed_out(self.name, longest)


class ClassicCrowd:
    """Made by `classic_crowd`."""

    def __init__(self, wrong: Callable[[str], None]) -> None:
        """`wrong`: is told when somebody is signed out who must not be."""
        self.users: list[ClassicUser] = []
        self.heard: list[Heard] = []
        self.said: list[Said] = []
        self.errors: Counter[str] = Counter()
        self.protocol: list[str] = []
        self.logins = 0
        self.under_way = 0
        """How many texts are being handed over."""
        self.stopping = False
        self.may_be_signed_out = False
        """Whether a node cannot tell the others just now whose heart beats there."""
        self._begun: dict[str, float] = {}
        self._wrong = wrong

    def say(self, said: Said) -> None:
        """Somebody is about to."""
        self.said.append(said)
        self._begun[said.text] = said.begun

    def begun(self, text: str) -> float:
        """When it was handed over; 0: nobody here did."""
        return self._begun.get(text, 0.0)

    def hear(self, reader: str, index: int) -> Heard:
        """A stream has begun just now."""
        heard = Heard(reader, index, time.monotonic())
        self.heard.append(heard)
        return heard

    def signed_out(self, name: str, stopped: float) -> None:
        """Somebody was, whose heart had stopped for so many seconds at most."""
        if stopped < GRACE and not self.may_be_signed_out:
            self._wrong(f"{name} was signed out, whose heart had stopped for {stopped:.2f} s at most")

    async def go_on(self, since: float, patience: float) -> None:
        """Wait until everyone has written and heard something that was begun after that. Raises AssertionError."""

        def behind() -> list[str]:
            return [each.name for each in self.users if min(each.newest_said, each.newest_heard) <= since]

        try:
            await eventually(lambda: not behind(), "classic users go on", patience)
        except AssertionError:
            raise AssertionError(f"not within {patience:g} s: {', '.join(behind())} go on") from None

    async def settle(self, lobby: Callable[[], Awaitable[list[Entry]]], patience: float) -> list[Finding]:
        """Let the writers stop and the readers catch up, and judge. `lobby`: what the store has."""
        self.stopping = True
        await eventually(lambda: not self.under_way, "every text is answered", patience)
        found: list[Finding] = []

        async def is_right() -> bool:
            found[:] = check(self.said, self.heard, await lobby())
            return not found

        with suppress(AssertionError):  # what was found says better what is missing
            await eventually(is_right, "readers catch up", patience, every=0.5)
        return [
            *found,
            *(Finding(Fault.PROTOCOL, where) for where in self.protocol),
        ]


@asynccontextmanager
async def classic_crowd(
    targets: Sequence[str], size: int, rng: random.Random, pace: float, wrong: Callable[[str], None]
) -> AsyncIterator[ClassicCrowd]:
    """So many users at work, the first at the first node, and so on; each writes so many texts a second."""
    crowd = ClassicCrowd(wrong)
    async with asyncio.TaskGroup() as group:
        for number in range(size):
            order = [*targets[number % len(targets) :], *targets[: number % len(targets)]]
            user = ClassicUser(f"classic-{number}", Route(*order), random.Random(rng.random()), pace, crowd)
            crowd.users.append(user)
        tasks = [group.create_task(user.run()) for user in crowd.users]
        yield crowd
        for task in tasks:
            task.cancel()
