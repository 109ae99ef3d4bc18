"""Which node a client is sent to. Pure: the dice are an argument.

What nodes know of each other's load is some seconds old. So nobody sends everybody to the one that seems to have the
least: the less a node bears, the likelier it is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable

from madang.core.cluster import NodeInfo

Dice = Callable[[], float]
"""Gives numbers from 0 to below 1."""

IDLE = 10
"""How many streams are as good as none, when loads are compared."""
TOO_MUCH = 1.2
"""How many times the others' load a node bears before it sends newcomers on."""


def by_load(nodes: Iterable[NodeInfo], dice: Dice) -> list[NodeInfo]:
    """The nodes in an order of chance, in which those with less to bear tend to come first."""
    # Weighted sampling without replacement (Efraimidis and Spirakis): the key is u ** (1 / weight), here its logarithm:
    # the power of a large load is too small for a float, and all such nodes would be alike.
    drawn = [(math.log(1.0 - dice()) * (node.load + IDLE), node) for node in nodes]
    return [node for _, node in sorted(drawn, key=lambda each: -each[0])]


def agents(nodes: Iterable[NodeInfo], here: str, dice: Dice) -> list[str]:
    """Where Agents are, the one to sign in at first: the node itself, unless it bears clearly more than the others.

    `here`: its node_id. Those that are about to go are left out.
    """
    staying = [node for node in nodes if "agent" in node.addresses and not node.draining]
    own = next((node for node in staying if node.node_id == here), None)
    others = by_load((node for node in staying if node is not own), dice)
    order = others if own is None else [*others, own] if _bears_much(own, others) else [own, *others]
    return list(dict.fromkeys(node.addresses["agent"] for node in order))


def one_for_each(services: Iterable[str], nodes: Iterable[NodeInfo], avoid: Collection[str], dice: Dice) -> list[str]:
    """The address of each of these services; empty for one that no node serves.

    A node that is about to go, and an address of those to avoid, only where there is no other. The dice are cast once
    for all: who is sent to a node goes there for all that it serves, so that it is one connection that breaks with it.
    """
    order = by_load(nodes, dice)
    return [_first(service, order, avoid) for service in services]


def can_go(nodes: Iterable[NodeInfo], own: NodeInfo) -> bool:
    """Whether other nodes that stay serve all that this one does."""
    others = [node for node in nodes if node.node_id != own.node_id and not node.draining]
    return bool(own.addresses) and all(any(name in node.addresses for node in others) for name in own.addresses)


def _first(service: str, order: Iterable[NodeInfo], avoid: Collection[str]) -> str:
    serving = [node for node in order if service in node.addresses]
    serving.sort(key=lambda node: (node.draining, node.addresses[service] in avoid))
    return serving[0].addresses[service] if serving else ""


def _bears_much(own: NodeInfo, others: Collection[NodeInfo]) -> bool:
    if not others:
        return False
    mean = sum(node.load for node in others) / len(others)
    return own.load > TOO_MUCH * mean + 2 * IDLE
