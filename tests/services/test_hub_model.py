"""The model test: whatever is lost, repeated, delayed or slow, every reader ends with every change, once, in order."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import PATIENCE, Parts, Reader, actor, parts

from madang.bus.local import LocalBus
from madang.core.events import BusEvent, ChannelChanged
from madang.core.models import LOBBY_ID, Content
from madang.services import cursor, hub, ring, subscription
from madang.services.subscription import Subscription, Wanted
from madang.storage import messages

USERS = (1, 2, 3)
DEVICES = (1, 1, 2, 3)
"""Whose each reader is: the first user has two."""

ROOMS = 2
"""Beside the lobby. They are channels 2 and 3."""


class NoisyBus(LocalBus):
    """Loses, repeats, delays and reorders what it is told of changes."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._late: list[BusEvent] = []
        self.lost = 0

    def publish(self, event: BusEvent) -> None:
        """Do with it whatever a network might."""
        if not isinstance(event, ChannelChanged):
            super().publish(event)
            return
        match self._rng.randrange(8):
            case 0 | 1:
                self.lost += 1
            case 2 | 3:
                self._late.append(event)
            case 4:
                super().publish(event)
                super().publish(event)
                self._late.append(event)
            case _:
                super().publish(event)
        if self._late and self._rng.random() < 0.4:
            super().publish(self._late.pop(self._rng.randrange(len(self._late))))

    def settle(self) -> None:
        """Deliver what is late, the latest first."""
        while self._late:
            super().publish(self._late.pop())


@dataclass
class Device:
    """A reader that connects, reads when it likes, and comes back from where it was."""

    user_id: int
    reader: Reader = field(default_factory=Reader)
    subscription: Subscription | None = None
    reading: asyncio.Task[bytes] | None = None
    asked: dict[int, int] = field(default_factory=dict)


class World:
    """The server's parts, the readers, and what must be true of both."""

    def __init__(self, own: Parts) -> None:
        self.own = own
        self.devices = [Device(user_id) for user_id in DEVICES]
        self.members: dict[int, set[int]] = {}
        self.left_at: dict[tuple[int, int], int] = {}
        self.joined_at: dict[tuple[int, int], int] = {}
        self.said = 0

    async def begin(self) -> None:
        for number in range(ROOMS):
            channel_id = await self.own.room(*USERS, name=f"room-{number}")
            self.members[channel_id] = set(USERS)

    async def say(self, user_id: int, channel_id: int, count: int) -> None:
        if channel_id == LOBBY_ID or user_id in self.members[channel_id]:
            self.said += 1
            await self.own.say(user_id, channel_id, *(f"{self.said}.{part}" for part in range(count)))

    async def join(self, user_id: int, channel_id: int) -> None:
        if channel_id != LOBBY_ID and user_id not in self.members[channel_id]:
            channel, _ = await self.own.lobby.join(actor(user_id), channel_id)
            self.members[channel_id].add(user_id)
            self.joined_at[user_id, channel_id] = channel.sequence

    async def leave(self, user_id: int, channel_id: int) -> None:
        if channel_id != LOBBY_ID and user_id in self.members[channel_id]:
            await self.own.lobby.take_out(user_id, channel_id)
            self.members[channel_id].discard(user_id)
            self.left_at[user_id, channel_id] = await self.head(channel_id)

    async def connect(self, device: Device) -> None:
        if device.subscription is None:
            device.reader.begin()
            device.asked = dict(device.reader.positions)
            device.subscription = self.own.channel.subscribe(device.user_id, Wanted(device.asked))

    async def disconnect(self, device: Device) -> None:
        """Whatever was on its way is lost."""
        if device.subscription is not None:
            if device.reading is not None:
                device.reading.cancel()
                await asyncio.wait([device.reading])
            device.subscription.close()
            device.subscription = device.reading = None

    async def read(self, device: Device, patience: float) -> bool:
        """Take the response that is on its way, if one is, and let the next be made."""
        if device.subscription is None:
            return False
        if device.reading is None:
            device.reading = asyncio.create_task(device.subscription.next())
        done, _ = await asyncio.wait([device.reading], timeout=patience)
        if not done:
            return False
        encoded, device.reading = device.reading.result(), None
        self.check_opened(device, encoded)
        return True

    def check_opened(self, device: Device, encoded: bytes) -> None:
        """Nothing is shown from after the user left; and a stream goes on from where its reader stood."""
        first = not device.reader.begun
        before = {channel_id: len(ranges) for channel_id, ranges in device.reader.ranges.items()}
        response = device.reader.take(encoded)
        for opened in response.opened:
            channel_id = opened.channel.channel_id
            if first and channel_id in device.asked:
                assert opened.position == device.asked[channel_id]
            if not first:
                assert opened.position <= self.joined_at[device.user_id, channel_id]
        for channel_id, ranges in device.reader.ranges.items():
            for part in ranges[before.get(channel_id, 0) :]:
                if channel_id != LOBBY_ID and device.user_id not in self.members[channel_id]:
                    assert part.through <= self.left_at[device.user_id, channel_id], "shown after the user left"

    async def head(self, channel_id: int) -> int:
        return await self.own.store.read(messages.head, channel_id)

    async def end(self) -> None:
        """Everything settles: the late arrives, the lost is found, everyone connects and reads on."""
        assert isinstance(self.own.bus, NoisyBus)
        self.own.bus.settle()
        for device in self.devices:
            await self.connect(device)
            while not device.reader.begun:
                await self.read(device, PATIENCE)
        await self.own.hub.reconcile()
        heads = {channel_id: await self.head(channel_id) for channel_id in (LOBBY_ID, *self.members)}
        for device in self.devices:
            inside = {LOBBY_ID} | {key for key, users in self.members.items() if device.user_id in users}
            expected = {channel_id: heads[channel_id] for channel_id in inside}
            async with asyncio.timeout(PATIENCE):
                while (device.reader.open, device.reader.positions) != (inside, expected):
                    await self.read(device, PATIENCE)
            await self.disconnect(device)
        for channel_id in heads:
            stored = {
                message.sequence: message.text if message.content is Content.TEXT else ""
                for message in await self.own.history(channel_id)
            }
            for device in self.devices:
                for part in device.reader.ranges[channel_id]:
                    assert part.texts == [stored[sequence] for sequence in part.sequences]
        assert self.own.hub.rings == {}, "nobody reads, and nothing is kept"


USER = st.sampled_from(USERS)
CHANNEL = st.sampled_from([LOBBY_ID, 2, 3])
DEVICE = st.integers(0, len(DEVICES) - 1)
STEP = st.one_of(
    st.tuples(st.just("say"), USER, CHANNEL, st.integers(1, 5)),
    st.tuples(st.just("join"), USER, CHANNEL),
    st.tuples(st.just("leave"), USER, CHANNEL),
    st.tuples(st.just("connect"), DEVICE),
    st.tuples(st.just("connect"), DEVICE),
    st.tuples(st.just("disconnect"), DEVICE),
    st.tuples(st.just("read"), DEVICE),
    st.tuples(st.just("read"), DEVICE),
    st.tuples(st.just("reconcile")),
)
Step = tuple[str] | tuple[str, int] | tuple[str, int, int] | tuple[str, int, int, int]


async def play(path: Path, steps: list[Step], seed: int, rest: float) -> None:
    async with parts(path, bus=NoisyBus(random.Random(seed)), rest=rest) as own:
        world = World(own)
        await world.begin()
        for name, *arguments in steps:
            match name:
                case "reconcile":
                    await own.hub.reconcile()
                case "read":
                    await world.read(world.devices[arguments[0]], 0.002)
                case "connect" | "disconnect":
                    act: Callable[..., object] = getattr(world, name)
                    await act(world.devices[arguments[0]])  # type: ignore[misc]
                case _:
                    await getattr(world, name)(*arguments)
        await world.end()


@settings(max_examples=60)
@given(steps=st.lists(STEP, max_size=60), seed=st.integers(0, 2**32), rest=st.sampled_from([0.0, 0.0003]))
def test_every_reader_ends_with_every_change_once_in_order(steps: list[Step], seed: int, rest: float) -> None:
    with tempfile.TemporaryDirectory() as path, pytest.MonkeyPatch.context() as patched:
        patched.setattr(hub, "PAGE", 3)
        patched.setattr(ring, "MAX_BATCH_BYTES", 120)
        patched.setattr(cursor, "MAX_OPENED", 1)
        patched.setattr(subscription, "MAX_OPENED", 1)
        asyncio.run(play(Path(path), steps, seed, rest))


@pytest.mark.parametrize("seed", range(6))
def test_a_long_time_of_it(tmp_path: Path, seed: int) -> None:
    """The same, for longer than hypothesis likes to play."""
    rng = random.Random(seed)

    def step() -> Step:
        user_id, channel_id, device = rng.choice(USERS), rng.choice([LOBBY_ID, 2, 3]), rng.randrange(len(DEVICES))
        name = rng.choice(["say"] * 8 + ["read"] * 10 + ["connect"] * 3 + ["disconnect", "join", "leave", "reconcile"])
        match name:
            case "say":
                return name, user_id, channel_id, rng.choice([1, 1, 1, 2, 5])
            case "join" | "leave":
                return name, user_id, channel_id
            case "reconcile":
                return (name,)
            case _:
                return name, device

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(hub, "PAGE", 5)
        asyncio.run(play(tmp_path, [step() for _ in range(400)], seed, rng.choice([0.0, 0.0001])))
