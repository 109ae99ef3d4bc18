"""A node's part in the presence of a cluster: what it tells, and when it lets go of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from madang.bus.local import LocalBus
from madang.core.claims import Claim
from madang.core.cluster import NodeInfo
from madang.core.events import ClaimsChanged
from madang.core.presence import FORGET_AFTER, Presence, Status
from madang.services import together
from madang.services.together import LEAVE_GRACE, Together

NOW = 1_700_000_000_000_000
MINA, HANA = 1, 2

All = tuple[int, Callable[[], Sequence[Claim]]]


@dataclass
class Shelf:
    """What the nodes let each other find, in this process; `reachable` says whether it can be had."""

    kept_by: dict[str, All] = field(default_factory=dict)
    alive: list[str] = field(default_factory=list)
    reachable: bool = True
    found: int = 0


class Seen:
    """The shelf as one node sees it."""

    def __init__(self, shelf: Shelf, node_id: str) -> None:
        self._shelf = shelf
        self._node_id = node_id
        shelf.alive.append(node_id)

    def announce(self, info: NodeInfo) -> None:
        """It is there from the beginning."""

    def known(self) -> list[NodeInfo]:
        return [NodeInfo(node_id, node_id, "1", 0, "") for node_id in self._shelf.alive]

    def strangers(self) -> list[NodeInfo]:
        return []

    def keep(self, version: int, claims: Callable[[], Sequence[Claim]]) -> None:
        assert self._shelf.kept_by.get(self._node_id, (0,))[0] < version, "only what is new is put there"
        self._shelf.kept_by[self._node_id] = version, claims

    def kept(self) -> dict[str, int]:
        others = (node_id for node_id in self._shelf.alive if node_id != self._node_id)
        return {node_id: self._shelf.kept_by[node_id][0] for node_id in others if node_id in self._shelf.kept_by}

    async def find(self, node_id: str) -> tuple[int, list[Claim]] | None:
        self._shelf.found += 1
        version, claims = self._shelf.kept_by[node_id]
        return (version, list(claims())) if self._shelf.reachable else None


class Node:
    """One of the nodes."""

    def __init__(self, bus: LocalBus, shelf: Shelf, node_id: str) -> None:
        self.node_id = node_id
        self.together = Together(bus, Seen(shelf, node_id), node_id)
        self.is_deaf = False
        self.told: list[ClaimsChanged] = []
        self.heard: list[bool] = []
        bus.subscribe(ClaimsChanged, self._hear)

    def _hear(self, event: ClaimsChanged) -> None:
        if event.node_id == self.node_id:
            self.told.append(event)
        if not self.is_deaf:
            self.heard.append(self.together.hear(event))

    def comes(self, user_id: int, seen_at: int | None = NOW) -> None:
        self.together.take([Presence(user_id, Status.ONLINE, seen_at)])

    def goes(self, user_id: int) -> None:
        self.together.take([Presence(user_id, Status.OFFLINE, NOW)])

    def shows(self, user_id: int) -> Status:
        return self.together.claims.get(user_id).status


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def nodes(shelf: Shelf) -> tuple[Node, Node]:
    bus = LocalBus()
    return Node(bus, shelf, "a"), Node(bus, shelf, "b")


def test_a_crowd_is_told_in_parts_that_follow_on_each_other(
    nodes: tuple[Node, Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "MAX_CLAIMS", 2)
    one, other = nodes
    for user_id in range(1, 6):
        one.comes(user_id)
    assert one.together.has_changes
    told = one.together.tell()
    assert [(event.after, event.version, len(event.claims)) for event in one.told] == [(0, 1, 2), (1, 2, 2), (2, 3, 1)]
    assert [each.user_id for each in told] == [1, 2, 3, 4, 5]
    assert [each.user_id for each in other.together.claims.here()] == [1, 2, 3, 4, 5]
    assert one.heard == [False] * 3, "it knows what it said itself"
    assert other.heard == [True] * 3
    assert not one.together.has_changes
    assert one.together.tell() == []
    assert len(one.told) == 3, "nothing is told twice"


def test_of_a_user_only_the_last_is_told(nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    one.comes(MINA)
    one.goes(MINA)
    one.comes(MINA, None)
    one.together.tell()
    assert [claim for event in one.told for claim in event.claims] == [Claim(MINA, True, 0)]


def test_a_wish_is_told_and_taken_over_where_the_user_is(nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    one.comes(MINA)
    one.together.tell()
    other.together.tell()
    other.together.want(MINA, Status.AWAY, NOW)
    other.together.want(HANA, Status.AWAY, NOW)  # who is nowhere
    assert other.together.has_changes
    assert [(each.user_id, each.status) for each in other.together.tell()] == [(MINA, Status.AWAY)]
    assert one.together.has_changes, "it has heard of it"
    one.together.tell()
    assert one.told[-1].claims == (Claim(MINA, True, NOW, Status.AWAY, NOW),)
    assert other.together.has_changes, "nobody needs it to say so any more"
    other.together.tell()
    assert other.told[-1].claims == (Claim(MINA, False, 0),)
    assert [claim.user_id for claim in other.together.claims.own()] == []


async def test_what_was_missed_is_looked_for_until_it_is_found(shelf: Shelf, nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    other.comes(MINA)
    other.together.tell()
    await other.together.share(NOW, NOW)
    other.is_deaf = True
    one.comes(HANA)
    one.together.tell()
    other.is_deaf = False
    one.comes(MINA)
    one.together.want(MINA, Status.AWAY, NOW + 1)
    one.together.tell()
    assert other.heard[-1] is False, "it does not follow on what it knows"
    assert other.shows(HANA) is Status.OFFLINE
    await one.together.share(NOW, NOW)
    shelf.reachable = False
    await other.together.share(NOW, NOW)
    assert other.shows(HANA) is Status.OFFLINE
    shelf.reachable = True
    await other.together.share(NOW, NOW)
    assert (other.shows(HANA), other.shows(MINA)) == (Status.ONLINE, Status.AWAY)
    other.together.tell()
    assert other.told[-1].claims == (Claim(MINA, True, NOW, Status.AWAY, NOW + 1),), "it takes over what it found"
    assert shelf.found == 2
    await other.together.share(NOW, NOW)
    assert shelf.found == 2, "it knows all of it"


async def test_what_was_found_to_be_taken_over_is_taken_back(nodes: tuple[Node, Node]) -> None:
    """Though nobody is shown otherwise for that."""
    one, other = nodes
    one.comes(MINA)
    one.together.tell()
    other.together.want(MINA, Status.AWAY, NOW)
    other.together.tell()
    other.is_deaf = True
    one.together.tell()
    await one.together.share(NOW, NOW)
    other.is_deaf = False
    assert not other.together.has_changes
    await other.together.share(NOW, NOW)
    assert other.together.has_changes
    assert other.together.tell() == []
    assert other.told[-1].claims == (Claim(MINA, False, 0),)


async def test_all_that_a_node_says_is_put_where_the_others_find_it_when_it_is_new(
    shelf: Shelf, nodes: tuple[Node, Node]
) -> None:
    one, _ = nodes
    await one.together.share(NOW, NOW)
    assert shelf.kept_by == {}, "it has said nothing"
    one.comes(MINA)
    one.together.tell()
    one.comes(HANA)
    one.together.tell()
    await one.together.share(NOW, NOW)
    await one.together.share(NOW, NOW)  # Seen.keep holds that nothing is put there again
    version, claims = shelf.kept_by["a"]
    assert (version, [claim.user_id for claim in claims()]) == (2, [MINA, HANA])


async def test_the_users_of_a_node_that_is_gone_stay_for_a_while(shelf: Shelf, nodes: tuple[Node, Node]) -> None:
    one, other = nodes
    other.comes(MINA)
    other.together.tell()
    shelf.alive.remove("b")
    await one.together.share(NOW, NOW)
    await one.together.share(NOW, NOW + LEAVE_GRACE - 1)
    assert one.shows(MINA) is Status.ONLINE
    shelf.alive.append("b")
    await one.together.share(NOW, NOW + LEAVE_GRACE)
    shelf.alive.remove("b")
    await one.together.share(NOW, NOW + 2 * LEAVE_GRACE)
    await one.together.share(NOW, NOW + 3 * LEAVE_GRACE - 1)
    assert one.shows(MINA) is Status.ONLINE, "it was there again, and its time begins anew"
    await one.together.share(NOW, NOW + 3 * LEAVE_GRACE)
    assert one.shows(MINA) is Status.OFFLINE
    assert one.together.claims.nodes() == []


async def test_a_node_that_comes_back_after_it_was_given_up_has_all_its_time_again(
    shelf: Shelf, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    other.comes(MINA)
    other.together.tell()
    await other.together.share(NOW, NOW)
    shelf.alive.remove("b")
    await one.together.share(NOW, NOW)
    await one.together.share(NOW, NOW + LEAVE_GRACE)
    assert one.shows(MINA) is Status.OFFLINE
    shelf.alive.append("b")
    await one.together.share(NOW, NOW + LEAVE_GRACE)
    assert one.shows(MINA) is Status.ONLINE
    shelf.alive.remove("b")
    await one.together.share(NOW, NOW + 2 * LEAVE_GRACE)
    assert one.shows(MINA) is Status.ONLINE


async def test_who_is_long_gone_is_forgotten(nodes: tuple[Node, Node]) -> None:
    one, _ = nodes
    one.comes(MINA)
    one.goes(MINA)
    assert one.together.claims.get(MINA).seen_at == NOW
    await one.together.share(NOW + FORGET_AFTER, NOW)
    assert one.together.claims.get(MINA).seen_at is None
