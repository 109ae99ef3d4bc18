"""Who may do what: every action × standing × kind of channel × archived, against a table written by hand."""

from __future__ import annotations

from itertools import product

import pytest

from madang.core.errors import (
    ChannelArchived,
    ChannelIsDirect,
    ChannelNotFound,
    ChannelReadOnly,
    GuestsNotAllowed,
    LobbyIsFixed,
    MadangError,
    Muted,
    NotAMember,
    NotPermitted,
)
from madang.core.models import LOBBY_ID, Channel, ChannelKind, ChannelRole, ServerRole
from madang.core.policy import (
    RULES,
    Action,
    Standing,
    absent,
    is_plain,
    require,
    require_entry,
    require_over,
    require_voice,
    slow_down,
    standing,
)

NOW = 1_700_000_000_000_000
STRANGER, MEMBER, MODERATOR, OWNER = "stranger", "member", "moderator", "owner"
ADMIN_OUT, ADMIN_IN = "administrator outside", "administrator inside"
WHO: dict[str, tuple[ChannelRole | None, ServerRole]] = {
    STRANGER: (None, ServerRole.MEMBER),
    MEMBER: (ChannelRole.MEMBER, ServerRole.GUEST),
    MODERATOR: (ChannelRole.MODERATOR, ServerRole.MEMBER),
    OWNER: (ChannelRole.OWNER, ServerRole.MEMBER),
    ADMIN_OUT: (None, ServerRole.ADMIN),
    ADMIN_IN: (ChannelRole.MEMBER, ServerRole.OWNER),
}
EVERYONE = set(WHO)
INSIDE = {MEMBER, MODERATOR, OWNER, ADMIN_IN}
MEMBERS = INSIDE | {ADMIN_OUT}
MODERATORS = {MODERATOR, OWNER, ADMIN_OUT, ADMIN_IN}
OWNERS = {OWNER, ADMIN_OUT, ADMIN_IN}

IN_PUBLIC: dict[Action, set[str]] = {
    Action.SEE: EVERYONE,
    Action.READ: INSIDE,
    Action.WRITE: INSIDE,
    Action.REPORT: INSIDE,
    Action.JOIN: EVERYONE,
    Action.LEAVE: INSIDE,
    Action.ADD_MEMBER: MEMBERS,
    Action.SET_TOPIC: MEMBERS,
    Action.RENAME: OWNERS,
    Action.SET_MODES: OWNERS,
    Action.ARCHIVE: OWNERS,
    Action.REMOVE_MEMBER: MODERATORS,
    Action.BAN: MODERATORS,
    Action.UNBAN: MODERATORS,
    Action.LIST_BANS: MODERATORS,
    Action.MUTE: MODERATORS,
    Action.SET_ROLE: OWNERS,
    Action.HANDLE_REPORTS: MODERATORS,
}
"""Who may, in a public channel that is in use."""

NOT_IN_ARCHIVED = {
    *(Action.WRITE, Action.JOIN, Action.ADD_MEMBER, Action.SET_TOPIC, Action.RENAME, Action.SET_MODES),
}
NOT_IN_LOBBY = {Action.LEAVE, Action.RENAME, Action.ARCHIVE, Action.REMOVE_MEMBER, Action.BAN}
IN_DIRECT = {Action.SEE, Action.READ, Action.WRITE, Action.REPORT, Action.SET_TOPIC}


def channel(kind: ChannelKind, archived: bool = False, **modes: int) -> Channel:
    lobby = kind is ChannelKind.LOBBY
    read_only, slow_mode, guests = bool(modes.get("read_only")), modes.get("slow_mode", 0), bool(modes.get("guests"))
    key = LOBBY_ID if lobby else 5
    return Channel(key, "x", "", kind, 0, 0, 0, 1 if archived else None, read_only, slow_mode, guests)


def verdict(action: Action, kind: ChannelKind, archived: bool, who: str) -> type[MadangError] | None:
    role, server_role = WHO[who]
    try:
        require(action, channel(kind, archived), role, server_role)
    except MadangError as error:
        return MadangError if "{" in str(error) else type(error)  # a fact is missing
    return None


def test_the_table_is_complete() -> None:
    assert set(IN_PUBLIC) == set(RULES) == set(Action)
    standings = {standing(channel(ChannelKind.PUBLIC), *WHO[who]) for who in WHO}
    assert standings == set(Standing)


def test_an_action_without_a_row_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, Action.READ)
    for who in WHO:
        assert verdict(Action.READ, ChannelKind.PUBLIC, False, who) is NotPermitted


@pytest.mark.parametrize(("action", "who", "archived"), product(Action, WHO, (False, True)))
def test_in_a_public_channel(action: Action, who: str, archived: bool) -> None:
    expected: type[MadangError] | None = None
    if who not in IN_PUBLIC[action]:
        expected = NotAMember if IN_PUBLIC[action] in (INSIDE, MEMBERS) else NotPermitted
    elif archived and action in NOT_IN_ARCHIVED:
        expected = ChannelArchived
    assert verdict(action, ChannelKind.PUBLIC, archived, who) is expected


@pytest.mark.parametrize(("action", "who", "archived"), product(Action, WHO, (False, True)))
def test_a_private_channel_is_not_there_for_strangers(action: Action, who: str, archived: bool) -> None:
    """And, where one has to be in it, for administrators neither. For everyone else it is like a public one."""
    expected = verdict(action, ChannelKind.PUBLIC, archived, who)
    if who == STRANGER or (who == ADMIN_OUT and IN_PUBLIC[action] is INSIDE):
        expected = ChannelNotFound
    assert verdict(action, ChannelKind.PRIVATE, archived, who) is expected


@pytest.mark.parametrize(("action", "who"), product(Action, WHO))
def test_a_direct_channel_is_for_its_people_alone_and_all_of_them_are_equal(action: Action, who: str) -> None:
    if who in (STRANGER, ADMIN_OUT):
        expected: type[MadangError] | None = ChannelNotFound
    else:
        expected = None if action in IN_DIRECT else ChannelIsDirect
    assert verdict(action, ChannelKind.DIRECT, False, who) is expected


@pytest.mark.parametrize(("action", "who"), product(Action, [MEMBER, MODERATOR, OWNER, ADMIN_IN]))
def test_in_the_lobby(action: Action, who: str) -> None:
    """Everyone is a member of it; it has moderators and owners only where an administrator made some."""
    expected = LobbyIsFixed if action in NOT_IN_LOBBY else verdict(action, ChannelKind.PUBLIC, False, who)
    assert verdict(action, ChannelKind.LOBBY, False, who) is expected


@pytest.mark.parametrize("kind", [ChannelKind.PRIVATE, ChannelKind.DIRECT])
def test_a_channel_that_one_cannot_see_is_refused_as_one_that_does_not_exist(kind: ChannelKind) -> None:
    for action, archived in product(Action, (False, True)):
        with pytest.raises(ChannelNotFound) as caught:
            require(action, channel(kind, archived), *WHO[STRANGER])
        assert caught.value.facts == {"channel": 5}
    with pytest.raises(ChannelNotFound) as caught:
        require(Action.SEE, channel(kind), *WHO[STRANGER], asked="secret")
    assert caught.value.facts == {"channel": "secret"}
    assert absent(channel(kind)).facts == {"channel": 5}


def test_whoever_lost_its_place_is_told_what_a_stranger_is_told() -> None:
    for kind in (ChannelKind.PUBLIC, ChannelKind.PRIVATE, ChannelKind.DIRECT):
        assert type(absent(channel(kind))) is verdict(Action.READ, kind, False, STRANGER)


def test_nobody_acts_on_somebody_of_an_equal_or_higher_standing_but_owners() -> None:
    for mine, theirs in product((Standing.MODERATOR, Standing.OWNER), Standing):
        allowed = mine is Standing.OWNER or theirs < Standing.MODERATOR
        try:
            require_over(mine, theirs)
        except NotPermitted:
            assert not allowed
        else:
            assert allowed


def voice(of: Channel, stands: Standing, server_role: ServerRole, muted_until: int | None) -> str:
    try:
        require_voice(of, stands, server_role, muted_until, NOW)
    except MadangError as error:
        return error.reason
    return ""


def test_a_muted_member_is_silent_to_the_last_moment_whatever_it_is() -> None:
    kitchen = channel(ChannelKind.PUBLIC)
    for stands in (Standing.MEMBER, Standing.MODERATOR, Standing.OWNER):
        assert voice(kitchen, stands, ServerRole.OWNER, NOW + 1) == Muted.reason
        assert voice(kitchen, stands, ServerRole.GUEST, NOW) == ""


def test_in_a_read_only_channel_moderators_write() -> None:
    board = channel(ChannelKind.PUBLIC, read_only=True)
    said = [voice(board, stands, ServerRole.MEMBER, None) for stands in list(Standing)[1:]]
    assert said == [ChannelReadOnly.reason, "", ""]


def test_guests_write_in_the_lobby_unless_it_says_no_and_stay_where_they_are_elsewhere() -> None:
    for kind, guests, expected in (
        (ChannelKind.LOBBY, True, ""),
        (ChannelKind.LOBBY, False, GuestsNotAllowed.reason),
        (ChannelKind.PUBLIC, False, ""),
    ):
        of = channel(kind, guests=guests)
        assert voice(of, Standing.MEMBER, ServerRole.GUEST, None) == expected
        assert voice(of, Standing.MEMBER, ServerRole.BOT, None) == ""


def test_in_a_plain_channel_every_member_writes_unless_it_is_muted() -> None:
    """The short cut of the busy path says nothing that the rules do not say."""
    plain = 0
    modes: tuple[dict[str, int], ...] = (
        {},
        {"read_only": 1},
        {"slow_mode": 3},
        {"guests": 1},
        {"guests": 1, "slow_mode": 3},
    )
    for kind, archived, chosen in product(ChannelKind, (False, True), modes):
        of = channel(kind, archived, **chosen)
        if not is_plain(of):
            continue
        plain += 1
        for role, server_role in product(ChannelRole, ServerRole):
            require(Action.WRITE, of, role, server_role)
            assert voice(of, standing(of, role, server_role), server_role, None) == ""
        assert of.slow_mode == 0
    assert plain == 7, "public, private and direct with guests or without, the lobby with guests"


def test_guests_come_in_where_they_are_let_in() -> None:
    require_entry(channel(ChannelKind.PUBLIC, guests=True), ServerRole.GUEST)
    require_entry(channel(ChannelKind.PUBLIC), ServerRole.BOT)
    with pytest.raises(GuestsNotAllowed):
        require_entry(channel(ChannelKind.PUBLIC), ServerRole.GUEST)


@pytest.mark.parametrize(
    ("wrote", "rest"),
    [(None, None), (0, 3.0), (-1.5, 1.5), (-1.41, 1.6), (-2.999_999, 0.1), (-3, None), (-100, None), (60, 3.0)],
)
def test_slow_mode_tells_how_long_it_is_to_the_next_message(wrote: float | None, rest: float | None) -> None:
    """And a clock that was set back does not make it longer."""
    slow = channel(ChannelKind.PUBLIC, slow_mode=3)
    refusal = slow_down(slow, None if wrote is None else NOW + round(wrote * 1_000_000), NOW)
    assert (refusal and refusal.retry_after) == rest
