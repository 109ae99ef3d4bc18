"""Writers that do what the contract asks of a client: a request_id for each message, and again until it is answered."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import grpc

from madang.v1 import channel_service_pb2 as pb

from .history import History, Sent
from .people import Connection, Person, Problem, Route, problem_in, problem_of
from .pulse import Pulse

Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.PostRequest, pb.PostResponse]"

PAUSE = 0.03
"""Seconds before a client tries again."""


class Refused(Exception):
    """Messages of a stream were refused, or it ended."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


class Writer(ABC):
    """Writes to random channels until it is told to stop, and then until everything is settled.

    After every broken connection it first repeats the latest messages that were acknowledged (the answer has to be the
    same), then those that were not, in their order. One that `abandons` gives some of these up instead.
    """

    def __init__(
        self,
        person: Person,
        route: Route,
        channel_ids: Sequence[int],
        history: History,
        rng: random.Random,
        *,
        abandons: float = 0.0,
        pace: float = 0.0,
    ) -> None:
        """`pace`: how many messages a second it writes at most; 0: as many as it can."""
        self.person = person
        self.route = route
        self.pulse = Pulse()
        self._pace = pace
        self._channel_ids = channel_ids
        self._history = history
        self._rng = rng
        self._abandons = abandons
        self._number = 0
        self._unsettled: dict[str, Sent] = {}
        self._repeats: list[Sent] = []
        self._latest: list[Sent] = []
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping = True

    async def run(self) -> None:
        """Write, through every fault, until `stop` was called and every message is settled."""
        while not (self._stopping and not self._unsettled and not self._repeats):
            try:
                async with self.route.connect() as connection:
                    await self._talk(connection)
            except grpc.aio.AioRpcError as error:
                await self._failed(problem_of(error))
            except Refused as refusal:
                await self._failed(refusal.problem)

    @abstractmethod
    async def _talk(self, connection: Connection) -> None:
        """Write over one connection, until it breaks or nothing is left to do."""

    async def _failed(self, problem: Problem) -> None:
        """Wait a moment; decide what to repeat, and what to give up; go elsewhere."""
        self._history.errors[str(problem)] += 1
        for request_id in list(self._unsettled):
            if self._rng.random() < self._abandons:
                self._unsettled.pop(request_id).given_up = self.route.has_others
        self.route.move()
        self._repeats = self._latest[-3:]
        await asyncio.sleep(PAUSE)

    async def _rest(self, sends: int) -> None:
        """Keep the pace, after so many messages."""
        if self._pace:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) * sends / self._pace)

    def _next(self) -> Sent:
        self._number += 1
        channel_id = self._rng.choice(self._channel_ids)
        padding = self._rng.choice((0, 0, 20, 200, 2000))
        sent = self._history.send(self.person.name, self.person.user_id, channel_id, self._number, padding)
        self._unsettled[sent.request_id] = sent
        return sent

    def _stored(self, sent: Sent, channel_id: int, sequence: int) -> None:
        if channel_id != sent.channel_id:
            self._history.protocol.append(f"{sent.text!r} for {sent.channel_id} was stored in {channel_id}")
        sent.places.append(sequence)
        self.pulse.beat(sent.begun)
        self._unsettled.pop(sent.request_id, None)
        if sent in self._repeats:
            self._repeats.remove(sent)
        self._latest = [*self._latest[-9:], sent]


class SendWriter(Writer):
    """Writes with Send: one message at a time."""

    async def _talk(self, connection: Connection) -> None:
        while self._repeats or self._unsettled or not self._stopping:
            sent = next(iter((*self._repeats, *self._unsettled.values())), None) or self._next()
            response = await connection.messages.Send(
                _request(sent), metadata=self.person.metadata, timeout=self.route.patience
            )
            self._stored(sent, response.message.channel_id, response.message.sequence)
            if response.message.text != sent.text:
                self._history.protocol.append(f"{sent.text!r} was answered with {response.message.text!r}")
            await self._rest(1)


class PostWriter(Writer):
    """Writes with Post: lists of messages, several lists on their way at once."""

    in_flight = 3
    longest = 6

    async def _talk(self, connection: Connection) -> None:
        call = connection.messages.Post(metadata=self.person.metadata)
        again = [*self._repeats, *self._unsettled.values()]
        for start in range(0, len(again), self.longest):
            await self._exchange(call, again[start : start + self.longest])
        waiting: deque[Sent] = deque()
        while waiting or not self._stopping:
            while len(waiting) < self.in_flight * self.longest and not self._stopping:
                sends = [self._next() for _ in range(self._rng.randint(1, self.longest))]
                waiting += sends
                await _write(call, sends)
                await self._rest(len(sends))
                if self._pace and self._rng.random() < 0.5:
                    break
            if waiting:
                await self._read(call, waiting)
        await call.done_writing()
        if await call.read() is not grpc.aio.EOF:
            self._history.protocol.append("an answer that belongs to no list")

    async def _exchange(self, call: Call, sends: list[Sent]) -> None:
        await _write(call, sends)
        waiting = deque(sends)
        while waiting:
            await self._read(call, waiting)

    async def _read(self, call: Call, waiting: deque[Sent]) -> None:
        """Take one answer, to the first of those that wait."""
        response = await call.read()
        if not isinstance(response, pb.PostResponse):
            self._history.protocol.append("a stream that ended in order before everything in it was answered")
            raise Refused(Problem("OK", ""))
        refused = None
        for result in response.results:
            if not waiting or waiting[0].request_id != result.request_id:
                self._history.protocol.append("results that are not those of the lists, in their order")
                break
            sent = waiting.popleft()
            if result.HasField("stored"):
                self._stored(sent, result.stored.channel_id, result.stored.sequence)
            else:
                refused = problem_in(result.error)
        if refused is not None:
            raise Refused(refused)


def _request(sent: Sent) -> pb.SendRequest:
    sent.tries += 1
    return pb.SendRequest(channel_id=sent.channel_id, text=sent.text, request_id=sent.request_id)


async def _write(call: Call, sends: Sequence[Sent]) -> None:
    try:
        await call.write(pb.PostRequest(sends=map(_request, sends)))
    except asyncio.InvalidStateError:  # the call is over: reading says how
        await call.read()
        raise Refused(Problem("OK", "")) from None
