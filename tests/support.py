"""What the tests of the server share: its real parts put together by hand, and a reader that trusts nobody."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest
import sqlalchemy as sa
from sqlalchemy.util import await_only

from madang.bus.local import LocalBus
from madang.core.errors import MadangError
from madang.core.events import Event
from madang.core.models import LOBBY_ID, Actor, Changes, Content, Draft, Message, ServerRole, UserKind
from madang.services import posting
from madang.services.agent import AgentService
from madang.services.channel import ChannelService
from madang.services.front import Entrance, Front
from madang.services.heartbeat import HeartbeatService
from madang.services.hub import Hub
from madang.services.lobby import LobbyService
from madang.services.moderation import ModerationService
from madang.services.passwords import Cost
from madang.services.reports import ReportService
from madang.services.streams import Streams
from madang.services.subscription import Subscription, Wanted
from madang.storage import audit, directory, messages
from madang.storage.schema import users
from madang.storage.store import SharedDatabase, Store, open_store
from madang.storage.transaction import Transaction
from madang.v1 import channel_service_pb2 as pb
from madang.wire.batches import encode_changes

PATIENCE = 20.0
"""Seconds in which whatever is waited for has to happen; far more than it takes."""


CHEAP = Cost(time=1, memory=8, parallelism=1)
"""What a password costs to hash in tests."""


class Clock:
    """A clock in microseconds that only moves when it is told to."""

    def __init__(self, now: int = 1_700_000_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000)


async def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; what it gives may have to be awaited."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await _known(condition()):  # noqa: ASYNC110  # it has many parts, and none of them tells
                await asyncio.sleep(0.001)
    except TimeoutError:
        raise AssertionError(f"this did not happen: {what}") from None


async def _known(found: object) -> object:
    return await found if inspect.isawaitable(found) else found


Where = Path | str
"""A directory, for SQLite; or the address of a PostgreSQL database."""


@asynccontextmanager
async def opened(
    where: Where,
    committed: Callable[[list[Event]], None] = lambda events: None,
    clock: Callable[[], int] | None = None,
    unhurried: Callable[[], bool] = lambda: False,
    recovered: Callable[[], None] = lambda: None,
) -> AsyncIterator[Store]:
    """A store that works, closed in order."""
    place = where if isinstance(where, Path) else SharedDatabase(where, wait=0)
    store = await open_store(place, posting.append, committed, clock or Clock(), unhurried, recovered)
    work = asyncio.create_task(store.work())
    try:
        yield store
    finally:
        store.drain()
        await work
        await store.close()


@asynccontextmanager
async def held(store: Store) -> AsyncIterator[None]:
    """While this lasts the writer is busy, so that what is asked of it meanwhile is one group."""
    entered, release = threading.Event(), threading.Event()
    released = asyncio.Event()

    def hold(transaction: Transaction) -> None:
        entered.set()
        if transaction.locks is None:
            release.wait(PATIENCE)
        else:  # it runs in the event loop, which must not be held
            await_only(released.wait())

    holding = asyncio.create_task(store.write(hold))
    try:
        await asyncio.to_thread(entered.wait, PATIENCE)
        yield
    finally:
        release.set()
        released.set()
        await holding


@dataclass
class Parts:
    """The services, with all that they stand on."""

    clock: Clock
    store: Store
    bus: LocalBus
    hub: Hub
    streams: Streams
    agent: AgentService
    heartbeat: HeartbeatService
    lobby: LobbyService
    channel: ChannelService
    moderation: ModerationService
    reports: ReportService
    front: Front

    async def room(self, owner: int, *others: int, name: str = "kitchen") -> int:
        """A new channel with these members; its id."""
        channel = await self.lobby.create(actor(owner), name, "", None)
        for user_id in others:
            await self.lobby.join(actor(user_id), channel.channel_id)
        return channel.channel_id

    async def people(self, *roles: ServerRole) -> list[Actor]:
        """New accounts of these roles on the server."""
        return [actor(await self.store.write(_add_person, role), role) for role in roles]

    async def audited(self) -> list[tuple[str, int, int, int]]:
        """What the audit log says, oldest first: the action, who did it, to whom, and where."""
        events = await self.store.read(audit.page, None, 1000)
        return [(event.action, event.actor_id, event.user_id, event.channel_id) for event in reversed(events)]

    async def say(self, user_id: int, channel_id: int, *texts: str) -> list[Message]:
        """Messages that are stored with one commit."""
        drafts = [Draft(channel_id, user_id, Content.TEXT, text) for text in texts]
        return [stored for stored in await self.store.append(drafts) if isinstance(stored, Message)]

    async def history(self, channel_id: int) -> list[Message]:
        """Everything that is stored in a channel."""
        changes = await self.store.read(messages.changed, channel_id, 0, 1_000_000, 2**40)
        return changes.messages


@asynccontextmanager
async def parts(
    where: Where, *, bus: LocalBus | None = None, rest: float = 0.0, entrance: Entrance | None = None
) -> AsyncIterator[Parts]:
    """The services over a store, put together as a node does it."""
    bus, clock = bus or LocalBus(), Clock()

    def committed(events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Changes):
                for changed in encode_changes(event):
                    bus.publish(changed)
            else:
                bus.publish(event)

    streams, hub = Streams(bus), Hub(bus, rest)
    async with opened(where, committed, clock, hub.is_behind) as store:
        hub.use(store)
        front = Front(store, bus, clock, entrance or Entrance(cost=CHEAP))
        yield Parts(
            clock,
            store,
            bus,
            hub,
            streams,
            front.agent,
            HeartbeatService(bus, clock),
            LobbyService(store, clock),
            ChannelService(store, bus, hub, clock),
            ModerationService(store, clock),
            ReportService(store),
            front,
        )


@dataclass
class Range:
    """A batch as it came."""

    after: int
    through: int
    sequences: list[int]
    texts: list[str]


@dataclass
class Reader:
    """Applies responses by the contract to the letter, and fails at whatever a server must not do."""

    positions: dict[int, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    ranges: defaultdict[int, list[Range]] = field(default_factory=lambda: defaultdict(list))
    resets: list[int] = field(default_factory=list)
    begun: bool = False

    def begin(self) -> None:
        """A new stream: its first responses name the channels."""
        self.open.clear()
        self.begun = False

    def take(self, encoded: bytes) -> pb.SubscribeResponse:
        """Apply a response, list after list in the order of the field numbers."""
        response = pb.SubscribeResponse.FromString(encoded)
        for opened in response.opened:
            channel_id = opened.channel.channel_id
            self.open.add(channel_id)
            self.positions[channel_id] = opened.position
        for reset in response.resets:
            self.resets.append(reset.channel_id)
            self.positions[reset.channel_id] = reset.position
        for batch in response.batches:
            self._apply(batch)
        for closed in response.closed:
            self._forget(closed.channel_id)
        assert self.begun or not (response.batches or response.closed), "news before the stream has begun"
        if response.begun:
            assert not self.begun, "a stream begins once"
            self.begun = True
            for channel_id in self.positions.keys() - self.open:
                self._forget(channel_id)
        return response

    def sequences(self, channel_id: int) -> list[int]:
        """Every message of a channel that came, in the order in which it came."""
        return [sequence for part in self.ranges[channel_id] for sequence in part.sequences]

    def texts(self, channel_id: int) -> list[str]:
        """The words of them; empty for what is no text."""
        return [text for part in self.ranges[channel_id] for text in part.texts]

    def _forget(self, channel_id: int) -> None:
        self.open.discard(channel_id)
        self.positions.pop(channel_id, None)

    def _apply(self, batch: pb.ChannelBatch) -> None:
        channel_id = batch.channel_id
        assert channel_id in self.open, f"news of channel {channel_id}, which is not open"
        assert batch.after == self.positions[channel_id], "a range that does not begin at the position"
        assert batch.through > batch.after, "an empty range"
        assert all(message.channel_id == channel_id for message in batch.messages)
        sequences = [message.sequence for message in batch.messages]
        assert sequences == list(range(batch.after + 1, batch.through + 1)), "a range that is not complete"
        self.positions[channel_id] = batch.through
        texts = [message.text for message in batch.messages]
        self.ranges[channel_id].append(Range(batch.after, batch.through, sequences, texts))


class Live:
    """A subscription that is read when the test says so."""

    def __init__(self, subscription: Subscription, reader: Reader | None = None) -> None:
        self.subscription = subscription
        self.reader = reader or Reader()

    async def next(self) -> pb.SubscribeResponse:
        """The next response, applied."""
        async with asyncio.timeout(PATIENCE):
            return self.reader.take(await self.subscription.next())

    async def until(self, condition: Callable[[], object]) -> None:
        """Read on until a condition holds."""
        while not condition():
            await self.next()

    async def reaches(self, channel_id: int, sequence: int) -> None:
        """Read on until the channel has come through a sequence."""
        await self.until(lambda: self.reader.positions.get(channel_id, -1) >= sequence)


class Serving(Protocol):
    """What has subscriptions: a whole node's parts, or another node beside them."""

    channel: ChannelService


@asynccontextmanager
async def subscribed(
    own: Serving, user_id: int, positions: dict[int, int] | None = None, *only: int, store_id: str = ""
) -> AsyncIterator[Live]:
    """A live subscription whose first response was read."""
    subscription = own.channel.subscribe(user_id, Wanted(positions or {}, frozenset(only), store_id))
    try:
        live = Live(subscription)
        await live.next()
        yield live
    finally:
        subscription.close()


def actor(user_id: int, role: ServerRole = ServerRole.MEMBER) -> Actor:
    """Somebody who asks for something."""
    return Actor(user_id, 0, role)


def _add_person(transaction: Transaction, role: ServerRole) -> int:
    count = transaction.connection.execute(sa.select(sa.func.count()).select_from(users)).scalar_one()
    kind = UserKind.GUEST if role is ServerRole.GUEST else UserKind.BOT if role is ServerRole.BOT else UserKind.PERSON
    name = f"person-{count + 1}"
    values = {"handle": name, "handle_key": name, "kind": kind.value, "created_at": transaction.now, "role": role.value}
    query = sa.insert(users).values(values).returning(users.c.user_id)
    return int(transaction.connection.execute(query).scalar_one())


@contextmanager
def refused(kind: type[MadangError], **facts: str | int) -> Iterator[None]:
    """Fails unless exactly this error is raised, with these facts."""
    with pytest.raises(kind) as caught:
        yield
    assert type(caught.value) is kind
    assert {name: caught.value.facts.get(name) for name in facts} == facts


def draft(
    channel_id: int = LOBBY_ID, author_id: int = 1, text: str = "hello", request_id: bytes | None = None
) -> Draft:
    """A draft of a text message."""
    return Draft(channel_id, author_id, Content.TEXT, text, request_id)


def sequences(stored: Sequence[Message | MadangError]) -> list[int | str]:
    """What became of drafts: the sequences of those that were stored, the reasons of the others."""
    return [one.sequence if isinstance(one, Message) else one.reason for one in stored]


def archive(transaction: Transaction, channel_id: int) -> None:
    """Make a channel read-only, without telling anyone."""
    directory.update(transaction, channel_id, archived_at=transaction.now)


def names(path: Path) -> list[str]:
    """What is in a directory."""
    return sorted(entry.name for entry in path.iterdir())
