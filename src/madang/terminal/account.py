"""What one does with one's own account: `madang passwd`, `sessions`, `export`, `delete-account`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from madang.client.connect import reset_password
from madang.core.models import UserKind
from madang.terminal import secrets
from madang.terminal.exits import CommandError, Exit
from madang.terminal.identity import kept_session, owning
from madang.terminal.listing import session_lines
from madang.terminal.options import Options, as_name, read_options
from madang.terminal.output import ends_with_its_reader, print_record, print_texts
from madang.terminal.places import forget_signed_in
from madang.terminal.records import session_record
from madang.terminal.signin import in_time, one_shot


def change_password(arguments: argparse.Namespace) -> int:
    """Run `madang passwd`."""
    options = read_options(arguments)
    if arguments.reset_code is not None:
        new = secrets.new_password(arguments, "The new password: ")
        return asyncio.run(_reset(options, arguments.reset_code, new))
    old, new = secrets.old_and_new_password(arguments)
    return asyncio.run(_change(options, old, new))


def delete_account(arguments: argparse.Namespace) -> int:
    """Run `madang delete-account`."""
    options = read_options(arguments)
    options = as_name(options, options.name)
    saved = asyncio.run(kept_session(options))
    password = ""
    if saved.kind == UserKind.PERSON.name.lower():
        password = secrets.one_password(arguments, f"The password of {saved.handle}: ")
    if not arguments.yes:
        typed = secrets.ask_line(f"This cannot be undone. Type {saved.handle} to delete the account: ")
        if typed.casefold() != saved.handle.casefold():
            raise CommandError("nothing was deleted", Exit.FAILED)
    return asyncio.run(_delete(options, password, arguments.messages))


async def sessions(arguments: argparse.Namespace) -> int:
    """Run `madang sessions`."""
    async with one_shot(read_options(arguments)) as client:
        found = await client.sessions(arguments.of)
        current = client.session.session_id
    if not arguments.json:
        print_texts(session_lines(found, current))
    else:
        for session in found:
            print_record(session_record(session, current))
    return Exit.DONE


async def revoke_sessions(arguments: argparse.Namespace) -> int:
    """Run `madang sessions revoke ID|all`."""
    async with one_shot(read_options(arguments)) as client:
        if arguments.session == "all":
            count = await client.revoke_all_sessions(arguments.of)
        else:
            count = int(await client.revoke_session(int(arguments.session)))
    if arguments.json:
        print_record({"revoked": count})
    else:
        print_texts(["1 session was ended." if count == 1 else f"{count} sessions were ended."])
    return Exit.DONE


async def export(arguments: argparse.Namespace) -> int:
    """Run `madang export FILE|-`."""
    async with one_shot(read_options(arguments)) as client:
        if arguments.file != "-":
            size = await client.export_to(arguments.file)
            print_texts([f"{size:,} bytes are in {arguments.file}."])
            return Exit.DONE
        with ends_with_its_reader():
            async for data in client.export():
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    return Exit.DONE


async def _reset(options: Options, code: str, new: str) -> int:
    async with in_time(options):
        handle = await reset_password(options.server, code, new, timeout=options.timeout, tls=options.tls)
    print_texts([f"The password of {handle} is set. Sign in with it: madang signin --handle {handle}"])
    return Exit.DONE


async def _change(options: Options, old: str, new: str) -> int:
    async with one_shot(options) as client:
        await client.change_password(old, new)
    print_texts(["The password is changed. Your other sessions have ended."])
    return Exit.DONE


async def _delete(options: Options, password: str, messages: str) -> int:
    client = await owning(options, await kept_session(options))
    try:
        await client.delete_account(password, messages="erase" if messages == "erase" else "anonymize")
    finally:
        await client.close(drain=0)
    forget_signed_in(options.base, options.server, options.name)
    print_texts([f"The account {options.name} is deleted."])
    return Exit.DONE
