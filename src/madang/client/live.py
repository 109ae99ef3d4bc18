"""The live stream: Subscribe, and again after every break, from where the client is."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing

from madang.client.directory import Directory
from madang.client.events import Connected
from madang.client.feed import Feed, authors
from madang.client.inbox import Inbox, Item
from madang.client.line import Line, Lost, keep_open
from madang.client.transport import Transport
from madang.core.errors import Internal, NotAMember


class Live:
    """Reads the live stream into the inbox. It reads on only when there is room."""

    def __init__(
        self,
        transport: Transport,
        directory: Directory,
        feed: Feed,
        inbox: Inbox,
        line: Line,
        *,
        lost: Lost,
        begun: asyncio.Future[None],
    ) -> None:
        """`begun` is done once the stream has begun: what happens from then on is in it."""
        self._transport = transport
        self._directory = directory
        self._feed = feed
        self._inbox = inbox
        self._line = line
        self._lost = lost
        self._begun = begun

    async def run(self) -> None:
        """Read for ever. Raises what ends the session, and what makes the stream impossible."""
        while True:
            try:
                await keep_open(self._stream, self._transport, self._line, self._lost)
            except NotAMember as error:
                await self._exclude(error)

    async def _stream(self) -> None:
        """Read until the connection breaks; after a gap, subscribe again at once."""
        server = await self._transport.get_server()  # it may be another one by now, elsewhere
        greeting = deque([Item(Connected(resumed=self._feed.begin(server.store_id)))])
        while True:
            applied = self._feed.applied
            await self._subscribe(greeting)
            greeting.clear()
            if self._feed.applied == applied:
                raise Internal  # the same gap again and again is the server's fault: not so fast

    async def _subscribe(self, greeting: deque[Item]) -> None:
        """Read one stream, through to a gap."""
        request = self._feed.request()
        async with aclosing(self._transport.stream(self._transport.channel.Subscribe, request)) as responses:
            first = True
            async for response in responses:
                if first and self._begun.done():  # from here on the stream tells of users, but not of what it missed
                    await self._directory.catch_up()
                first = False
                if response.nodes:
                    self._transport.told(response.nodes)
                await self._directory.meet(authors(response))
                items = self._feed.take(response)
                self._line.up()
                if not self._begun.done():
                    self._begun.set_result(None)
                await self._inbox.put(greeting + items)
                greeting = deque()
                if self._feed.gap:
                    return

    async def _exclude(self, error: NotAMember) -> None:
        """Go on without a channel of the filter that the user left while the stream was broken."""
        channel_id = error.facts.get("channel_id")
        if not isinstance(channel_id, int) or not self._begun.done() or not self._feed.only - {channel_id}:
            raise error
        self._feed.only.discard(channel_id)
        await self._inbox.put(deque(self._feed.close(channel_id)))
