"""The console's commands about people: `/user`, `/who`."""

from __future__ import annotations

from madang.core.errors import NotFound
from madang.core.models import LOBBY_ID, Channel, User
from madang.core.presence import Presence
from madang.terminal.desk import Desk
from madang.terminal.exits import CommandError, Exit
from madang.terminal.listing import is_here, status_text, user_lines
from madang.terminal.titles import shown

_ABSENT_AT_MOST = 30
_SHARED_AT_MOST = 30


async def show_users(desk: Desk, argument: str) -> None:
    """`/user [NAME|ID]`: everyone; or the people of a channel; or one user."""
    if not argument:
        return await _show_everyone(desk)
    if argument.startswith("#") or argument.isdecimal():
        return await _show_members(desk, argument)
    try:
        user = await desk.client.user(argument.removeprefix("@"))
    except NotFound:
        return await _show_members_or_fail(desk, argument)
    return await _show_user(desk, user)


async def show_present(desk: Desk, argument: str) -> None:
    """`/who`: the members of the current channel who are here."""
    channel = desk.view.current
    people = await _members(desk, channel)
    here = [(user, presence) for user, presence in people if is_here(presence)]
    title = f"{len(here)} of {len(people)} in {shown(channel.name)} are here:"
    await desk.print_table(title, user_lines(here, desk.view.me.user_id, {}))


async def _show_everyone(desk: Desk) -> None:
    users = await desk.client.users()
    desk.view.meet(users)
    present = await _presences(desk)
    here = [(user, present[user.user_id]) for user in users if is_here(present.get(user.user_id))]
    absent = [user.handle for user in users if not is_here(present.get(user.user_id))]
    await desk.print_table("Here now:", user_lines(here, desk.view.me.user_id, await _shared(desk)))
    if absent:
        more = f" and {len(absent) - _ABSENT_AT_MOST} more" if len(absent) > _ABSENT_AT_MOST else ""
        await desk.note(f"Not here: {', '.join(absent[:_ABSENT_AT_MOST])}{more}")


async def _show_members_or_fail(desk: Desk, name: str) -> None:
    try:
        await _show_members(desk, name)
    except NotFound:
        raise CommandError(f"there is no user and no channel {name}", Exit.NOT_FOUND) from None


async def _show_members(desk: Desk, name: str) -> None:
    info = await desk.client.channel(name)
    people = await _members(desk, info.channel)
    await desk.print_table(
        f"In {shown(desk.view.named(info.channel).name)}:", user_lines(people, desk.view.me.user_id, {})
    )


async def _show_user(desk: Desk, user: User) -> None:
    presence = (await _presences(desk)).get(user.user_id)
    names = (await _shared(desk)).get(user.user_id, [])
    where = f"; in {' '.join(shown(name) for name in names)}" if names else ""
    name = f" ({user.display_name})" if user.display_name else ""
    says = f"; says: {user.status_text}" if user.status_text else ""
    await desk.note(f"{user.handle}{name}: {status_text(presence)}{says}{where}")


async def _members(desk: Desk, channel: Channel) -> list[tuple[User, Presence | None]]:
    present = await _presences(desk)
    users = [user for _, user in await desk.client.members(channel)]
    desk.view.meet(users)
    return [(user, present.get(user.user_id)) for user in users]


async def _presences(desk: Desk) -> dict[int, Presence]:
    return {presence.user_id: presence for presence in await desk.client.presences()}


async def _shared(desk: Desk) -> dict[int, list[str]]:
    """Which of the user's own channels everyone is in; names by user_id. The lobby goes without saying."""
    shared: dict[int, list[str]] = {}
    rooms = [room.channel for room in desk.view.rooms.values() if room.channel.channel_id != LOBBY_ID]
    for channel in rooms[:_SHARED_AT_MOST]:
        for member, _ in await desk.client.members(channel):
            shared.setdefault(member.user_id, []).append(channel.name)
    return shared
