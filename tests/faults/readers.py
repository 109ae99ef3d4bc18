"""Readers that keep a position per channel, apply the rule of positions, and come back at their positions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import grpc

from madang.core.positions import Position, Verdict
from madang.v1 import channel_service_pb2 as pb

from .history import History, View
from .people import Connection, Person, Route, entry_of, problem_of
from .pulse import Pulse
from .writers import PAUSE

Call: TypeAlias = "grpc.aio.UnaryStreamCall[pb.SubscribeRequest, pb.SubscribeResponse]"


class Reader:
    """Reads channels from their beginning. Runs until it is cancelled."""

    def __init__(
        self,
        person: Person,
        route: Route,
        channel_ids: Sequence[int],
        history: History,
        rng: random.Random,
        *,
        restless: bool = False,
        rest: float = 0.0,
    ) -> None:
        """`restless`: leaves and comes back now and then, elsewhere if it can. `rest`: seconds of idling after every
        response.
        """
        self.person = person
        self.route = route
        self.pulse = Pulse()
        self.streams = 0
        self._history = history
        self._rng = rng
        self._restless = restless
        self._rest = rest
        self._positions = {channel_id: Position(0) for channel_id in channel_ids}
        self._views: dict[int, View] = {
            channel_id: history.view(person.name, channel_id, 0) for channel_id in channel_ids
        }

    def stands_at(self, heads: Mapping[int, int]) -> bool:
        """Whether it has everything through these heads."""
        return all(self._positions[channel_id].sequence >= head for channel_id, head in heads.items())

    def read(self) -> int:
        """How many entries it has."""
        return sum(len(view.entries) for view in self._views.values())

    async def run(self) -> None:
        """Read, through every fault."""
        while True:
            try:
                async with self.route.connect() as connection:
                    await self._follow(connection)
            except grpc.aio.AioRpcError as error:
                self._history.errors[str(problem_of(error))] += 1
                await asyncio.sleep(PAUSE)
            self.route.move()

    async def _follow(self, connection: Connection) -> None:
        """One stream, to its end: the server's, or ours."""
        begin = {channel_id: position.sequence for channel_id, position in self._positions.items()}
        positions = [pb.Position(channel_id=channel_id, sequence=sequence) for channel_id, sequence in begin.items()]
        request = pb.SubscribeRequest(positions=positions, channel_ids=list(begin))
        call = connection.messages.Subscribe(request, metadata=self.person.metadata)
        most = self._rng.randint(1, 30) if self._restless else -1
        try:
            first = await call.read()
            if not isinstance(first, pb.SubscribeResponse):
                self._history.protocol.append("a live stream that ended in order")
                return
            self._open(first, begin)
            complete = self._apply(first)
            while complete and most != 0:
                response = await call.read()
                if not isinstance(response, pb.SubscribeResponse):
                    self._history.protocol.append("a live stream that ended in order")
                    return
                complete = self._apply(response)
                most -= 1
                await asyncio.sleep(self._rest)
        finally:
            call.cancel()

    def _open(self, response: pb.SubscribeResponse, begin: Mapping[int, int]) -> None:
        self.streams += 1
        for reset in response.resets:
            where = f"{self.person.name} in channel {reset.channel_id}"
            self._history.resets.append(f"{where}: {begin[reset.channel_id]} became {reset.position}")
        resets = {reset.channel_id: reset.position for reset in response.resets}
        opened = {entry.channel.channel_id: entry.position for entry in response.opened}
        if opened != {**begin, **resets}:
            self._history.protocol.append(f"a stream from {begin} began at {opened}")

    def _apply(self, response: pb.SubscribeResponse) -> bool:
        """Take what is new; False when there is a gap."""
        for batch in response.batches:
            position, view = self._positions[batch.channel_id], self._views[batch.channel_id]
            verdict = position.take(batch.after, batch.through)
            if verdict is Verdict.GAP:
                self._history.errors["gap"] += 1
                return False
            if verdict is Verdict.APPLY:
                view.position = position.sequence
                self._take(view, batch)
        return True

    def _take(self, view: View, batch: pb.ChannelBatch) -> None:
        entries = [self._history.same(entry_of(message)) for message in batch.messages]
        view.entries += entries
        known = filter(None, (self._history.sent(entry.text) for entry in entries))
        self.pulse.beat(max((sent.begun for sent in known), default=0.0))
