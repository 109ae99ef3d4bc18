"""What channels are called on the screen: `#dev`, and a direct one by its people, `@mina` or `@mina,jun`. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from madang.core.models import Channel, ChannelKind


def shown(name: str) -> str:
    """A channel's name with the sign before it: `#dev`; that of a direct channel has its own."""
    return name if name.startswith("@") else f"#{name}"


def named(channel: Channel, me: int, handle_of: Callable[[int], str]) -> Channel:
    """The channel with a name to show, also where it is a direct one: that of the others in it."""
    if channel.kind is not ChannelKind.DIRECT:
        return channel
    others = [user_id for user_id in channel.direct_user_ids if user_id != me] or [me]
    return replace(channel, name=f"@{','.join(handle_of(user_id) for user_id in others)}")


def people_of(name: str) -> list[str] | None:
    """The handles in the name of a direct channel; None where the name is another channel's."""
    if not name.startswith("@"):
        return None
    return [handle.strip().removeprefix("@") for handle in name.split(",") if handle.strip().removeprefix("@")]
