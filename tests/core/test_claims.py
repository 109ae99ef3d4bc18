"""Presence over nodes: whatever is told in whatever order, nodes that know the same show the same, and what is so."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from madang.core.claims import Claim, Claims
from madang.core.presence import FORGET_AFTER, Status

NODES = ("a", "b", "c")
USERS = (1, 2)
NODE, USER = st.sampled_from(NODES), st.sampled_from(USERS)
WANTED = st.sampled_from([Status.ONLINE, Status.AWAY, Status.DO_NOT_DISTURB])


class Machine(RuleBasedStateMachine):
    """Three nodes; between each two a line that is in order, may be slow, and may lose."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_000_000
        self.claims = {name: Claims(name) for name in NODES}
        self.versions = dict.fromkeys(NODES, 0)
        self.here: dict[str, set[int]] = {name: set() for name in NODES}
        self.lines: dict[tuple[str, str], deque[tuple[int, int, tuple[Claim, ...]]]] = {
            (one, other): deque() for one in NODES for other in NODES if one != other
        }

    @rule(name=NODE, user_id=USER)
    def come_or_go(self, name: str, user_id: int) -> None:
        here = user_id not in self.here[name]
        (self.here[name].add if here else self.here[name].discard)(user_id)
        self.say(name, [self.claims[name].set_here(user_id, here, self.tick())])

    @rule(name=NODE, user_id=USER, status=WANTED, skew=st.integers(-5000, 5000))
    def want(self, name: str, user_id: int, status: Status, skew: int) -> None:
        said = self.claims[name].want(user_id, status, self.tick() + skew)
        if said is not None:
            self.say(name, [said])
            assert self.claims[name].get(user_id).status is status, "whoever says it sees it at once"

    @rule(line=st.sampled_from([(one, other) for one in NODES for other in NODES if one != other]))
    def arrive(self, line: tuple[str, str]) -> None:
        if self.lines[line]:
            self.claims[line[1]].apply(line[0], *self.lines[line].popleft())
            self.respond(line[1])

    @rule(line=st.sampled_from([(one, other) for one in NODES for other in NODES if one != other]))
    def lose(self, line: tuple[str, str]) -> None:
        if self.lines[line]:
            self.lines[line].popleft()

    @rule(user_id=USER, status=WANTED)
    def settle_and_say(self, user_id: int, status: Status) -> None:
        """What is said when all know the same is what all show."""
        self.settle()
        if any(user_id in here for here in self.here.values()):
            said = self.claims["a"].want(user_id, status, self.tick())
            assert said is not None
            self.say("a", [said])
            self.settle()
            assert {self.claims[name].get(user_id).status for name in NODES} == {status}

    @rule(name=NODE)
    def die(self, name: str) -> None:
        """And come back as another: its users are gone, and what it knew."""
        self.settle()
        before = {user_id: self.claims["a"].get(user_id).status for user_id in USERS}
        self.here[name] = set()
        self.versions[name] = 0
        self.claims[name] = Claims(name)
        for other in NODES:
            if other != name:
                self.claims[other].drop(name)
                self.lines[name, other].clear()
                self.lines[other, name].clear()
                self.respond(other)
        self.settle()
        for user_id in USERS:
            stays = any(user_id in here for here in self.here.values())
            assert self.claims["a"].get(user_id).status is (before[user_id] if stays else Status.OFFLINE)

    @invariant()
    def who_is_here_is_shown_here(self) -> None:
        for name in NODES:
            for user_id in self.here[name]:
                assert self.claims[name].get(user_id).status is not Status.OFFLINE
            assert [one.user_id for one in self.claims[name].here()] == [
                user_id for user_id in USERS if self.claims[name].get(user_id).status is not Status.OFFLINE
            ]

    def teardown(self) -> None:
        self.settle()

    def settle(self) -> None:
        """Let everything arrive, until nobody has anything to say; what was lost is looked up, as all that is said."""
        while any(self.lines.values()) or self.behind():
            for line in self.lines:
                while self.lines[line]:
                    self.arrive(line)
            for one, other in self.behind():
                self.claims[other].replace(one, self.versions[one], self.claims[one].own())
                self.respond(other)
        for user_id in USERS:
            here = any(user_id in self.here[name] for name in NODES)
            shown = {self.claims[name].get(user_id).status for name in NODES}
            assert len(shown) == 1, "nodes that know the same show the same"
            assert (shown == {Status.OFFLINE}) is not here
            said = [claim for name in NODES for claim in self.claims[name].own() if claim.user_id == user_id]
            assert here or not said, "of one that is nowhere nobody says anything: when it comes back, it is online"

    def behind(self) -> list[tuple[str, str]]:
        return [
            (one, other)
            for one in NODES
            for other in NODES
            if one != other and self.claims[other].version(one) < self.versions[one] and not self.lines[one, other]
        ]

    def say(self, name: str, claims: list[Claim]) -> None:
        after, self.versions[name] = self.versions[name], self.versions[name] + 1
        for other in NODES:
            if other != name:
                self.lines[name, other].append((after, self.versions[name], tuple(claims)))

    def respond(self, name: str) -> None:
        responses = self.claims[name].respond()
        if responses:
            self.say(name, responses)

    def tick(self) -> int:
        self.now += 1000
        return self.now


TestClaims = Machine.TestCase
TestClaims.settings = settings(max_examples=150, stateful_step_count=40)


def test_changes_are_told_once_with_what_is_so_now() -> None:
    claims = Claims("a")
    claims.set_here(1, True, 5)
    claims.want(1, Status.AWAY, 6)
    claims.apply("b", 0, 1, [Claim(2, True, 7)])
    assert [(one.user_id, one.status, one.seen_at) for one in claims.changes()] == [
        (1, Status.AWAY, 5),
        (2, Status.ONLINE, 7),
    ]
    assert not claims.has_changes
    assert claims.changes() == []


def test_a_user_that_is_nowhere_wants_nothing() -> None:
    claims = Claims("a")
    assert claims.want(1, Status.AWAY, 6) is None
    claims.set_here(1, True, 5)
    claims.want(1, Status.AWAY, 6)
    claims.set_here(1, False, 7)
    claims.set_here(1, True, 8)
    assert claims.get(1).status is Status.ONLINE


@pytest.mark.parametrize(
    ("less", "more"),
    [(Status.ONLINE, Status.AWAY), (Status.AWAY, Status.DO_NOT_DISTURB), (Status.ONLINE, Status.DO_NOT_DISTURB)],
)
def test_what_was_said_at_the_same_moment_is_the_same_everywhere(less: Status, more: Status) -> None:
    """Whichever of two nodes is heard first."""
    said = {"b": Claim(1, True, 5, less, 9), "c": Claim(1, True, 5, more, 9)}
    for order in ("bc", "cb"):
        claims = Claims("a")
        for node_id in order:
            claims.apply(node_id, 0, 1, [said[node_id]])
        assert claims.get(1).status is more


def test_how_one_wants_to_be_seen_outlives_the_node_where_it_was_said() -> None:
    """Who came here afterwards brought it along: nothing more has to be heard for that."""
    claims = Claims("a")
    claims.apply("b", 0, 1, [Claim(1, True, 5, Status.AWAY, 6)])
    claims.respond()
    assert claims.set_here(1, True, 7) == Claim(1, True, 7, Status.AWAY, 6)
    claims.drop("b")
    assert claims.get(1).status is Status.AWAY


def test_all_that_a_node_says_takes_the_place_of_what_it_said() -> None:
    claims = Claims("a")
    claims.apply("b", 0, 1, [Claim(1, True, 1), Claim(2, True, 1)])
    claims.replace("b", 3, [Claim(2, True, 2), Claim(3, True, 2)])
    assert [one.user_id for one in claims.here()] == [2, 3]
    assert claims.version("b") == 3
    assert claims.apply("b", 3, 4, [Claim(3, False, 3)]), "it follows on that"
    assert [one.user_id for one in claims.here()] == [2]


def test_what_is_seen_last_anywhere_counts() -> None:
    claims = Claims("a")
    claims.set_here(1, True, 50)
    claims.apply("b", 0, 1, [Claim(1, True, 90)])
    claims.apply("b", 1, 2, [Claim(1, False, 70)])
    assert claims.get(1).seen_at == 90


def test_what_does_not_follow_is_not_taken() -> None:
    claims = Claims("a")
    assert claims.apply("b", 0, 1, [Claim(1, True, 1)])
    assert not claims.apply("b", 2, 3, [Claim(1, False, 1)])
    assert claims.get(1).status is Status.ONLINE
    claims.replace("b", 3, [Claim(2, True, 1)])
    claims.replace("b", 2, [Claim(1, True, 1)])
    assert [one.user_id for one in claims.here()] == [2]


def test_who_is_long_gone_is_forgotten_when_nobody_says_anything_of_it() -> None:
    claims = Claims("a")
    claims.apply("b", 0, 1, [Claim(1, True, 5), Claim(2, True, 5), Claim(3, True, 5)])
    claims.apply("b", 1, 2, [Claim(1, False, 6), Claim(2, False, 6, Status.AWAY, 6)])
    claims.forget(6 + FORGET_AFTER - 1)
    assert claims.get(1).seen_at == 6
    claims.forget(6 + FORGET_AFTER)
    assert [claims.get(user_id).seen_at for user_id in (1, 2, 3)] == [None, 6, 5]
    assert claims.respond() == []
    assert [each.user_id for each in claims.here()] == [3]
    assert claims.count() == 1
