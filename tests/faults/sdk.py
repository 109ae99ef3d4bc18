"""Users of the Python SDK, who write and read over one client and let it get through every fault by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import madang

from .history import Entry, History, Sent, View
from .people import Person
from .pulse import Pulse

AT_ONCE = 40
"""How many messages wait in the outbox at most."""
LONGEST_START = 30.0
"""Seconds in which the client has to have its first connection."""


class SdkPerson:
    """Writes until it is told to stop and everything is settled, and reads until it is cancelled."""

    def __init__(
        self, person: Person, target: str, channel_ids: Sequence[int], history: History, rng: random.Random, pace: float
    ) -> None:
        """`target`: one address, or several with commas between. `pace`: how many messages it writes a second."""
        self.person = person
        self.writes, self.reads = Pulse(), Pulse()
        self.streams = 0
        self._start = target
        self._channel_ids = channel_ids
        self._history = history
        self._rng = rng
        self._pace = pace
        self._number = 0
        self._waiting: dict[str, Sent] = {}
        self._views: dict[int, View] = {}
        self._client: asyncio.Future[madang.Client] = asyncio.get_running_loop().create_future()
        self._stopping = False

    @property
    def target(self) -> str:
        """The server that it is at, as far as it knows."""
        return self._client.result().server.target if self._client.done() else ""

    def stop(self) -> None:
        """Begin nothing new."""
        self._stopping = True

    def stands_at(self, heads: Mapping[int, int]) -> bool:
        """Whether it has everything through these heads."""
        return all(channel in self._views and self._views[channel].position >= heads[channel] for channel in heads)

    def read(self) -> int:
        """How many entries it has."""
        return sum(len(view.entries) for view in self._views.values())

    async def write(self) -> None:
        """Write until `stop` was called and every message has its verdict."""
        client = await asyncio.shield(self._client)
        while not self._stopping or self._waiting:
            await asyncio.sleep(self._rng.uniform(0.5, 1.5) / self._pace)
            if not self._stopping and len(self._waiting) < AT_ONCE:
                self._post(client)

    async def follow(self) -> None:
        """Read, and hear what becomes of what was written."""
        async with madang.connect(
            self._start, token=self.person.token, channels=self._channel_ids, timeout=LONGEST_START
        ) as client:
            self._client.set_result(client)
            async for event in client.events():
                self._take(event)

    def _post(self, client: madang.Client) -> None:
        self._number += 1
        channel_id, padding = self._rng.choice(self._channel_ids), self._rng.choice((0, 0, 20, 200))
        sent = self._history.send(self.person.name, self.person.user_id, channel_id, self._number, padding)
        sent.tries = 1
        self._waiting[sent.request_id] = sent
        client.post(channel_id, sent.text, request_id=sent.request_id)

    def _take(self, event: madang.Event) -> None:
        match event:
            case madang.MessageEvent(message=message):
                text = message.text if message.content is madang.Content.TEXT else f"({message.content.name.lower()})"
                self._read(message.channel_id, Entry(message.sequence, message.author_id, text))
            case madang.ChannelOpened(channel=channel, position=position):
                self._views[channel.channel_id] = self._history.view(self.person.name, channel.channel_id, position)
            case madang.ChannelReset(channel=channel, position=position):
                self._history.resets.append(f"{self.person.name} in channel {channel.channel_id}: now {position}")
            case madang.ChannelClosed(channel=channel):
                self._history.protocol.append(f"{self.person.name} was put out of channel {channel.channel_id}")
            case madang.Sent(outgoing=outgoing):
                self._settled(outgoing)
            case madang.Connected():
                self.streams += 1
            case madang.Disconnected(error=error):
                self._history.errors[f"SDK {error.reason}"] += 1

    def _read(self, channel_id: int, entry: Entry) -> None:
        view = self._views[channel_id]
        view.entries.append(self._history.same(entry))
        view.position = entry.sequence
        sent = self._history.sent(entry.text)
        self.reads.beat(sent.begun if sent else 0.0)

    def _settled(self, outgoing: madang.Outgoing) -> None:
        sent = self._waiting.pop(outgoing.request_id, None)
        if sent is None:
            self._history.protocol.append(f"{outgoing.text!r} was settled twice, or is not what was posted")
        elif outgoing.receipt is not None:
            sent.places.append(outgoing.receipt.sequence)
            self.writes.beat(sent.begun)
            if outgoing.receipt.channel_id != sent.channel_id:
                self._history.protocol.append(f"{sent.text!r} was stored in {outgoing.receipt.channel_id}")
        else:
            self._history.protocol.append(f"{sent.text!r} was refused: {outgoing.error}")
