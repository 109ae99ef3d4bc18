"""Where clients are sent."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from madang.core.balance import agents, by_load, can_go, one_for_each
from madang.core.cluster import NodeInfo

ALL = ("agent", "heartbeat", "lobby", "channel")


def node(name: str, load: int = 0, *services: str, draining: bool = False) -> NodeInfo:
    """A node that serves these, or everything."""
    addresses = dict.fromkeys(services or ALL, f"{name}:1")
    return NodeInfo(name, name, "1", 0, "", addresses, load, draining)


def test_the_less_a_node_bears_the_more_come() -> None:
    dice = random.Random(1).random
    nodes = [node("a", 0), node("b", 90), node("c", 990)]
    first = Counter(by_load(nodes, dice)[0].node_id for _ in range(3000))
    assert first["a"] > 5 * first["b"] > 5 * first["c"], first
    assert len({tuple(each.node_id for each in by_load(nodes, dice)) for _ in range(300)}) > 2


def test_large_loads_are_told_apart() -> None:
    dice = random.Random(1).random
    even = Counter(by_load([node(name, 5_000) for name in "abc"], dice)[0].node_id for _ in range(3000))
    assert min(even.values()) > 800, even
    nodes = [node("a", 100_000), node("b", 20_000), node("c", 20_000)]
    first = Counter(by_load(nodes, dice)[0].node_id for _ in range(3000))
    assert 3 * first["a"] < min(first["b"], first["c"]), first


def test_a_node_keeps_its_newcomers_until_it_bears_clearly_more() -> None:
    dice = random.Random(1).random
    for load, stays in ((0, True), (139, True), (140, True), (141, False), (1000, False)):
        found = agents([node("a", load), node("b", 100), node("c", 100)], "a", dice)
        assert (found[0] == "a:1") is stays
        assert sorted(found) == ["a:1", "b:1", "c:1"]
    assert agents([node("a", 10_000)], "a", dice) == ["a:1"], "there is nobody else"
    assert agents([node("b", 0), node("a", 0)], "a", dice)[0] == "a:1", "whichever is named first"


def test_nobody_is_sent_to_a_node_that_goes() -> None:
    dice = random.Random(1).random
    nodes = [node("a", draining=True), node("b", 100), node("c", 0, "channel")]
    assert agents(nodes, "a", dice) == ["b:1"]
    assert agents(nodes, "b", dice) == ["b:1"]
    assert one_for_each(["lobby"], nodes, (), dice) == ["b:1"]
    assert one_for_each(["lobby"], nodes[:1], (), dice) == ["a:1"], "better than nowhere"
    assert one_for_each(["lobby"], nodes[2:], (), dice) == [""]


def test_what_cannot_be_reached_is_avoided_where_there_is_another() -> None:
    dice = random.Random(1).random
    nodes = [node("a", 0, "channel"), node("b", 100_000, "channel")]
    assert {one_for_each(["channel"], nodes, ["a:1"], dice)[0] for _ in range(50)} == {"b:1"}
    assert one_for_each(["channel"], nodes[:1], ["a:1"], dice) == ["a:1"]


def test_one_node_for_all_that_it_serves() -> None:
    """And yet nodes that serve a part have their share."""
    dice = random.Random(1).random
    alike = [node(name, 0, "heartbeat", "lobby", "channel") for name in "abc"]
    seen = Counter(tuple(one_for_each(ALL[1:], alike, (), dice)) for _ in range(300))
    assert seen.keys() == {(f"{name}:1",) * 3 for name in "abc"}
    assert min(seen.values()) > 50, seen
    nodes = [node("a", 0, "lobby", "channel"), node("b", 0, "channel"), node("c", 0, "channel")]
    seen = Counter(tuple(one_for_each(["lobby", "channel"], nodes, (), dice)) for _ in range(300))
    assert seen.keys() == {("a:1", "a:1"), ("a:1", "b:1"), ("a:1", "c:1")}
    assert min(seen.values()) > 50, seen
    assert one_for_each(["channel", "heartbeat"], nodes, (), dice)[1] == "", "nobody serves it"


def test_one_address_for_all_is_one_place() -> None:
    """Behind a load balancer."""
    nodes = [replace(node(name), addresses={"agent": "chat.example.org:443"}) for name in "abc"]
    assert agents(nodes, "b", random.random) == ["chat.example.org:443"]


def test_whether_one_can_go_elsewhere() -> None:
    own = node("a")
    assert not can_go([own], own)
    assert can_go([own, node("b")], own)
    assert not can_go([own, node("b", draining=True)], own)
    assert not can_go([own, node("b", 0, "agent", "lobby", "channel")], own)
    assert can_go([own, node("b", 0, "agent", "lobby"), node("c", 0, "channel", "heartbeat")], own)
    assert can_go([node("a", 0, "lobby"), node("b", 0, "lobby")], node("a", 0, "lobby"))
