"""`madang send`: one message, a stream of them, or all of standard input as one."""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid
from dataclasses import dataclass
from typing import TypeAlias

from madang.client.client import Client
from madang.client.outgoing import Outgoing, Receipt
from madang.core.errors import InvalidArgument, MadangError, TextNotAllowed
from madang.core.models import Channel, Content, Message
from madang.terminal import lines, stdin
from madang.terminal.exits import CommandError, Exit, code_of, explain
from madang.terminal.options import Options, read_options
from madang.terminal.output import print_error, print_lines, print_record
from madang.terminal.records import message_record
from madang.terminal.rooms import room
from madang.terminal.signin import one_shot

_TEXT_AT_MOST = 16_384
_AT_ONCE = 200
"""So many lines are on their way at once."""
_Window: TypeAlias = "asyncio.Queue[tuple[int, Outgoing | MadangError] | None]"
"""The lines that are on their way, with their numbers; None is the end."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Where to send, and how to tell."""

    client: Client
    channel: Channel
    request_id: uuid.UUID
    timeout: float
    json: bool
    quiet: bool


async def send(arguments: argparse.Namespace) -> int:
    """Run the command."""
    options = read_options(arguments)
    text = await _whole_text(arguments)
    async with one_shot(options) as client:
        channel = await room(client, arguments.channel, join=arguments.join)
        job = _job(arguments, options, client, channel)
        if text is None:
            return await _send_lines(job)
        await _send_one(job, text)
    return Exit.DONE


def _job(arguments: argparse.Namespace, options: Options, client: Client, channel: Channel) -> _Job:
    request_id = arguments.request_id or uuid.uuid4()
    return _Job(client, channel, request_id, options.timeout, arguments.json, arguments.quiet)


async def _whole_text(arguments: argparse.Namespace) -> str | None:
    """The one message; None where each line of standard input is one."""
    if arguments.text != "-":
        return _not_empty(arguments.text)
    if not arguments.whole:
        return None
    raw = (await stdin.beginning(sys.stdin.fileno(), _TEXT_AT_MOST + 2)).removesuffix(b"\n")
    if len(raw) > _TEXT_AT_MOST:
        raise TextNotAllowed(problem=f"is longer than {_TEXT_AT_MOST:,} bytes")
    return _not_empty(stdin.decode(raw))


def _not_empty(text: str) -> str:
    if not text:
        raise TextNotAllowed(problem="is empty")
    return text


async def _send_one(job: _Job, text: str) -> None:
    outgoing = job.client.post(job.channel, text, request_id=str(job.request_id))
    await _report(job, outgoing, f"--request-id {job.request_id}")


async def _send_lines(job: _Job) -> int:
    """Send each line of standard input; a line that is refused is told, and the others go on."""
    window: _Window = asyncio.Queue(_AT_ONCE)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_post_lines(job, window))
            reporting = tasks.create_task(_report_lines(job, window))
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
    return reporting.result()


async def _post_lines(job: _Job, window: _Window) -> None:
    number = 0
    try:
        async for raw in stdin.raw_lines(sys.stdin.fileno()):
            number += 1
            if raw.strip():
                await window.put((number, _post_line(job, number, raw)))
    except TextNotAllowed as error:  # a line without an end: there is no way to go on behind it
        await window.put((number + 1, error))
    await window.put(None)


def _post_line(job: _Job, number: int, raw: bytes) -> Outgoing | MadangError:
    """Post a line. Its id follows from its number, so that the same input again stores nothing twice."""
    request_id = str(uuid.uuid5(job.request_id, str(number)))
    try:
        return job.client.post(job.channel, stdin.decode(raw), request_id=request_id)
    except MadangError as error:
        return error


async def _report_lines(job: _Job, window: _Window) -> int:
    code = Exit.DONE
    while (item := await window.get()) is not None:
        number, posted = item
        try:
            if isinstance(posted, MadangError):
                raise posted
            await _report(job, posted, f"the same input and --request-id {job.request_id}")
        except InvalidArgument as error:
            print_error(f"line {number}: {explain(error, channel=job.channel.name)}")
            code = code or code_of(error)
    return code


async def _report(job: _Job, outgoing: Outgoing, again: str) -> None:
    """Wait until a message is stored, and tell it."""
    try:
        async with asyncio.timeout(job.timeout):
            receipt = await outgoing.stored()
    except TimeoutError:
        text = f"no answer within {job.timeout:g} s; it may still be stored. To try again safely, use {again}"
        raise CommandError(text, Exit.NOT_NOW) from None
    except MadangError as error:
        if isinstance(error, InvalidArgument):
            raise
        raise CommandError(explain(error, channel=job.channel.name), code_of(error)) from None
    if not job.quiet:
        _print(job, receipt, outgoing.text)


def _print(job: _Job, receipt: Receipt, text: str) -> None:
    me = job.client.me
    message = Message(
        channel_id=receipt.channel_id,
        sequence=receipt.sequence,
        version=receipt.sequence,
        author_id=me.user_id,
        created_at=receipt.created_at,
        content=Content.TEXT,
        text=text,
    )
    if job.json:
        print_record(message_record(message, job.channel.name, me.handle) | {"request_id": receipt.request_id})
    else:
        when = lines.clock(receipt.created_at)
        print_lines(lines.message_lines(message, me.handle, when=when, channel=job.channel.name, own=True))
