"""Who counts as here, live and idle: the rules without a clock."""

from __future__ import annotations

import pytest

from madang.core.errors import ForeignIndex
from madang.core.models import Session
from madang.rpc.classic.roster import Guest, Roster
from madang.rpc.classic.times import Times

SECOND = 1_000_000
TIMES = Times(beat=5, grace=5, first_beat=30, idle=60)


def session(user_id: int) -> Session:
    return Session(user_id * 10, user_id, "", 0, 0, 0)


@pytest.fixture
def roster() -> Roster:
    return Roster(TIMES)


@pytest.fixture
def guest(roster: Roster) -> Guest:
    return roster.admit(session(7), "127.0.0.1", now=0)


def test_an_index_is_honoured_from_its_host_alone(roster: Roster, guest: Guest) -> None:
    assert roster.require(7, "127.0.0.1") is guest
    for index, host in ((7, "::1"), (7, ""), (8, "127.0.0.1")):
        with pytest.raises(ForeignIndex):
            roster.require(index, host)


def test_an_index_is_not_honoured_after_its_session(roster: Roster, guest: Guest) -> None:
    roster.end(7)
    roster.end(99)
    with pytest.raises(ForeignIndex):
        roster.require(7, "127.0.0.1")
    assert roster.due(0) == [guest]


def test_a_user_without_a_heartbeat_does_not_live(roster: Roster, guest: Guest) -> None:
    assert not roster.lives(guest, 0)


@pytest.mark.parametrize(("now", "due"), [(29, False), (30, True), (31, True)])
def test_the_first_heartbeat_has_thirty_seconds(roster: Roster, guest: Guest, now: int, due: bool) -> None:
    assert bool(roster.due(now * SECOND)) is due


def test_a_user_lives_while_a_stream_is_up(roster: Roster, guest: Guest) -> None:
    roster.begin_beat(guest)
    assert roster.lives(guest, 10**12)
    assert not roster.due(10**12)


@pytest.mark.parametrize(("now", "lives"), [(100, True), (104.9, True), (105, False)])
def test_a_user_lives_on_for_the_grace(roster: Roster, guest: Guest, now: float, lives: bool) -> None:
    roster.begin_beat(guest)
    roster.end_beat(guest, 100 * SECOND)
    assert roster.lives(guest, round(now * SECOND)) is lives
    assert bool(roster.due(round(now * SECOND))) is not lives


def test_two_streams_are_two_proofs(roster: Roster, guest: Guest) -> None:
    roster.begin_beat(guest)
    roster.begin_beat(guest)
    roster.end_beat(guest, 0)
    assert roster.lives(guest, 10**12)
    assert not roster.due(10**12)


def test_a_short_heartbeat_does_not_shorten_life_below_the_grace(roster: Roster, guest: Guest) -> None:
    roster.begin_beat(guest)
    roster.end_beat(guest, SECOND)
    assert not roster.due(5 * SECOND)
    assert roster.due(6 * SECOND)


def test_an_act_renews_the_idle_time(roster: Roster, guest: Guest) -> None:
    assert roster.idle_in(guest, 59 * SECOND) == 1
    assert roster.idle_in(guest, 61 * SECOND) == -1
    roster.act(guest, 61 * SECOND)
    assert roster.idle_in(guest, 61 * SECOND) == 60


def test_removal_can_be_repeated(roster: Roster, guest: Guest) -> None:
    roster.remove(guest)
    roster.remove(guest)
    assert 7 not in roster
    assert list(roster) == []
