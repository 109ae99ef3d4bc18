"""The ways in: `madang.connect`, `madang.register`, and `madang.reset_password` for who has lost the password."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType

from madang.client.backoff import Backoff
from madang.client.client import Client
from madang.client.errors import is_passing
from madang.client.home import Home
from madang.client.keyring import Keyring
from madang.client.known import ChannelRef
from madang.client.line import next_try
from madang.client.nodes import split_targets
from madang.client.obstacle import obstacles, stays
from madang.client.session import Guest, NewAccount, Password, Proof, SignedIn, Token, Wish, sign_in
from madang.client.store import Post
from madang.client.tls import Tls, secure, wanted
from madang.client.transport import ServerInfo, Transport
from madang.core.errors import InvalidField, MadangError, ResourceExhausted, ServerUnreachable
from madang.v1.agent_service_pb2 import RedeemPasswordResetRequest


@dataclass(frozen=True, slots=True)
class Options:
    """What `connect` was asked for; see there."""

    target: str
    proof: Proof
    state: str | os.PathLike[str] | None
    keyring: Keyring | None
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
    password: str | None = None,
    token: str | None = None,
    state: str | os.PathLike[str] | None = None,
    keyring: Keyring | None = None,
    device: str = "",
    presence: bool = False,
    channels: Iterable[ChannelRef] | None = None,
    live: bool = True,
    timeout: float = 10.0,
    tls: Tls | bool | None = None,
) -> Connecting:
    """Sign in at a server, and stay connected: `async with madang.connect(…) as client`, or `await madang.connect(…)`.

    target: the server, `host:port`; where it runs on several nodes, any of them, with commas between them: the client
        learns of the others, and goes to another one when its own goes.
    handle: who one is, with `password`; else what a new guest wants to be called: the server makes a name up, or
        appends a number, where it has to.
    password: of the account `handle`. Used where `state` holds no session of that account that is still good.
    token: go on with this session, or as this bot. Default: the one in `state`; a new guest where it is missing, or was
        a guest's and is not good any more.
    state: a directory for what survives a restart: the session, the outbox and the positions; for one client at a time,
        at one server. Default: memory only. They are one user's: for another one (a new guest in place of a session
        that has ended, say) the positions begin anew, and what was in the outbox has FAILED; Sent events tell why.
    keyring: keep the session's token in the system's keyring instead of a file in `state`, where there is one that
        works: `madang.Keyring()`. Never the password: that is kept nowhere.
    device: what the client runs on, for the list of sessions, up to 64 characters.
    presence: have PresenceChanged among the events.
    channels: read only these channels. Default: all of the user's, those that it joins later too.
    live: have a live stream at all; scripts that only send or look up need none.
    timeout: seconds to make the first connection in. Later ones are tried for ever.
    tls: True for TLS with the authorities that gRPC knows, False for plain text, a Tls for a private authority, a pin
        or a certificate of the client's own. Default: TLS, but plain text to a server on this machine.

    When it is done, everything that happens from then on (or from the positions in `state`) is in `client.events()`.

    Raises ServerUnreachable, without a second try where TLS is why; ServerNotTrusted when the certificate is not the
    pinned one; CredentialsWrong; another Unauthenticated when `token`, or a person's session in `state`, is not good;
    AccountBanned, GuestsNotAllowed; RateLimited for too many tries; ChannelNotFound and NotAMember for `channels`;
    StateInUse, or another StateError, or OSError, for `state`; OSError for the files of `tls`; InvalidField for a
    password of nobody.
    """
    proof: Proof = Guest(handle)
    if token is not None:
        proof = Token(token)
    elif password is not None:
        if not handle:
            raise InvalidField(field="handle", rule="a password is of somebody: name the account, too")
        proof = Password(handle, password)
    only, secured = tuple(channels or ()), wanted(tls, target)
    return Connecting(Options(target, proof, state, keyring, device, presence, only, live, timeout, secured))


def register(
    target: str,
    handle: str,
    password: str,
    *,
    invite: str = "",
    display_name: str = "",
    state: str | os.PathLike[str] | None = None,
    keyring: Keyring | None = None,
    device: str = "",
    presence: bool = False,
    channels: Iterable[ChannelRef] | None = None,
    live: bool = True,
    timeout: float = 10.0,
    tls: Tls | bool | None = None,
) -> Connecting:
    """Make an account, sign in with it, and stay connected: `async with madang.register(…) as client`.

    handle: 1 to 32 characters; the server has the rules. password: 10 to 256 characters.
    invite: the code of an invite, for a server that asks for one.
    The rest is as `connect` has it. What `state` holds is left behind: it is somebody else's. When the server's answer
    is lost on its way, the account may be there: it is signed in to then.

    Raises HandleTaken, NameNotAllowed, PasswordNotAllowed, CodeInvalid, RegistrationClosed; and what `connect` raises.
    """
    proof = NewAccount(handle, password, invite, display_name)
    only, secured = tuple(channels or ()), wanted(tls, target)
    return Connecting(Options(target, proof, state, keyring, device, presence, only, live, timeout, secured))


async def reset_password(
    target: str, code: str, password: str, *, timeout: float = 10.0, tls: Tls | bool | None = None
) -> str:
    """Set a new password with a code that an administrator gave; returns the account's handle, to sign in with.

    Every session of the account ends. Raises CodeInvalid, PasswordNotAllowed, RateLimited, ServerUnreachable.
    """
    async with _at_the_door(target, timeout, tls) as transport:
        request = RedeemPasswordResetRequest(code=code, new_password=password)
        return (await transport.call(transport.agent.RedeemPasswordReset, request, timeout)).handle


async def look_at(target: str, *, timeout: float = 10.0, tls: Tls | bool | None = None) -> ServerInfo:
    """What a server is, and how one gets in, asked without signing in. Raises ServerUnreachable."""
    async with _at_the_door(target, timeout, tls) as transport:
        return await transport.get_server()


@asynccontextmanager
async def _at_the_door(target: str, timeout: float, tls: Tls | bool | None) -> AsyncIterator[Transport]:
    """The way to a server, for what needs no session."""
    secured = wanted(tls, target)
    async with _telling_why(target, secured):
        transport = Transport(split_targets(target), await secure(secured, target, time.monotonic() + timeout))
        try:
            if transport.are_several:
                await transport.arrive()  # what is asked next may not be asked twice: it needs a node that is there
            yield transport
        finally:
            await transport.close()


@asynccontextmanager
async def _telling_why(target: str, tls: Tls | None) -> AsyncIterator[None]:
    """Where the server cannot be reached in the block, say so if that is because of TLS."""
    try:
        yield
    except ServerUnreachable as error:
        found = [each for each in await obstacles(target, tls) if each is not None]
        raise (found[0] if found else error) from None


async def _open(options: Options) -> Client:
    home = await Home.open(options.state, options.keyring)
    deadline = time.monotonic() + options.timeout
    try:
        async with _telling_why(options.target, options.tls):
            transport = Transport(split_targets(options.target), await secure(options.tls, options.target, deadline))
    except BaseException:
        await home.close()
        raise
    try:
        saved = await home.credentials(needs_token=isinstance(options.proof, Guest))
        signed = await _first_contact(transport, Wish(options.proof, options.device, saved), deadline, options.tls)
        left = await home.store.outbox()
        if signed.stranger is not None:  # first of all: nothing may ever be sent as somebody else, also after a crash
            await home.store.forget()
        await home.keep(signed.credentials(signed.user))
        return await _begin(options, home, transport, signed, left, deadline)
    except BaseException:
        await transport.close()
        await home.close()
        raise


async def _first_contact(transport: Transport, wish: Wish, deadline: float, tls: Tls | None) -> SignedIn:
    """Sign in, and again while the server cannot be reached, until the deadline; not where TLS is why."""
    backoff = Backoff()
    last: MadangError | None = None
    found: list[ServerUnreachable | None] = []
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            while True:
                visit = transport.visit
                try:
                    return await sign_in(transport, wish, again=last is not None)
                except MadangError as error:
                    if not is_passing(error) or _is_long(error, deadline):
                        raise
                    if isinstance(error, ServerUnreachable) and not found:
                        found = await obstacles(transport.address, tls)
                        if found[0] is not None and all(map(stays, found)):
                            raise found[0] from None
                    last = error
                    await asyncio.sleep(await next_try(transport, visit, error, backoff))
    except TimeoutError:
        if isinstance(last, ServerUnreachable):
            raise next(filter(None, found), last) from None
        raise ServerUnreachable(target=transport.address, problem=str(last or "no answer in time")) from None


def _is_long(error: MadangError, deadline: float) -> bool:
    """Whether the server asks for more patience than there is."""
    return isinstance(error, ResourceExhausted) and time.monotonic() + (error.retry_after or 0.0) > deadline


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
