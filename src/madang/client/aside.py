"""Messages for channels in slow mode: they wait aside, in order, while those for other channels go on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from madang.client.outbox import Outbox
from madang.client.outgoing import Outgoing, SendState

SOON = 0.05
"""When a channel whose time has come is looked at again while it still has a message on its way, seconds."""


class Aside:
    """What is set aside comes back to the front of `outbox.ready` when its channel takes messages again."""

    def __init__(self, outbox: Outbox, is_busy: Callable[[int], bool]) -> None:
        """`is_busy`: whether a message of the channel is on its way; nothing may overtake it."""
        self._outbox = outbox
        self._is_busy = is_busy
        self._waiting: dict[int, list[Outgoing]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def put(self, outgoing: Outgoing, seconds: float) -> None:
        """Set a message aside, and all that follow it in its channel, for so long."""
        self._waiting.setdefault(outgoing.channel_id, []).append(outgoing)
        self._return_in(outgoing.channel_id, seconds)

    def sift(self) -> bool:
        """Take what has to wait from the front of `outbox.ready`; whether there was any."""
        ready, found = self._outbox.ready, False
        while ready and ready[0].channel_id in self._waiting:
            outgoing = ready.popleft()
            self._waiting[outgoing.channel_id].append(outgoing)
            found = True
        return found

    def stop(self) -> None:
        """Bring nothing back any more."""
        for timer in self._timers.values():
            timer.cancel()

    def _return_in(self, channel_id: int, seconds: float) -> None:
        if channel_id in self._timers:
            self._timers[channel_id].cancel()
        self._timers[channel_id] = asyncio.get_running_loop().call_later(seconds, self._bring_back, channel_id)

    def _bring_back(self, channel_id: int) -> None:
        if self._is_busy(channel_id):
            self._return_in(channel_id, SOON)
            return
        del self._timers[channel_id]
        # What was on its way when the first was refused has come later than what was sifted meanwhile.
        order = {outgoing.request_id: place for place, outgoing in enumerate(self._outbox.pending)}
        back = [outgoing for outgoing in self._waiting.pop(channel_id) if outgoing.state is SendState.SENDING]
        back.sort(key=lambda outgoing: order.get(outgoing.request_id, 0))
        self._outbox.ready.extendleft(reversed(back))
        self._outbox.wake()
