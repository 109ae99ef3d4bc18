"""Sends the outbox over one Post stream: in order, as lists of what gathered meanwhile, again after every break.

What the server refuses for coming too fast waits for as long as the server says, and goes again; nothing overtakes it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from madang.client.aside import Aside
from madang.client.backoff import Backoff
from madang.client.directory import Directory
from madang.client.errors import from_rpc, from_status, is_passing
from madang.client.line import Line, Lost, next_try
from madang.client.outbox import Outbox
from madang.client.outgoing import Outgoing, Receipt
from madang.client.transport import Transport
from madang.core.errors import (
    Internal,
    MadangError,
    RateLimited,
    ResourceExhausted,
    ServerUnreachable,
    SlowMode,
    StorageUnavailable,
    Unauthenticated,
    Unavailable,
)
from madang.v1 import channel_service_pb2 as pb
from madang.v1.resources_pb2 import Message
from madang.wire.values import micros

if TYPE_CHECKING:
    from madang.client.transport import PostCall

LIST_LENGTH = 200
"""How many messages go in one list at most."""
LIST_BYTES = 256 << 10
"""How many bytes of text go in one list at most."""
WINDOW = 1000
"""How many messages are on their way at most; fewer while the server refuses some for being too many."""
IDLE = 30.0
"""After how many seconds without a message the stream is closed, to cost the server nothing."""
PAUSE = 1.0
"""How long a message waits that came too fast, where the server does not say how long, seconds."""
MOST_TRIES = 5
"""How often a message is sent at most for which the server fails with an error of its own: it may be the message."""


Delayed = Callable[[Outgoing, float, MadangError], None]
"""Is told of a message that has to wait, for how many seconds, and why; those behind it wait too."""


class Sender:
    """Moves messages from `outbox.ready` to their verdicts."""

    def __init__(
        self, transport: Transport, directory: Directory, outbox: Outbox, line: Line, lost: Lost, delayed: Delayed
    ) -> None:
        self._transport = transport
        self._directory = directory
        self._outbox = outbox
        self._line = line
        self._lost = lost
        self._delayed = delayed
        self._aside = Aside(outbox, lambda channel_id: any(o.channel_id == channel_id for o in self._flight.values()))
        self._backoff = Backoff()
        self._flight: dict[str, Outgoing] = {}
        self._again: list[Outgoing] = []
        self._failures: Counter[str] = Counter()  # of the server itself, by request_id
        self._held: MadangError | None = None
        self._left = 0
        self._window = WINDOW

    async def run(self) -> None:
        """Send for ever. Raises Unauthenticated when the session has ended."""
        try:
            while True:
                await self._outbox.wait_ready()
                self._aside.sift()
                if self._outbox.ready:
                    await self._send_or_rest()
        finally:
            self._aside.stop()

    async def _send_or_rest(self) -> None:
        """Send; go elsewhere or wait when it cannot go on. Raises Unauthenticated."""
        visit = self._transport.visit
        try:
            await self._send()
        except RateLimited as error:
            delay = error.retry_after or PAUSE
            if self._outbox.ready:
                self._delayed(self._outbox.ready[0], delay, error)
            await self._line.rest(delay, error)
        except (Unavailable, ResourceExhausted, Internal) as error:
            delay = await next_try(self._transport, visit, error, self._backoff)
            if not isinstance(error, ResourceExhausted):
                self._lost(error, delay)
            if isinstance(error, StorageUnavailable) and self._outbox.ready:
                self._delayed(self._outbox.ready[0], delay, error)
            await self._line.rest(delay, error)

    async def _send(self) -> None:
        """Send until the stream ends. Raises what makes it worth to try again later, and what ends the session."""
        if not await self._find_channel():
            return
        error = await self._stream()
        if error is None:
            return
        if is_passing(error) or isinstance(error, Unauthenticated):
            raise error
        if not self._left:  # refused for nothing that was sent: later, then
            raise Internal from error
        await self._one_by_one(self._left)

    async def _find_channel(self) -> bool:
        """Look up the name of the channel that the next message is for, if that is all that is known."""
        outgoing = self._outbox.ready[0]
        if self._has_channel(outgoing):
            return True
        try:
            outgoing.channel_id = await self._directory.channel_id(outgoing.channel_name)
        except MadangError as error:
            self._refuse_first(error)
            return False
        return True

    def _has_channel(self, outgoing: Outgoing) -> bool:
        if not outgoing.channel_id:
            found = self._directory.known.id_of(outgoing.channel_name)
            outgoing.channel_id = found if isinstance(found, int) else 0
        return outgoing.channel_id != 0

    async def _one_by_one(self, count: int) -> None:
        """Send the next messages each on its own: the stream was refused for one of them, and did not say which."""
        for _ in range(count):
            self._aside.sift()
            if not self._outbox.ready:
                return
            outgoing = self._outbox.ready[0]
            request = pb.SendRequest(channel_id=outgoing.channel_id, text=outgoing.text, request_id=outgoing.request_id)
            try:
                answer = await self._transport.call(self._transport.channel.Send, request)
            except MadangError as error:
                self._refuse_first(error)
            else:
                self._outbox.ready.popleft()
                self._stored(outgoing, answer.message)

    def _refuse_first(self, error: MadangError) -> None:
        if isinstance(error, SlowMode):
            self._set_aside(self._outbox.ready.popleft(), error)
            return
        if isinstance(error, Unauthenticated) or self._may_pass(self._outbox.ready[0], error):
            raise error
        self._fail(self._outbox.ready.popleft(), error)

    # One stream.

    async def _stream(self) -> MadangError | None:
        """Send until the stream ends; return why it did. What has no verdict then is ready again.

        Raises what the server held messages back with: they are to be sent again, but later.
        """
        call = self._transport.post()
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self._write(call))
                error = await self._read(call)
                writer.cancel()
        finally:
            call.cancel()
            held = self._land_all()
        if error is None and held is not None:
            raise held
        if error is None and self._left:
            return ServerUnreachable(target=self._transport.target, problem="the server ended the stream")
        return error

    def _land_all(self) -> MadangError | None:
        """Make ready again what has no verdict; return why the stream was held, if it was."""
        left = [*self._again, *self._flight.values()]
        self._outbox.ready.extendleft(reversed(left))
        self._left = len(left)
        held, self._held = self._held, None
        self._again.clear()
        self._flight.clear()
        return held

    async def _write(self, call: PostCall) -> None:
        try:
            while await self._wait_for_work():
                request = self._next_list()
                if request.sends:
                    await call.write(request)
            await call.done_writing()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            return  # the reader is told why the stream ended

    async def _wait_for_work(self) -> bool:
        """Whether there is something to write, and room for it; no, when the stream is to be closed."""
        ready, flight = self._outbox.ready, self._flight
        try:
            async with asyncio.timeout(IDLE):
                while not ready or len(flight) >= self._window:
                    if self._held is not None:
                        return False
                    await self._outbox.wait_news()
                    self._aside.sift()
        except TimeoutError:
            return False
        return self._held is None and self._has_channel(ready[0])

    def _next_list(self) -> pb.PostRequest:
        request = pb.PostRequest()
        add, ready, flight = request.sends.add, self._outbox.ready, self._flight
        room, size = min(LIST_LENGTH, self._window - len(flight)), 0
        while ready and room and self._has_channel(ready[0]):
            if self._aside.sift():
                continue
            outgoing = ready[0]
            size += outgoing.size
            if size > LIST_BYTES:
                break
            ready.popleft()
            room -= 1
            flight[outgoing.request_id] = outgoing
            add(channel_id=outgoing.channel_id, text=outgoing.text, request_id=outgoing.request_id)
        return request

    async def _read(self, call: PostCall) -> MadangError | None:
        ended: MadangError | None = None
        try:
            async for response in call:
                self._line.up()
                for result in response.results:
                    self._land(result)
                self._outbox.wake()  # there is room again
        except grpc.aio.AioRpcError as error:
            ended = from_rpc(error, self._transport.target)
        except asyncio.CancelledError:
            ended = self._transport.cut_off()
            if ended is None:
                raise
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            # gRPC drops a cancellation that comes just when the call fails, before the server has answered it.
            raise asyncio.CancelledError
        return ended

    def _land(self, result: pb.PostResult) -> None:
        outgoing = self._flight.pop(result.request_id, None)
        if outgoing is None:
            return
        if result.HasField("stored"):
            self._stored(outgoing, result.stored)
        else:
            self._refused(outgoing, from_status(result.error))

    def _stored(self, outgoing: Outgoing, stored: pb.Receipt | Message) -> None:
        self._failures.pop(outgoing.request_id, None)
        if not self._failures:  # else the others would hurry the one that is to wait
            self._backoff.reset()
        self._window = min(WINDOW, self._window + 1)
        created_at = micros(stored.create_time)
        self._outbox.settle(outgoing, Receipt(stored.channel_id, stored.sequence, created_at, outgoing.request_id))

    def _refused(self, outgoing: Outgoing, error: MadangError) -> None:
        """A verdict, or a reason to hold back: what follows must not overtake what is to be sent again."""
        if isinstance(error, SlowMode):
            self._set_aside(outgoing, error)
        elif self._may_pass(outgoing, error):
            self._again.append(outgoing)
            self._held = error
            self._window = max(1, self._window // 2)  # at a limit, what is sent too early is sent for nothing
        else:
            self._fail(outgoing, error)

    def _set_aside(self, outgoing: Outgoing, error: SlowMode) -> None:
        """Its channel takes nothing for now; the others do."""
        delay = error.retry_after or PAUSE
        self._aside.put(outgoing, delay)
        self._delayed(outgoing, delay, error)

    def _may_pass(self, outgoing: Outgoing, error: MadangError) -> bool:
        """Whether to send it again; counts the server's own failures."""
        if not isinstance(error, Internal):
            return is_passing(error)
        self._failures[outgoing.request_id] += 1
        return self._failures[outgoing.request_id] < MOST_TRIES

    def _fail(self, outgoing: Outgoing, error: MadangError) -> None:
        self._failures.pop(outgoing.request_id, None)
        self._outbox.fail(outgoing, error)
