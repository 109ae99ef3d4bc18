"""`madang bot`: programs with tokens of their own."""

from __future__ import annotations

import argparse

from madang.core.models import Scope
from madang.terminal.exits import Exit
from madang.terminal.listing import account_lines
from madang.terminal.options import read_options
from madang.terminal.output import print_record, print_texts
from madang.terminal.records import session_record, user_record
from madang.terminal.signin import one_shot


async def create(arguments: argparse.Namespace) -> int:
    """Run `madang bot create`."""
    async with one_shot(read_options(arguments)) as client:
        bot = await client.create_bot(arguments.bot, arguments.display_name)
    if arguments.json:
        print_record(user_record(bot, None))
    else:
        print_texts([f"{bot.handle} is there. It needs a token: madang bot token {bot.handle}"])
    return Exit.DONE


async def list_bots(arguments: argparse.Namespace) -> int:
    """Run `madang bot list`."""
    async with one_shot(read_options(arguments)) as client:
        bots = await client.bots()
    if not arguments.json:
        print_texts(account_lines(bots))
    else:
        for bot in bots:
            print_record(user_record(bot, None))
    return Exit.DONE


async def token(arguments: argparse.Namespace) -> int:
    """Run `madang bot token`: the token alone on standard output, for a file or a variable."""
    scopes = Scope(0)
    for scope in arguments.scopes:
        scopes |= scope
    async with one_shot(read_options(arguments)) as client:
        made = await client.create_bot_token(arguments.bot, scopes, name=arguments.note, seconds=arguments.expires)
    if arguments.json:
        print_record(session_record(made.session, 0) | {"token": made.token})
    else:
        print_texts([made.token])
    return Exit.DONE


async def delete(arguments: argparse.Namespace) -> int:
    """Run `madang bot delete`."""
    async with one_shot(read_options(arguments)) as client:
        await client.delete_bot(arguments.bot)
    if not arguments.json:
        print_texts([f"{arguments.bot} is deleted; its tokens have ended."])
    return Exit.DONE
