"""How soon clients go on after a fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from .load import Load, Watched
from .nodes import ClusterNode
from .process import eventually

LONGEST = 60.0
"""Seconds after which a cluster that has not recovered never will."""


@dataclass(slots=True)
class Recovery:
    """From one fault. Seconds."""

    readers: float = 0.0
    """Until every reader had a message that was begun after the fault."""
    pause: float = 0.0
    """The longest time in which a client had nothing, from the fault's beginning on."""
    who: str = ""
    """Who that was, and where in the end."""
    killed: float | None = None
    """The same, of the clients that were at the node that was killed."""


@dataclass
class Observer:
    """Watches the clients through one fault: made when it begins."""

    load: Load
    recovery: Recovery = field(default_factory=Recovery)
    over_at: float = 0.0
    """When the last fault was over."""
    _begun: float = field(default_factory=time.monotonic)
    _watching: list[asyncio.Task[None]] = field(default_factory=list)

    def over(self, killed: ClusterNode | None) -> None:
        """Watch from now on until everyone has recovered."""
        self.over_at = time.monotonic()
        at = [client for client in self._clients if killed is not None and client.target() == killed.target]
        self._watching.append(asyncio.create_task(self._watch(self.over_at, at)))

    async def recovered(self) -> Recovery:
        """Wait until everyone has. Raises AssertionError when somebody does not."""
        await asyncio.gather(*self._watching)
        worst = max(self._clients, key=lambda client: client.pulse.longest_pause(self._begun))
        self.recovery.pause = worst.pulse.longest_pause(self._begun)
        self.recovery.who = f"{worst.name} at {worst.target()}"
        return self.recovery

    def busy(self) -> frozenset[str]:
        """Where clients are now."""
        return frozenset(client.target() for client in self._clients)

    @property
    def _clients(self) -> list[Watched]:
        return [*self.load.readers, *self.load.writers]

    async def _watch(self, since: float, killed: Sequence[Watched]) -> None:
        await self._wait_for(self.load.readers, since)
        self.recovery.readers = max(self.recovery.readers, time.monotonic() - since)
        await self._wait_for(self.load.writers, since)
        if killed:
            self.recovery.killed = max(client.pulse.longest_pause(since) for client in killed)

    async def _wait_for(self, clients: Sequence[Watched], since: float) -> None:
        def behind() -> list[str]:
            return [client.name for client in clients if client.pulse.newest <= since]

        try:
            await eventually(lambda: not behind(), "everyone goes on", LONGEST)
        except AssertionError:
            raise AssertionError(f"not within {LONGEST:g} s: {', '.join(behind())} go on") from None
