"""What the text of a message means that is not somebody's words; see `madang.core.models.Message`. Pure."""

from __future__ import annotations

from madang.core.models import ChannelRole, Content, Message

_ABOUT_A_LEAVER = frozenset({Content.MEMBER_REMOVED, Content.MEMBER_BANNED})
_ABOUT_A_USER = frozenset({Content.MEMBER_REMOVED, Content.MEMBER_BANNED, Content.ROLE_CHANGED})


def subject_id(message: Message) -> int:
    """To whom it was done: the member who was removed or banned, or got a role; 0 where it was done to nobody."""
    if message.content not in _ABOUT_A_USER:
        return 0
    head = message.text.partition(" ")[0]
    return int(head) if head.isdecimal() else 0


def leaver_id(message: Message) -> int:
    """Who is out of the channel since this entry; 0 where it is about something else."""
    if message.content is Content.MEMBER_LEFT:
        return message.author_id
    return subject_id(message) if message.content in _ABOUT_A_LEAVER else 0


def reason_of(message: Message) -> str:
    """Why a member was removed or banned; empty where nothing was said."""
    return message.text.partition(" ")[2] if message.content in _ABOUT_A_USER else ""


def role_of(message: Message) -> ChannelRole:
    """The role that somebody got; MEMBER where it is not known here."""
    number = message.text.partition(" ")[2]
    return ChannelRole(int(number)) if number in {"1", "2", "3"} else ChannelRole.MEMBER


def number_of(message: Message) -> int:
    """The new slow mode in seconds; 1 or 0 for a channel that is read-only, or open to guests, or not any more."""
    return int(message.text) if message.text.isdecimal() else 0
