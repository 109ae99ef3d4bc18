"""The bus of many processes: NATS carries the events, each process calls its handlers.

Handlers here are called at once, as with the local bus; what leaves for the others is buffered, up to a bound, and sent
by one task. What cannot be sent is dropped and counted, and the others are told that something was lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nats.aio.client import Client
from nats.errors import ConnectionClosedError
from nats.errors import Error as NatsError

from madang.bus.ear import ear
from madang.bus.encoding import ALL, CHANNEL, PRESENCE, NotAnEvent, Parcel, decode, encode
from madang.bus.link import Link, NatsOptions
from madang.bus.local import LocalBus
from madang.bus.tasks import end
from madang.core.events import BusEvent, ChannelChanged, HeadKnown, NewsLost

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

MAX_OUTGOING = 32 * 1024 * 1024
"""How many bytes may wait to be sent."""
SETTLE_WITHIN = 3.0
"""How long `settled` waits for NATS, seconds; then the node is as good as cut off, and will notice."""
TAKE_WITHIN = 10.0
"""How long the client may take over what it is given, seconds: it waits while NATS takes nothing."""
REST = 0.1
"""How long nothing is tried after the client failed, seconds."""
SEND_AT_ONCE = 256
"""After so many the loop has its turn."""
_BESIDE = 100

_log = logging.getLogger("madang.bus")


class NatsBus(LocalBus):
    """See `madang.bus.base.Bus`. `start`, then `close`; each once.

    `dropped`: events that did not leave; `sent`, `received`: those that did, and that came; `returns`: how often it was
    back after it was away.
    """

    def __init__(self, options: NatsOptions) -> None:
        super().__init__()
        self.dropped = 0
        self.sent = 0
        self.received = 0
        self.returns = 0
        self.link = Link(options, self._came, self._went)
        self.cluster = options.cluster
        self.store = ""
        """What `start` was told."""
        self._prefix = f"madang.{options.cluster}."
        self._outgoing: deque[Parcel] = deque()
        self._size = 0
        self._lost = False
        self._connected = False
        self._watched: set[int] = set()
        self._changed: dict[int, None] = {}
        self._subscriptions: dict[int, Subscription] = {}
        self._work = asyncio.Event()
        self._settling: asyncio.Future[None] | None = None
        self._round_trips: dict[asyncio.Task[None], asyncio.Future[None]] = {}
        self._sending: asyncio.Task[None] | None = None
        self._returns: list[Callable[[], None]] = []
        self._connections: list[Callable[[Client], Any]] = []
        self._garbage = False
        self._ear = ear(self._hear)

    async def start(self, wait: float, store: str = "") -> None:
        """Connect; wait that many seconds for a bus that is not there. `store`: the id of the store that the events are
        about: of any other one nothing is heard here. Raises BusError.
        """
        self.store = store
        if store:
            self._prefix += f"{store}."
        await self.link.start(wait)
        self._sending = asyncio.create_task(self._send(), name="madang-bus-send")

    async def close(self) -> None:
        """Send what waits, and disconnect."""
        client = self.link.client
        if client is not None and self._outgoing:
            try:
                async with asyncio.timeout(1):
                    await self._send_some(client, len(self._outgoing))
                    await _through(client)
            except (NatsError, OSError, TimeoutError):
                _log.warning("the bus did not take what was to be sent in the end")
        if self._sending is not None:
            await end(self._sending)
        await self.link.close()
        for task in list(self._round_trips):
            await end(task)

    def publish(self, event: BusEvent) -> None:
        """Call the event's handlers; then it leaves for the others, if they can be reached."""
        self.deliver(event)
        parcel = encode(event)
        if parcel is not None:
            self._put(event, parcel)

    def watch(self, channel_id: int) -> None:
        """See Bus."""
        self._watched.add(channel_id)
        self._changed[channel_id] = None
        self._work.set()

    def unwatch(self, channel_id: int) -> None:
        """See Bus."""
        self._watched.discard(channel_id)
        self._changed[channel_id] = None
        self._work.set()

    async def settled(self) -> None:
        """See Bus. Everyone who asks before the next trip to NATS begins shares it."""
        if not self._connected:
            return
        if self._settling is None:
            self._settling = asyncio.get_running_loop().create_future()
            self._work.set()
        await asyncio.shield(self._settling)

    @property
    def is_connected(self) -> bool:
        """See Bus."""
        return self._connected

    @property
    def is_shared(self) -> bool:
        """See Bus."""
        return True

    def on_return(self, handler: Callable[[], None]) -> None:
        """See Bus."""
        self._returns.append(handler)

    def on_connection(self, prepare: Callable[[Client], Any]) -> None:
        """Await `prepare` with each new connection before it is used; it may subscribe. Called before `start`."""
        self._connections.append(prepare)

    @property
    def waiting(self) -> int:
        """How many bytes wait to be sent."""
        return self._size

    def _put(self, event: BusEvent, parcel: Parcel) -> None:
        client = self.link.client
        if client is None:
            self._drop()
            return
        if len(parcel.data) > client.max_payload:
            smaller = _instead(event)
            if smaller is None:
                self._drop()
                return
            parcel = smaller
        size = len(parcel.data) + _BESIDE
        if self._size + size > MAX_OUTGOING:
            self._drop()
            return
        self._outgoing.append(parcel)
        self._size += size
        self._work.set()

    def _drop(self) -> None:
        """Something that others should know did not leave; they are told as soon as anything can be told."""
        self.dropped += 1
        self._lost = True

    async def _came(self, client: Client) -> None:
        """A new connection: everything is subscribed to, and only then it counts."""
        self._subscriptions = subscriptions = {}  # another one: the last connection may still write into its own
        self._changed.clear()
        for subject in (ALL, PRESENCE):
            await client.subscribe(self._prefix + subject, future=self._ear)
        for channel_id in list(self._watched):
            subscriptions[channel_id] = await self._subscribe(client, channel_id)
        for prepare in self._connections:
            await prepare(client)
        await _through(client)
        self._connected = True
        self._changed |= dict.fromkeys(self._watched ^ self._subscriptions.keys())
        self._work.set()
        if self._sending is None:  # the first
            return
        self._lost = True
        self.returns += 1
        for handler in self._returns:
            handler()

    def _went(self) -> None:
        self._connected = False
        if self._outgoing:
            self.dropped += len(self._outgoing)
            self._outgoing.clear()
        self._size = 0
        self._settle()

    async def _send(self) -> None:
        """The one task that gives something to the client."""
        while True:
            await self._work.wait()
            self._work.clear()
            client = self.link.client
            if client is None:
                self._settle()
                continue
            try:
                async with asyncio.timeout(TAKE_WITHIN):
                    await self._work_off(client)
            except Exception as error:  # it broke; the link notices
                expected = isinstance(error, NatsError | OSError | TimeoutError)
                _log.log(logging.DEBUG if expected else logging.ERROR, "sending: %s", error, exc_info=not expected)
                self._drop()
                self._settle()
                await asyncio.sleep(REST)
            if self._outgoing or self._changed or self._lost:
                self._work.set()
                await asyncio.sleep(0)

    async def _work_off(self, client: Client) -> None:
        await self._catch_up(client)
        if self._settling is not None:
            self._begin_settling(client)
        await self._send_some(client, SEND_AT_ONCE)
        if self._lost and not self._outgoing:  # there is room again
            self._lost = False
            self.publish(NewsLost())

    async def _catch_up(self, client: Client) -> None:
        """Subscribe to what is watched, and to nothing else."""
        subscriptions = self._subscriptions
        while self._changed:
            channel_id = next(iter(self._changed))
            del self._changed[channel_id]
            subscription = subscriptions.get(channel_id)
            try:
                if channel_id in self._watched and subscription is None:
                    subscriptions[channel_id] = await self._subscribe(client, channel_id)
                elif channel_id not in self._watched and subscription is not None:
                    del subscriptions[channel_id]
                    await subscription.unsubscribe()
            except BaseException:
                self._changed[channel_id] = None  # it is not so yet
                raise

    async def _subscribe(self, client: Client, channel_id: int) -> Subscription:
        return await client.subscribe(f"{self._prefix}{CHANNEL}{channel_id}", future=self._ear)

    async def _send_some(self, client: Client, most: int) -> None:
        for _ in range(min(most, len(self._outgoing))):
            if not self._outgoing:  # the connection went meanwhile
                return
            subject, data = self._outgoing.popleft()
            self._size -= len(data) + _BESIDE
            await client.publish(self._prefix + subject, data)
            self.sent += 1

    def _begin_settling(self, client: Client) -> None:
        waiting, self._settling = self._settling, None
        if waiting is not None:
            task = asyncio.create_task(_round_trip(client))
            self._round_trips[task] = waiting
            task.add_done_callback(self._end_round_trip)

    def _end_round_trip(self, task: asyncio.Task[None]) -> None:
        _release(self._round_trips.pop(task))

    def _settle(self) -> None:
        """Nobody waits for a bus that is away."""
        waiting, self._settling = self._settling, None
        for each in (waiting, *self._round_trips.values()):
            if each is not None:
                _release(each)

    def _hear(self, message: Msg) -> None:
        self.received += 1
        try:
            event = decode(message.data)
        except NotAnEvent as error:
            if not self._garbage:
                self._garbage = True
                _log.warning("not an event, ignored, as all that follow: %s on %r", error, message.subject)
            return
        if event is not None:
            self.deliver(event)


def _instead(event: BusEvent) -> Parcel | None:
    """What tells of an event that NATS would not take, for its size."""
    return encode(HeadKnown(event.channel_id, event.through)) if isinstance(event, ChannelChanged) else None


async def _through(client: Client) -> None:
    """Return when NATS has taken all that was given to the client before. Raises NatsError, TimeoutError.

    nats-py writes a ping past what it has yet to write, so that is written first. Its own flush cancels what it waits
    for when it has waited long enough; the answer that comes all the same then ends its reading of the connection.
    """
    if not client.is_connected:
        raise ConnectionClosedError
    pong: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(SETTLE_WITHIN):
        await client._flush_pending(force_flush=True)
        await client._send_ping(pong)
        await asyncio.shield(pong)


async def _round_trip(client: Client) -> None:
    try:
        await _through(client)
    except (NatsError, OSError, TimeoutError) as error:
        _log.debug("settling: %s", error)


def _release(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
