"""Gets a client for a command: as the same user each time, also while the user's console is running.

The console owns its state folder (credentials, outbox, positions) while it runs. A one-shot command borrows no more
than the token from it: it has no outbox, because a script that is told of a failure must know that nothing is sent
later behind its back.
"""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from madang.client.client import Client
from madang.client.connect import Connecting, connect
from madang.client.home import StateError, StateInUse
from madang.core.errors import ServerUnreachable, Unauthenticated
from madang.terminal.exits import CommandError, Exit
from madang.terminal.options import Options
from madang.terminal.output import print_error

_AGAIN = 0.05
_SILENT = 1.0
"""Seconds after which someone at a terminal is told that the server does not answer yet."""


@asynccontextmanager
async def one_shot(
    options: Options, *, live: bool = False, channels: Sequence[str] | None = None
) -> AsyncIterator[Client]:
    """A client that keeps nothing; `live`, `channels`: as `connect` takes them."""
    async with _in_time(options):
        client = await _borrowed(options, live, channels)
    try:
        yield client
    finally:
        await client.close(drain=0)


@asynccontextmanager
async def for_console(options: Options) -> AsyncIterator[tuple[Client, bool]]:
    """A client for the console, and whether it keeps unsent messages on disk: not while another console does."""
    async with _in_time(options):
        client, keeps = await _owned(options), True
        if client is None:
            client, keeps = await _borrowed(options, live=True), False
    try:
        yield client, keeps
    finally:
        await client.close(drain=0)


def saved_token(folder: Path) -> str | None:
    """The token that is kept in a state folder; raises OSError where the file holds something else."""
    path = folder / "credentials.json"
    try:
        return str(json.loads(path.read_text("utf-8"))["token"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise OSError(f"{path} does not hold credentials; take it away to come as a new guest") from None


async def _owned(options: Options) -> Client | None:
    """A client that owns the state folder; None where there is none, or another console has it."""
    if options.folder is None:
        return None
    try:
        return await _connect(options, handle=options.name, state=options.folder)
    except StateInUse:
        return None


async def _borrowed(options: Options, live: bool, channels: Sequence[str] | None = None) -> Client:
    """A client in memory, with the saved token while that is good."""
    if options.folder is None:
        return await _connect(options, handle=options.name, live=live, channels=channels)
    token = saved_token(options.folder)
    if token is not None:
        with suppress(Unauthenticated):
            return await _connect(options, token=token, live=live, channels=channels)
    new = await _new_token(options, options.folder, token)
    client = await _connect(options, token=new, live=live, channels=channels)
    if token is not None:
        print_error(f"the saved session has ended; you are a new guest, {client.me.handle}")
    return client


async def _new_token(options: Options, folder: Path, bad: str | None) -> str:
    """Sign in as a new guest, and save the token; or take what another command saves at this very moment."""
    while True:
        with suppress(StateInUse):
            async with _connect(options, handle=options.name, state=folder, live=False) as client:
                return client.token
        token = saved_token(folder)
        if token is not None and token != bad:
            return token
        await asyncio.sleep(_AGAIN)


def _connect(
    options: Options,
    *,
    handle: str = "",
    token: str | None = None,
    state: Path | None = None,
    live: bool = True,
    channels: Sequence[str] | None = None,
) -> Connecting:
    return connect(
        options.server,
        handle=handle,
        token=token,
        state=state,
        device=f"madang on {platform.node()}"[:64],
        live=live,
        channels=channels,
        timeout=options.timeout,
        tls=options.tls,
    )


@asynccontextmanager
async def _in_time(options: Options) -> AsyncIterator[None]:
    """The block has the user's timeout; what goes wrong with the state folder is told in one sentence."""
    waiting = asyncio.get_running_loop().call_later(_SILENT, _tell_waiting, options.server)
    try:
        async with asyncio.timeout(options.timeout + _SILENT):  # the SDK's own timeout knows better what was wrong
            yield
    except StateError as error:
        raise CommandError(str(error), Exit.FAILED) from None
    except TimeoutError:
        problem = f"no answer within {options.timeout:g} s"
        raise ServerUnreachable(target=options.server, problem=problem) from None
    finally:
        waiting.cancel()


def _tell_waiting(server: str) -> None:
    if sys.stderr.isatty():
        print_error(f"waiting for {server} …")
