"""Who one is at a server: make an account, sign in with it, and keep the session for the next command. `become` does
it for the console, too.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from madang.client.client import Client
from madang.client.connect import Connecting, connect, look_at, register
from madang.client.home import Credentials, Home, StateError
from madang.core.errors import MadangError, TokenMissing
from madang.core.models import Registration, User
from madang.terminal import secrets
from madang.terminal.exits import CommandError, Exit
from madang.terminal.options import Options, as_name, read_options
from madang.terminal.output import print_record, print_texts
from madang.terminal.places import forget_signed_in, remember_signed_in
from madang.terminal.records import user_record
from madang.terminal.signin import device, in_time, keyring_of, saved_session, telling_waits
from madang.terminal.trust import remember_trust


@dataclass(frozen=True, slots=True)
class NewPerson:
    """Who wants to come in: with an account, or (`new`) to make one."""

    handle: str
    password: str = field(repr=False)
    new: bool = False
    invite: str = field(default="", repr=False)
    display_name: str = ""


def sign_up(arguments: argparse.Namespace) -> int:
    """Run `madang register`."""
    options = read_options(arguments)
    options = as_name(options, arguments.handle or options.name)
    invite = arguments.invite or _ask_invite(options)
    password = secrets.new_password(arguments, f"A password for {options.name}: ")
    person = NewPerson(options.name, password, new=True, invite=invite, display_name=arguments.display_name)
    return asyncio.run(_come_in(options, person, arguments.json))


def sign_in(arguments: argparse.Namespace) -> int:
    """Run `madang signin`."""
    options = read_options(arguments)
    options = as_name(options, arguments.handle or options.name)
    password = secrets.one_password(arguments, f"The password of {options.name}: ")
    return asyncio.run(_come_in(options, NewPerson(options.name, password), arguments.json))


async def sign_out(arguments: argparse.Namespace) -> int:
    """Run `madang signout`."""
    options = read_options(arguments)
    options = as_name(options, options.name)
    saved = await kept_session(options)
    try:
        await (await owning(options, saved)).sign_out()
    except CommandError as error:
        if error.code is not Exit.NOT_SIGNED_IN:
            raise
        await forget(options)  # it has ended already
    forget_signed_in(options.base, options.server, options.name)
    print_texts([f"{saved.handle} is signed out at {options.server}."])
    return Exit.DONE


async def kept_session(options: Options) -> Credentials:
    """The session that is kept; its token is empty where the keyring has it, and does not give it.

    Raises CommandError where there is none.
    """
    async with in_time(options):
        saved = await saved_session(options, needs_token=False)
    if saved is None:
        raise CommandError(f"{options.name} is not signed in at {options.server}", Exit.NOT_SIGNED_IN)
    return saved


async def owning(options: Options, saved: Credentials) -> Client:
    """A client of a kept session that owns the state folder, so that it can end both. Raises CommandError."""
    async with in_time(options):
        if not saved.token:
            raise TokenMissing
        return await _owning(options, saved.token)


async def forget(options: Options) -> None:
    """Drop what is kept in the state folder."""
    async with in_time(options):
        home = await Home.open(options.folder, keyring_of(options))
        try:
            await home.credentials(needs_token=False)
            await home.forget()
        finally:
            await home.close()


async def become(options: Options, person: NewPerson) -> User:
    """Sign in, or make an account, and keep the session in the person's state folder, in place of what was there.

    Raises the MadangError of a refusal; CommandError where a console of this person is open.
    """
    before = None
    with suppress(StateError), telling_waits(options):  # what cannot be read is replaced
        before = await saved_session(options, needs_token=False)
    async with in_time(options):
        client = await _first(options, person)
    try:
        async with in_time(options):
            kept = await _owning(options, client.token)
            me = kept.me
            await kept.close(drain=0)
    except BaseException:
        with suppress(MadangError):
            await client.sign_out(drain=0)
        raise
    await client.close(drain=0)
    remember_signed_in(options.base, options.server, options.name)
    remember_trust(options.base, options.server, options.tls)
    await _end(options, before, client.token)
    return me


async def _needs_invite(options: Options) -> bool:
    """Whether nobody can register there without an invite."""
    async with in_time(options):
        server = await look_at(options.server, timeout=options.timeout, tls=options.tls)
    return server.registration is Registration.INVITE


async def _come_in(options: Options, person: NewPerson, as_json: bool) -> int:
    me = await become(options, person)
    if as_json:
        print_record(user_record(me, None))
    else:
        print_texts([f"You are {me.handle} at {options.server}; madang commands are {me.handle}'s from now on."])
    return Exit.DONE


def _ask_invite(options: Options) -> str:
    """The code of an invite, where one is needed and somebody can be asked."""
    if not secrets.is_terminal() or not asyncio.run(_needs_invite(options)):
        return ""
    return secrets.ask_line("The code of your invite: ")


def _first(options: Options, person: NewPerson) -> Connecting:
    if person.new:
        return register(
            options.server,
            person.handle,
            person.password,
            invite=person.invite,
            display_name=person.display_name,
            device=device(),
            live=False,
            timeout=options.timeout,
            tls=options.tls,
        )
    return connect(
        options.server,
        handle=person.handle,
        password=person.password,
        device=device(),
        live=False,
        timeout=options.timeout,
        tls=options.tls,
    )


def _owning(options: Options, token: str) -> Connecting:
    """A client that owns the state folder."""
    return connect(
        options.server,
        token=token,
        state=options.folder,
        keyring=keyring_of(options),
        device=device(),
        live=False,
        timeout=options.timeout,
        tls=options.tls,
    )


async def _end(options: Options, before: Credentials | None, token: str) -> None:
    """End the session that was kept before, so that it is not left open behind the user's back."""
    if before is None or before.token in ("", token):
        return
    with suppress(MadangError):
        client = await connect(options.server, token=before.token, live=False, timeout=options.timeout, tls=options.tls)
        await client.sign_out(drain=0)
