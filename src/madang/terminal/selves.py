"""The console's commands about the user: what others see of it, and who it is."""

from __future__ import annotations

from dataclasses import dataclass

from madang.terminal.desk import Desk
from madang.terminal.exits import CommandError, Exit


@dataclass(frozen=True, slots=True)
class Becoming:
    """Who the user wants to be: the console ends, asks for the password, and begins again as this one."""

    handle: str
    new: bool
    invite: str = ""


async def change_handle(desk: Desk, argument: str) -> None:
    """`/nick NAME`."""
    await desk.say(*desk.view.user(await desk.client.set_handle(argument)))


async def change_name(desk: Desk, argument: str) -> None:
    """`/name DISPLAY NAME`."""
    me = await desk.client.update_me(display_name="" if argument == "-" else argument)
    await desk.note(f"The name beside your handle is {me.display_name} now." if me.display_name else "It is gone.")


async def change_status(desk: Desk, argument: str) -> None:
    """`/status TEXT`."""
    me = await desk.client.update_me(status_text="" if argument == "-" else argument)
    await desk.note(f"Your status is: {me.status_text}" if me.status_text else "It is gone.")


async def sign_in(desk: Desk, argument: str) -> None:
    """`/signin [HANDLE]`. Never with the password: what is typed here is on the screen."""
    handle, _, more = argument.partition(" ")
    if more:
        raise CommandError("write /signin HANDLE alone; the password is asked for, and not shown", Exit.REFUSED)
    _become(desk, Becoming(handle.removeprefix("@"), new=False))


async def register(desk: Desk, argument: str) -> None:
    """`/register HANDLE [CODE]`."""
    handle, _, invite = argument.partition(" ")
    if " " in invite.strip():
        text = "write /register HANDLE and the code of an invite; the password is asked for, and not shown"
        raise CommandError(text, Exit.REFUSED)
    _become(desk, Becoming(handle.removeprefix("@"), new=True, invite=invite.strip()))


def _become(desk: Desk, becoming: Becoming) -> None:
    if not desk.screen.interactive:
        command = "register" if becoming.new else "signin"
        raise CommandError(f"a password is asked for at a terminal only: madang {command}", Exit.USAGE)
    desk.becoming = becoming
    desk.leaving = True
