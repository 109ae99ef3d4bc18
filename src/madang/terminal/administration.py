"""`madang admin`: invites, people, sessions, the audit log and reports, over the API as everything else."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Iterable
from typing import TypedDict

from madang.client.client import Client
from madang.core.models import AuditEvent
from madang.terminal import listing
from madang.terminal.account import revoke_sessions, sessions
from madang.terminal.durations import say_duration
from madang.terminal.exits import Exit
from madang.terminal.lines import stamp
from madang.terminal.options import read_options
from madang.terminal.output import ends_with_its_reader, print_record, print_texts
from madang.terminal.records import (
    Record,
    audit_record,
    invite_record,
    report_record,
    timestamp,
    user_record,
)
from madang.terminal.signin import one_shot

__all__ = ["revoke_sessions", "sessions"]

_PAGE = 100
"""So many events of the audit log are looked at, and printed, together."""


async def invite(arguments: argparse.Namespace) -> int:
    """Run `madang admin invite`: the code, and how to use it."""
    options = read_options(arguments)
    async with one_shot(options) as client:
        made = await client.admin.create_invite(
            role=arguments.role, uses=arguments.uses, seconds=arguments.expires, note=arguments.note
        )
    if arguments.json:
        print_record(invite_record(made.invite) | {"code": made.code})
        return Exit.DONE
    people = "one person" if made.invite.max_uses == 1 else f"{made.invite.max_uses} people"
    print_texts(
        [
            made.code,
            f"Good for {people} as {made.invite.role.name.lower()}, until {stamp(made.invite.expires_at)}:",
            f"  madang register --server {options.server} --invite {made.code}",
        ]
    )
    return Exit.DONE


async def invites(arguments: argparse.Namespace) -> int:
    """Run `madang admin invites`."""
    async with one_shot(read_options(arguments)) as client:
        found = await client.admin.invites()
        names = await client.handles(one.creator_id for one in found)
    _print(arguments, [invite_record(one) for one in found], listing.invite_lines(found, names))
    return Exit.DONE


async def revoke_invite(arguments: argparse.Namespace) -> int:
    """Run `madang admin revoke-invite`."""
    async with one_shot(read_options(arguments)) as client:
        await client.admin.revoke_invite(arguments.invite)
    return _told(arguments, f"Invite {arguments.invite} is worthless now.", {"invite_id": arguments.invite})


async def users(arguments: argparse.Namespace) -> int:
    """Run `madang admin users`."""
    async with one_shot(read_options(arguments)) as client:
        found = await client.users()
    _print(arguments, [user_record(user, None) for user in found], listing.account_lines(found))
    return Exit.DONE


async def promote(arguments: argparse.Namespace) -> int:
    """Run `madang admin promote`."""
    async with one_shot(read_options(arguments)) as client:
        user = await client.admin.set_role(arguments.user, arguments.role)
    role = user.role.name.lower()
    return _told(arguments, f"{user.handle} is {listing.article(role)} now.", user_record(user, None))


async def reset_password(arguments: argparse.Namespace) -> int:
    """Run `madang admin reset-password`."""
    options = read_options(arguments)
    async with one_shot(options) as client:
        made = await client.admin.reset_password(arguments.user)
    if arguments.json:
        print_record({"code": made.code, "expire_time": timestamp(made.expires_at)})
        return Exit.DONE
    print_texts(
        [
            made.code,
            f"Good for a new password of {arguments.user}, once, until {stamp(made.expires_at)}:",
            f"  madang passwd --server {options.server} --reset-code {made.code}",
        ]
    )
    return Exit.DONE


async def ban(arguments: argparse.Namespace) -> int:
    """Run `madang admin ban`."""
    async with one_shot(read_options(arguments)) as client:
        user = await client.user(arguments.user)
        await client.admin.ban(user, arguments.reason, seconds=arguments.seconds)
        user = await client.user(user)
    length = f" for {say_duration(arguments.seconds)}" if arguments.seconds else ""
    return _told(arguments, f"{user.handle} is banned from the server{length}.", user_record(user, None))


async def unban(arguments: argparse.Namespace) -> int:
    """Run `madang admin unban`."""
    async with one_shot(read_options(arguments)) as client:
        user = await client.user(arguments.user)
        await client.admin.unban(user)
        user = await client.user(user)
    return _told(arguments, f"{user.handle} may come in again.", user_record(user, None))


async def bot_limits(arguments: argparse.Namespace) -> int:
    """Run `madang admin bot-limits`."""
    async with one_shot(read_options(arguments)) as client:
        bot = await client.user(arguments.bot)
        await client.admin.set_bot_limits(bot, arguments.rate, arguments.burst)
    limits: Record = {"user_id": bot.user_id, "messages_per_second": arguments.rate, "burst": arguments.burst}
    sentence = f"{bot.handle} may send {arguments.burst} messages at once, then {arguments.rate} a second; 0: as usual."
    return _told(arguments, sentence, limits)


async def audit(arguments: argparse.Namespace) -> int:
    """Run `madang admin audit`: newest first, or with --follow as it comes."""
    with ends_with_its_reader():
        async with one_shot(read_options(arguments)) as client:
            if arguments.follow:
                await _follow_audit(arguments, client)
            else:
                async for events in _newest_first(arguments, client):
                    await _print_events(arguments, client, events)
    return Exit.DONE


async def _newest_first(arguments: argparse.Namespace, client: Client) -> AsyncIterator[list[AuditEvent]]:
    """As many events as are asked for, a few at a time."""
    found: list[AuditEvent] = []
    left: int | None = None if arguments.all else arguments.limit
    async for event in client.admin.audit(**_which(arguments)):
        found.append(event)
        if len(found) == (_PAGE if left is None else min(_PAGE, left)):
            yield found
            left = None if left is None else left - len(found)
            found = []
            if left == 0:
                return
    yield found


async def _follow_audit(arguments: argparse.Namespace, client: Client) -> None:
    """Print what is there, oldest first, and then what comes, for ever."""
    newest_first = [event async for events in _newest_first(arguments, client) for event in events]
    await _print_events(arguments, client, newest_first[::-1])
    after = newest_first[0].event_id if newest_first else 0
    async for event in client.admin.follow_audit(after=after, **_which(arguments)):
        await _print_events(arguments, client, [event])


class _Which(TypedDict):
    """Which events are asked for, as `client.admin.audit` takes it."""

    actor: str | None
    user: str | None
    channel: str | None
    action: str


def _which(arguments: argparse.Namespace) -> _Which:
    return _Which(actor=arguments.actor, user=arguments.user, channel=arguments.channel, action=arguments.action_prefix)


async def reports(arguments: argparse.Namespace) -> int:
    """Run `madang admin reports`."""
    async with one_shot(read_options(arguments)) as client:
        found = await client.reports(arguments.channel, include_resolved=arguments.all)
        names = await client.handles(user_id for one in found for user_id in (one.author_id, one.reporter_id))
        places = await _channel_names(client)
    _print(arguments, [report_record(one) for one in found], listing.report_lines(found, names, places))
    return Exit.DONE


async def resolve(arguments: argparse.Namespace) -> int:
    """Run `madang admin resolve`."""
    async with one_shot(read_options(arguments)) as client:
        report = await client.resolve_report(arguments.report)
    return _told(arguments, f"Report {report.report_id} is closed.", report_record(report))


async def _print_events(arguments: argparse.Namespace, client: Client, events: list[AuditEvent]) -> None:
    names = await client.handles(user_id for event in events for user_id in (event.actor_id, event.user_id))
    lines = [] if arguments.json else listing.audit_lines(events, names, await _channel_names(client))
    _print(arguments, [audit_record(event, names) for event in events], lines)


async def _channel_names(client: Client) -> dict[int, str]:
    return {info.channel.channel_id: info.channel.name for info in await client.channels(include_archived=True)}


def _print(arguments: argparse.Namespace, records: Iterable[Record], lines: Iterable[str]) -> None:
    if not arguments.json:
        print_texts(lines)
    else:
        for record in records:
            print_record(record)


def _told(arguments: argparse.Namespace, sentence: str, record: Record) -> int:
    _print(arguments, [record], [sentence])
    return Exit.DONE
