"""Gets a client for a command: as the same user each time, also while the user's console is running.

The console owns its state folder (credentials, outbox, positions) while it runs. A one-shot command borrows no more
than the token from it: it has no outbox, because a script that is told of a failure must know that nothing is sent
later behind its back.
"""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from madang.client.client import Client
from madang.client.connect import Connecting, connect, look_at
from madang.client.home import Credentials, Home, StateError, StateInUse, read_credentials
from madang.client.keyring import Keyring
from madang.client.known import ChannelRef
from madang.core.errors import CredentialsWrong, GuestsNotAllowed, MadangError, ServerUnreachable, Unauthenticated
from madang.core.models import UserKind
from madang.terminal.exits import CommandError, Exit, explain
from madang.terminal.options import Options
from madang.terminal.output import print_error
from madang.terminal.places import is_numbered
from madang.terminal.trust import remembered_trust

_AGAIN = 0.05
_KEYRING = Keyring(print_error)  # one for all: when it does not work, that is found out, and told, once
_WAITED_KEYRING = (
    "waiting for the system's keyring, perhaps to be unlocked … "
    "(with MADANG_KEYRING=off a session that begins is kept in a file)"
)
_SILENT = 1.0
_SILENT_IN_SCRIPTS = 3.0
"""Seconds after which the user is told what does not answer yet: at a terminal, and anywhere else."""


@asynccontextmanager
async def one_shot(
    options: Options, *, live: bool = False, channels: Sequence[ChannelRef] | None = None
) -> AsyncIterator[Client]:
    """A client that keeps nothing; `live`, `channels`: as `connect` takes them."""
    async with in_time(options):
        client = await _borrowed(options, live, channels)
    try:
        yield client
    finally:
        await client.close(drain=0)


@asynccontextmanager
async def for_console(options: Options) -> AsyncIterator[tuple[Client, bool]]:
    """A client for the console, and whether it keeps unsent messages on disk: not while another console does."""
    async with in_time(options):
        client, keeps = await _owned(options), True
        if client is None:
            client, keeps = await _borrowed(options, live=True), False
    try:
        yield client, keeps
    finally:
        await client.close(drain=0)


def keyring_of(options: Options) -> Keyring | None:
    """Where tokens go; None: into files."""
    return _KEYRING if options.keyring else None


async def saved_session(options: Options, *, needs_token: bool = True) -> Credentials | None:
    """What is kept in the user's state folder; None when that is nothing. Raises StateError."""
    if options.folder is None:
        return None
    return await read_credentials(options.folder, _KEYRING, needs_token=needs_token)  # wherever it was put


async def comes_anew(options: Options) -> bool:
    """Whether nothing is kept of the user yet, so that the server takes it for a new guest."""
    try:
        with telling_waits(options):
            return options.token is None and await saved_session(options, needs_token=False) is None
    except StateError:  # it is told when it is used
        return False


async def _owned(options: Options) -> Client | None:
    """A client that owns the state folder; None where there is none, or another console has it."""
    if options.folder is None or options.token is not None:
        return None
    try:
        return await _connect(options, handle=options.name, state=options.folder)
    except StateInUse:
        return None


async def _borrowed(options: Options, live: bool, channels: Sequence[ChannelRef] | None = None) -> Client:
    """A client in memory, with the saved token while that is good."""
    if options.token is not None:
        return await _connect(options, token=options.token, live=live, channels=channels)
    if options.folder is None:
        return await _connect(options, handle=options.name, live=live, channels=channels)
    saved = await saved_session(options)
    token = saved.token if saved is not None else None
    if token:
        try:
            return await _connect(options, token=token, live=live, channels=channels)
        except Unauthenticated:
            if saved is not None and not _is_guest(saved):
                raise
    strict = options.named and saved is None
    new = await _new_token(options, options.folder, token, strict=strict)
    client = await _connect(options, token=new, live=live, channels=channels)
    if token is not None:
        print_error(f"the saved session has ended; you are a new guest, {client.me.handle}")
    elif is_numbered(client.me.handle, options.name):
        way = f"if {options.name} is you: {_to_sign_in(options)}"
        print_error(f"{options.name} is taken; you are a new guest, {client.me.handle} ({way})")
    return client


async def _new_token(options: Options, folder: Path, bad: str | None, *, strict: bool) -> str:
    """Sign in as a new guest, and save the token; or take what another command saves at this very moment.

    `strict`: raises CommandError where somebody else has the name: a script that goes by a name has to be that one.
    """
    while True:
        with suppress(StateInUse):
            if strict:
                return await _token_of_name(options, folder)
            async with _connect(options, handle=options.name, state=folder, live=False) as client:
                return client.token
        saved = await saved_session(options)
        if saved is not None and saved.token and saved.token != bad:
            return saved.token
        await asyncio.sleep(_AGAIN)


async def _token_of_name(options: Options, folder: Path) -> str:
    """The token of a new guest that has the very name, saved; or the one that another command has just saved.

    Another guest's is never on disk, whatever happens here: the next script would take it for the one of the name.
    """
    home = await Home.open(folder, keyring_of(options))
    try:
        saved = await home.credentials()
        if saved is not None and saved.token:
            return saved.token
        client = await _connect(options, handle=options.name, live=False)
        try:
            if is_numbered(client.me.handle, options.name):
                with suppress(MadangError):  # the guest that nobody wanted; what was wrong first is told
                    await client.delete_account(messages="anonymize", drain=0)
                way = f"if that is you, {_to_sign_in(options)}; else take another --name"
                raise CommandError(f"{options.name} is taken: {way}", Exit.REFUSED)
            await home.store.forget()
            me, store_id = client.me, client.server.store_id
            await home.keep(Credentials(options.server, store_id, me.user_id, me.handle, client.token))
            return client.token
        finally:
            await client.close(drain=0)
    finally:
        await home.close()


def _to_sign_in(options: Options) -> str:
    return f"madang signin --server {options.server} --handle {options.name}"


def _connect(
    options: Options,
    *,
    handle: str = "",
    token: str | None = None,
    state: Path | None = None,
    live: bool = True,
    channels: Sequence[ChannelRef] | None = None,
) -> Connecting:
    return connect(
        options.server,
        handle=handle,
        token=token,
        state=state,
        keyring=keyring_of(options),
        device=device(),
        live=live,
        channels=channels,
        timeout=options.timeout,
        tls=options.tls,
    )


@asynccontextmanager
async def in_time(options: Options) -> AsyncIterator[None]:
    """The block, which gets a client, has the user's timeout; what goes wrong with the state folder or the session is
    told in one sentence.
    """
    try:
        with telling_waits(options):
            async with asyncio.timeout(options.timeout + _SILENT):  # the SDK's own timeout knows better what was wrong
                yield
    except StateInUse:
        raise CommandError(f"a console of {options.name} is open; leave it first", Exit.FAILED) from None
    except StateError as error:
        raise CommandError(str(error), Exit.FAILED) from None
    except CredentialsWrong:
        raise
    except Unauthenticated as error:
        raise await not_known(options, error) from None
    except GuestsNotAllowed as error:
        way = "madang register makes an account, madang signin uses one"
        raise CommandError(f"{explain(error)}: {way}", Exit.NOT_PERMITTED) from None
    except ServerUnreachable as error:
        if error.facts.get("cause") == "wants-plain" and remembered_trust(options.base, options.server) is not None:
            raise _no_tls_now(error) from None
        raise
    except TimeoutError:
        problem = f"no answer within {options.timeout:g} s"
        raise ServerUnreachable(target=options.server, problem=problem) from None


def _no_tls_now(error: ServerUnreachable) -> ServerUnreachable:
    """The same error without the advice to go on in plain text: the server had TLS when somebody signed in there."""
    problem = "it does not speak TLS now, as it did when you signed in"
    return ServerUnreachable(target=str(error.facts.get("target", "")), cause="no-tls-now", problem=problem)


@contextmanager
def telling_waits(options: Options) -> Iterator[None]:
    """Where the block takes its time, tell the user what it waits for: once the keyring, once the server."""
    loop = asyncio.get_running_loop()
    silent = _SILENT if sys.stderr.isatty() else _SILENT_IN_SCRIPTS
    told: set[str] = set()
    waiting: asyncio.TimerHandle

    def tell() -> None:
        nonlocal waiting
        waited_for = _WAITED_KEYRING if _KEYRING.is_asked else f"waiting for {options.server} …"
        if waited_for not in told:
            told.add(waited_for)
            print_error(waited_for)
        waiting = loop.call_later(silent, tell)

    waiting = loop.call_later(silent, tell)
    try:
        yield
    finally:
        waiting.cancel()


def device() -> str:
    """What this computer is called in the list of sessions."""
    return f"madang on {platform.node()}"[:64]


def _is_guest(saved: Credentials) -> bool:
    return saved.kind == UserKind.GUEST.name.lower()


async def not_known(options: Options, error: Unauthenticated) -> CommandError:
    """The server does not take the session: what to tell, and how to go on."""
    if options.token is not None:
        return CommandError(f"the token in MADANG_TOKEN is not good: {explain(error)}", Exit.NOT_SIGNED_IN)
    saved = None
    with suppress(StateError):  # what cannot be read says nothing
        saved = await saved_session(options, needs_token=False)
    way = f"madang signin --handle {options.name}"
    if saved is not None and await _is_another(options, saved):
        way = f"{way} if you have an account there, madang register to make one"
        text = f"{options.server} has other data now than when {saved.handle} came there, and does not know the session"
        return CommandError(f"{text}: {way}, or --name to come as a guest", Exit.NOT_SIGNED_IN)
    return CommandError(f"{explain(error)}: {way}", Exit.NOT_SIGNED_IN)


async def _is_another(options: Options, saved: Credentials) -> bool:
    """Whether the server keeps another history than the one that the session is of: new data, or a backup's."""
    with suppress(MadangError, OSError):
        return (await look_at(options.server, timeout=options.timeout, tls=options.tls)).store_id != saved.store_id
    return False
