"""`madang channels`, `madang make` and `madang users`."""

from __future__ import annotations

import argparse

from madang.client.directory import ChannelInfo
from madang.core.models import ChannelKind
from madang.terminal.exits import Exit
from madang.terminal.listing import channel_lines, is_here, user_lines
from madang.terminal.options import read_options
from madang.terminal.output import print_record, print_texts
from madang.terminal.records import channel_record, user_record
from madang.terminal.rooms import with_name
from madang.terminal.signin import one_shot


async def channels(arguments: argparse.Namespace) -> int:
    """Run `madang channels`."""
    async with one_shot(read_options(arguments)) as client:
        found = await client.channels(joined_only=arguments.joined, include_archived=arguments.archived)
        infos = [ChannelInfo(with_name(client, channel), member) for channel, member in found]
    if not arguments.json:
        print_texts(channel_lines((info.channel, info.member) for info in infos))
    else:
        for info in infos:
            print_record(channel_record(info.channel, info.member))
    return Exit.DONE


async def make(arguments: argparse.Namespace) -> int:
    """Run `madang make`."""
    kind = ChannelKind.PRIVATE if arguments.private else ChannelKind.PUBLIC
    async with one_shot(read_options(arguments)) as client:
        made = await client.create_channel(arguments.channel.removeprefix("#"), arguments.topic, kind=kind)
        info = await client.channel(made)
    if arguments.json:
        print_record(channel_record(info.channel, info.member))
    else:
        print_texts([f"#{info.channel.name} is there; you are its owner."])
    return Exit.DONE


async def users(arguments: argparse.Namespace) -> int:
    """Run `madang users`."""
    async with one_shot(read_options(arguments)) as client:
        present = {presence.user_id: presence for presence in await client.presences()}
        people = [(user, present.get(user.user_id)) for user in await client.users()]
        me = client.me.user_id
    if arguments.here:
        people = [(user, presence) for user, presence in people if is_here(presence)]
    if not arguments.json:
        print_texts(user_lines(people, me, {}))
    else:
        for user, presence in people:
            print_record(user_record(user, presence))
    return Exit.DONE
