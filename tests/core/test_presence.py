"""Presence, held against a model that remembers every hold and lease."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from madang.core.presence import FORGET_AFTER, MOST_ABSENT, PresenceTable, Status

LEASE, GRACE = 30_000, 5_000
USER = st.integers(1, 3)
WANTED = st.sampled_from([Status.ONLINE, Status.AWAY, Status.DO_NOT_DISTURB])


@dataclass
class Model:
    """One user, as the contract has it."""

    holds: int = 0
    until: int = 0
    wanted: Status = Status.ONLINE
    seen: int | None = None
    shown: Status = Status.OFFLINE
    told: Status = Status.OFFLINE
    graceful: bool = True

    def settle(self, now: int) -> None:
        """A user that is not here wants nothing; a lease that ran out is noticed at the next look."""
        here = self.holds > 0 or self.until > now
        self.shown = self.wanted if here else Status.OFFLINE
        if not here:
            self.wanted = Status.ONLINE


class Machine(RuleBasedStateMachine):
    """Comes and goes, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.table = PresenceTable(LEASE, GRACE)
        self.users = {user_id: Model() for user_id in (1, 2, 3)}
        self.now = 1_000_000

    @rule(user_id=USER)
    def hold(self, user_id: int) -> None:
        self.table.hold(user_id, self.now)
        user = self.users[user_id]
        user.holds, user.seen, user.graceful = user.holds + 1, self.now, True
        user.settle(self.now)

    @precondition(lambda self: any(user.holds for user in self.users.values()))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        user_id = data.draw(st.sampled_from([key for key, user in self.users.items() if user.holds]))
        self.table.release(user_id, self.now)
        user = self.users[user_id]
        user.holds, user.seen = user.holds - 1, self.now
        if user.graceful:
            user.until = max(user.until, self.now + GRACE)
        user.settle(self.now)

    @rule(user_id=USER)
    def beat(self, user_id: int) -> None:
        self.table.beat(user_id, self.now)
        user = self.users[user_id]
        user.seen, user.until = self.now, max(user.until, self.now + LEASE)
        user.settle(self.now)

    @rule(user_id=USER, status=WANTED)
    def want(self, user_id: int, status: Status) -> None:
        self.table.want(user_id, status, self.now)
        user = self.users[user_id]
        user.wanted = status
        user.settle(self.now)

    @rule(user_id=USER)
    def drop(self, user_id: int) -> None:
        self.table.drop(user_id, self.now)
        user = self.users[user_id]
        user.until, user.graceful = 0, False
        user.settle(self.now)

    @rule(passed=st.sampled_from([1, GRACE - 1, GRACE, LEASE - 1, LEASE]))
    def time_passes(self, passed: int) -> None:
        self.now += passed
        self.table.expire(self.now)
        for user in self.users.values():
            user.settle(self.now)

    @rule()
    def drain(self) -> None:
        changes = {presence.user_id: presence for presence in self.table.changes()}
        for user_id, user in self.users.items():
            if user_id in changes:
                assert changes[user_id].status is user.shown
            else:
                assert user.told is user.shown, "a change that nobody is told of"
            user.told = user.shown
        assert not self.table.has_changes
        assert self.table.changes() == []

    @invariant()
    def as_the_model(self) -> None:
        for user_id, user in self.users.items():
            presence = self.table.get(user_id)
            assert (presence.status, presence.seen_at) == (user.shown, user.seen)
        here = [user_id for user_id, user in self.users.items() if user.shown is not Status.OFFLINE]
        assert [presence.user_id for presence in self.table.here()] == here
        assert self.table.has_changes or all(user.told is user.shown for user in self.users.values())


TestPresence = Machine.TestCase
TestPresence.settings = settings(max_examples=60, stateful_step_count=40)


def test_nobody_knows_a_user_that_never_came() -> None:
    presence = PresenceTable(LEASE, GRACE).get(9)
    assert (presence.status, presence.seen_at) == (Status.OFFLINE, None)


def test_a_reconnect_within_the_grace_is_not_seen() -> None:
    table = PresenceTable(LEASE, GRACE)
    table.hold(1, 1_000)
    table.changes()
    table.release(1, 2_000)
    table.expire(2_000 + GRACE - 1)
    table.hold(1, 2_000 + GRACE - 1)
    table.expire(2_000 + GRACE)
    assert table.changes() == []


def test_a_thousand_changes_of_one_user_are_told_as_one() -> None:
    table = PresenceTable(LEASE, GRACE)
    for index in range(1000):
        table.hold(1, index)
        table.want(1, Status.AWAY if index % 2 else Status.ONLINE, index)
    assert [presence.status for presence in table.changes()] == [Status.AWAY]


def test_a_user_that_is_gone_for_good_has_no_grace() -> None:
    table = PresenceTable(LEASE, GRACE)
    table.hold(1, 1_000)
    table.drop(1, 2_000)
    table.release(1, 2_001)
    assert table.get(1).status is Status.OFFLINE


@pytest.mark.parametrize("most", [MOST_ABSENT, 1])
def test_who_is_long_gone_is_forgotten(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("madang.core.presence.MOST_ABSENT", most)
    table = PresenceTable(LEASE, GRACE)
    begin = FORGET_AFTER
    for user_id in (1, 2, 3):
        table.beat(user_id, begin + user_id)
    table.drop(3, begin + 3)
    table.hold(4, begin)
    later = begin + LEASE + 3 if most == 1 else begin + FORGET_AFTER
    table.expire(begin + LEASE + 3)
    table.expire(later)
    left = [user_id for user_id in (1, 2, 3) if table.get(user_id).seen_at is not None]
    assert left in ([[1], [2]] if most == 1 else [[1, 2, 3]]), "the one that went first is forgotten first"
    table.expire(later + FORGET_AFTER)
    assert {table.get(user_id).seen_at for user_id in (1, 2, 3)} == {None}
    assert [(each.user_id, each.seen_at) for each in table.here()] == [(4, begin)], "whoever is here stays known"
    assert table.count() == 1
    table.beat(1, later + FORGET_AFTER)
    assert [each.user_id for each in table.here()] == [1, 4]
