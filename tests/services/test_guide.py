"""What an Agent tells clients of where to go."""

from __future__ import annotations

import pytest

from madang.bus.local import LocalNodes
from madang.core.cluster import NodeInfo
from madang.core.errors import ServiceMissing
from madang.services.guide import MAX_NAMED, Directions, Guide


class Several(LocalNodes):
    """A registry that others are in, too."""

    def __init__(self, *others: NodeInfo) -> None:
        super().__init__()
        self._others = others

    def known(self) -> list[NodeInfo]:
        return [*super().known(), *self._others]


def info(name: str, *services: str, load: int = 0) -> NodeInfo:
    """A node that serves these."""
    return NodeInfo(name, name, "1", 0, "", dict.fromkeys(services, f"{name}:1"), load)


def test_alone() -> None:
    """What stands with the Agent has no address; there is nowhere else to go."""
    guide = Guide(LocalNodes(), lambda: 0)
    guide.open(info("a", "agent", "heartbeat", "lobby", "channel"), {"heartbeat": "", "lobby": "", "channel": "b:2"})
    assert guide.directions() == Directions("", "", "b:2")
    assert (guide.agents(), guide.others(), guide.can_go()) == ([], [], False)
    assert guide.place("lobby") == "a:1", "for callers that have not found the Agent"


def test_what_this_node_serves_is_here_whatever_others_bear() -> None:
    other = info("b", "agent", "heartbeat", "lobby", "channel")
    load = 0
    guide = Guide(Several(other), lambda: load, alone=False)
    guide.open(info("a", "agent", "lobby"), {"agent": "", "lobby": ""})
    assert guide.directions() == Directions("b:1", "", "b:1")
    assert guide.agents() == ["a:1", "b:1"]
    load = 1000
    guide.announce()
    assert guide.own.load == 1000
    assert guide.directions() == Directions("b:1", "", "b:1")
    assert guide.agents() == ["b:1", "a:1"], "but who is not signed in yet had better go there"
    guide.is_isolated = True
    assert guide.agents() == ["b:1"], "nobody should come here who can go elsewhere"
    guide.is_isolated = False
    guide.leave()
    assert guide.draining
    assert guide.agents() == ["b:1"]
    assert guide.can_go()


def test_a_client_of_an_agent_alone_is_sent_to_one_node() -> None:
    """Where several serve everything; whichever of them it is that breaks, everything is elsewhere then."""
    guide = Guide(Several(*(info(name, "heartbeat", "lobby", "channel") for name in "bcd")), lambda: 0, alone=False)
    guide.open(info("a", "agent"), {"agent": ""})
    seen = {guide.directions() for _ in range(200)}
    assert seen == {Directions(*[f"{name}:1"] * 3) for name in "bcd"}
    assert {guide.directions(["b:1", "d:1"]) for _ in range(50)} == {Directions("c:1", "c:1", "c:1")}


def test_who_is_sent_away_is_told_where_to() -> None:
    guide = Guide(Several(*(info(f"n{number}", "agent") for number in range(100))), lambda: 0, alone=False)
    guide.open(info("a", "agent"), {"agent": ""})
    guide.leave()
    nodes = guide.farewell().nodes
    assert len(set(nodes)) == MAX_NAMED
    assert "a:1" not in nodes
    assert Guide(LocalNodes(), lambda: 0).farewell().nodes == ()


def test_what_nobody_serves() -> None:
    guide = Guide(Several(info("b", "lobby")), lambda: 0, alone=False)
    guide.open(info("a", "agent"), {"agent": ""})
    with pytest.raises(ServiceMissing, match="heartbeat"):
        guide.directions()
    assert guide.place("lobby") == "b:1"
