"""The way in: `madang.connect`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType

from madang.client.backoff import Backoff
from madang.client.client import Client
from madang.client.errors import is_passing
from madang.client.home import Home
from madang.client.known import ChannelRef
from madang.client.session import SignedIn, Wish, sign_in
from madang.client.store import Post
from madang.client.tls import Tls, secure, wanted
from madang.client.transport import Transport
from madang.core.errors import MadangError, ServerUnreachable


@dataclass(frozen=True, slots=True)
class Options:
    """What `connect` was asked for; see there."""

    target: str
    handle: str
    token: str | None
    state: str | os.PathLike[str] | None
    device: str
    presence: bool
    channels: tuple[ChannelRef, ...]
    live: bool
    timeout: float
    tls: Tls | None = None


class Connecting:
    """What `connect` gives: await it for the client, or enter it (`async with`) to have it closed at the end."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._client: Client | None = None

    def __await__(self) -> Generator[object, None, Client]:
        return _open(self._options).__await__()

    async def __aenter__(self) -> Client:
        self._client = await self
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()


def connect(
    target: str = "localhost:50050",
    *,
    handle: str = "",
    token: str | None = None,
    state: str | os.PathLike[str] | None = None,
    device: str = "",
    presence: bool = False,
    channels: Iterable[ChannelRef] | None = None,
    live: bool = True,
    timeout: float = 10.0,
    tls: Tls | bool | None = None,
) -> Connecting:
    """Sign in at a server, and stay connected: `async with madang.connect(…) as client`, or `await madang.connect(…)`.

    target: the server, `host:port`.
    handle: what a new guest wants to be called; the server makes a name up, or appends a number, where it has to.
    token: go on with this session. Default: the one in `state`; a new guest where it is missing, or not good any more.
    state: a directory for what survives a restart: the session, the outbox and the positions; for one client at a time,
        at one server. Default: memory only. They are one user's: for another one (a new guest in place of a session
        that has ended, say) the positions begin anew, and what was in the outbox has FAILED; Sent events tell why.
    device: what the client runs on, for the list of sessions, up to 64 characters.
    presence: have PresenceChanged among the events.
    channels: read only these channels. Default: all of the user's, those that it joins later too.
    live: have a live stream at all; scripts that only send or look up need none.
    timeout: seconds to make the first connection in. Later ones are tried for ever.
    tls: True for TLS with the authorities that gRPC knows, False for plain text, a Tls for a private authority, a pin
        or a certificate of the client's own. Default: TLS, but plain text to a server on this machine.

    When it is done, everything that happens from then on (or from the positions in `state`) is in `client.events()`.

    Raises ServerUnreachable; ServerNotTrusted when the certificate is not the pinned one; Unauthenticated when `token`
    is not good; ChannelNotFound and NotAMember for `channels`; StateInUse, or another StateError, or OSError, for
    `state`; OSError for the files of `tls`.
    """
    only = tuple(channels or ())
    secured = wanted(tls, target)
    return Connecting(Options(target, handle, token, state, device, presence, only, live, timeout, secured))


async def _open(options: Options) -> Client:
    home = await Home.open(options.state)
    deadline = time.monotonic() + options.timeout
    try:
        transport = Transport(options.target, await secure(options.tls, options.target, deadline))
    except BaseException:
        await home.close()
        raise
    try:
        wish = Wish(options.handle, options.token, options.device, await home.credentials())
        signed = await _first_contact(transport, wish, deadline)
        left = await home.store.outbox()
        if signed.stranger is not None:  # first of all: nothing may ever be sent as somebody else, also after a crash
            await home.store.forget()
        await home.keep(signed.credentials(signed.user))
        return await _begin(options, home, transport, signed, left, deadline)
    except BaseException:
        await transport.close()
        await home.close()
        raise


async def _first_contact(transport: Transport, wish: Wish, deadline: float) -> SignedIn:
    """Sign in, and again while the server cannot be reached, until the deadline."""
    backoff = Backoff()
    last: MadangError | None = None
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            while True:
                try:
                    return await sign_in(transport, wish)
                except MadangError as error:
                    if not is_passing(error):
                        raise
                    last = error
                    await asyncio.sleep(backoff.next(error.retry_after))
    except TimeoutError:
        if isinstance(last, ServerUnreachable):
            raise last from None
        raise ServerUnreachable(target=transport.target, problem=str(last or "no answer in time")) from None


async def _begin(
    options: Options, home: Home, transport: Transport, signed: SignedIn, left: Sequence[Post], deadline: float
) -> Client:
    client = Client(home, transport, signed)
    try:
        await client._begin(left, options.presence, options.live, options.channels, deadline - time.monotonic())
    except BaseException:
        await client.close(drain=0)
        raise
    return client
