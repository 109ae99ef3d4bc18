"""Who may do what: every action × standing × kind of channel × archived, against a table written by hand."""

from __future__ import annotations

from itertools import product

import pytest

from madang.core.errors import ChannelArchived, LobbyIsFixed, MadangError, NotAMember, NotPermitted
from madang.core.models import LOBBY_ID, Channel, ChannelKind
from madang.core.policy import Action, Standing, require, standing

OWNER, OTHER = 7, 8
STRANGER, MEMBER, OWNER_IN, OWNER_OUT = "stranger", "member", "owner", "owner that left"
WHO = {STRANGER: (OTHER, False), MEMBER: (OTHER, True), OWNER_IN: (OWNER, True), OWNER_OUT: (OWNER, False)}
"""Who it is: a user_id, and whether it is a member."""

OK = None
IN_USE: dict[Action, dict[str, type[MadangError] | None]] = {
    Action.READ: {STRANGER: NotAMember, MEMBER: OK, OWNER_IN: OK, OWNER_OUT: NotAMember},
    Action.WRITE: {STRANGER: NotAMember, MEMBER: OK, OWNER_IN: OK, OWNER_OUT: NotAMember},
    Action.SET_TOPIC: {STRANGER: NotAMember, MEMBER: OK, OWNER_IN: OK, OWNER_OUT: NotAMember},
    Action.RENAME: {STRANGER: NotPermitted, MEMBER: NotPermitted, OWNER_IN: OK, OWNER_OUT: OK},
    Action.ARCHIVE: {STRANGER: NotPermitted, MEMBER: NotPermitted, OWNER_IN: OK, OWNER_OUT: OK},
    Action.JOIN: {STRANGER: OK, MEMBER: OK, OWNER_IN: OK, OWNER_OUT: OK},
}
"""In a public channel that is in use."""

STILL_IN_ARCHIVED = {Action.READ, Action.ARCHIVE}
IN_LOBBY = {Action.READ, Action.WRITE, Action.SET_TOPIC, Action.JOIN}
"""What everyone may do in the lobby."""


def channel(kind: ChannelKind, archived: bool) -> Channel:
    lobby = kind is ChannelKind.LOBBY
    channel_id, owner_id = (LOBBY_ID, 0) if lobby else (5, OWNER)
    return Channel(channel_id, "x", "", kind, owner_id, 0, 0, 1 if archived else None)


def verdict(action: Action, kind: ChannelKind, archived: bool, who: str) -> type[MadangError] | None:
    user_id, is_member = WHO[who]
    try:
        require(action, channel(kind, archived), user_id, is_member)
    except MadangError as error:
        return MadangError if "{" in str(error) else type(error)  # a fact is missing
    return None


def test_the_table_is_complete() -> None:
    assert set(IN_USE) == set(Action)
    assert {standing(channel(ChannelKind.PUBLIC, False), *WHO[who]) for who in WHO} == set(Standing)


@pytest.mark.parametrize(("action", "who"), product(Action, WHO))
def test_in_a_channel_in_use(action: Action, who: str) -> None:
    assert verdict(action, ChannelKind.PUBLIC, False, who) is IN_USE[action][who]


@pytest.mark.parametrize(("action", "who"), product(Action, WHO))
def test_in_an_archived_channel(action: Action, who: str) -> None:
    expected = IN_USE[action][who]
    if expected is OK and action not in STILL_IN_ARCHIVED:
        expected = ChannelArchived
    assert verdict(action, ChannelKind.PUBLIC, True, who) is expected


@pytest.mark.parametrize(("action", "who"), product(Action, WHO))
def test_in_the_lobby_everyone_is_a_member_and_nobody_owns_it(action: Action, who: str) -> None:
    assert verdict(action, ChannelKind.LOBBY, False, who) is (OK if action in IN_LOBBY else LobbyIsFixed)


def test_a_stranger_learns_nothing_of_the_channel_but_that_it_is_no_member() -> None:
    """An archived channel refuses a stranger for being a stranger: its state is no stranger's business."""
    assert verdict(Action.WRITE, ChannelKind.PUBLIC, True, STRANGER) is NotAMember
