"""What an entry that is not somebody's words says."""

from __future__ import annotations

import pytest

from madang.core.contents import leaver_id
from madang.core.models import Content, Message

MINA = 11


def message(content: Content, text: str) -> Message:
    """An entry by Mina."""
    return Message(channel_id=7, sequence=5, version=5, author_id=MINA, created_at=0, content=content, text=text)


@pytest.mark.parametrize(
    ("content", "text", "leaver"),
    [
        (Content.MEMBER_LEFT, "", MINA),
        (Content.MEMBER_REMOVED, "12 too loud", 12),
        (Content.MEMBER_BANNED, "13", 13),
        (Content.MEMBER_JOINED, "", 0),
        (Content.ROLE_CHANGED, "12 2", 0),
        (Content.TEXT, "12 is a number", 0),
    ],
)
def test_who_is_out_since_then(content: Content, text: str, leaver: int) -> None:
    assert leaver_id(message(content, text)) == leaver
