"""The nodes of a server: which there are, and which to try next. Pure: the dice are an argument."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from madang.core.hosts import is_loopback

DEFAULT_PORT = 50050


def split_targets(text: str) -> list[str]:
    """The addresses in `host:port,host:port,…`, each once. One that is empty is an address as it is."""
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    return found or [text]


def split_address(target: str) -> tuple[str, int]:
    """Host and port of `host:port`; the default port where none is given."""
    host, colon, port = target.rpartition(":")
    if not colon or target.endswith("]") or not port.isdecimal():
        host, port = target, str(DEFAULT_PORT)
    return host.strip("[]"), int(port)


class Nodes:
    """The Agents' addresses that a client was given, and those that a node told it of."""

    def __init__(self, given: Sequence[str], *, bare: bool, dice: Callable[[], float] = random.random) -> None:
        """`given`: at least one; `bare`: calls are not encrypted. `dice`: gives numbers from 0 to 1."""
        self._given = list(given)
        self._dice = dice
        # What was meant for this machine alone must not go over a network because a node says so.
        self._near = bare and all(_is_near(target) for target in given)
        self._told: list[str] = []
        self._missed: set[str] = set()

    @property
    def are_several(self) -> bool:
        """Whether there is another one to go to."""
        return len(set(self._given) | set(self._told)) > 1

    def first(self) -> str:
        """The one to begin with: any of those that were given, so that a crowd spreads over them."""
        return min(self._given, key=lambda _: self._dice())

    def told(self, addresses: Iterable[str]) -> None:
        """What a node says of where Agents are now; it takes the place of what another one said before."""
        self._told = [each for each in dict.fromkeys(addresses) if each and (_is_near(each) or not self._near)]

    def reached(self, target: str) -> None:
        """One has answered."""
        self._missed.discard(target)

    def missed(self, target: str) -> None:
        """One has not: it may be gone, or only be reached by others. It is tried again, after the rest."""
        self._missed.add(target)

    def has_missed(self, target: str) -> bool:
        """Whether it did not answer when it was last tried."""
        return target in self._missed

    def others(self, than: str) -> list[str]:
        """Where else to go, each once: first those that are said to be there, in an order that is another one for every
        client, so that not all who lose a node go to the same one; then the rest of those that were given; and at last
        those that did not answer the last time.
        """
        told, given = set(self._told) - {than}, set(self._given) - {than}
        order = [*self._shuffled(told), *self._shuffled(given - told)]
        return sorted(order, key=self.has_missed)

    def _shuffled(self, addresses: Iterable[str]) -> list[str]:
        return sorted(sorted(addresses), key=lambda _: self._dice())


def _is_near(target: str) -> bool:
    return is_loopback(split_address(target)[0])
