"""The user's own messages on their way: not stored yet, or stored and not come back yet. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from madang.core.models import Content, Message
from madang.terminal.lines import Line, note, sending_line


@dataclass(frozen=True, slots=True)
class Unsent:
    """One of the user's own messages that is not stored yet."""

    request_id: str
    channel_id: int
    text: str


class Pending:
    """What is on its way. A message is under way to the server until it is stored or refused, or seen in the stream; a
    stored one is under way back until it is seen there.
    """

    def __init__(self) -> None:
        self._unsent: dict[str, Unsent] = {}
        self._coming: set[tuple[int, int]] = set()
        self._until: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._unsent)

    def __iter__(self) -> Iterator[Unsent]:
        return iter(self._unsent.values())

    def add(self, message: Unsent) -> None:
        """The user wrote something."""
        self._unsent[message.request_id] = message

    def delayed(self, request_id: str, until: float) -> None:
        """The server takes it at `until` (seconds since the epoch), and not before: the user was too fast."""
        if request_id in self._unsent:
            self._until[request_id] = until

    def refused(self, request_id: str) -> None:
        """It will never be stored."""
        self._gone(request_id)

    def stored(self, request_id: str, channel_id: int, sequence: int, *, seen: bool) -> None:
        """It is stored, at this place; `seen`: and it came back before."""
        self._gone(request_id)
        if not seen:
            self._coming.add((channel_id, sequence))

    def came(self, message: Message, *, own: bool) -> None:
        """A message came over the stream. It may be faster than the answer to its send: then the text tells."""
        place = (message.channel_id, message.sequence)
        if place in self._coming:
            self._coming.discard(place)
        elif own and message.content is Content.TEXT:
            same = (u for u in self if (u.channel_id, u.text) == (message.channel_id, message.text))
            if first := next(same, None):
                self._gone(first.request_id)

    def left(self, channel_id: int) -> None:
        """Nothing of this channel comes any more."""
        self._coming = {place for place in self._coming if place[0] != channel_id}

    def any(self, channel_id: int | None = None) -> bool:
        """Whether something is on its way; `channel_id`: in that channel."""
        channels = {*(unsent.channel_id for unsent in self), *(place[0] for place in self._coming)}
        return bool(channels) if channel_id is None else channel_id in channels

    def region(self, columns: int, most: int, name: Callable[[int], str], now: float) -> list[Line]:
        """The live region above the prompt: the last `most` that are not stored, one line of `columns` each.

        `name`: of a channel that is to be told, empty for the current one. `now`: seconds since the epoch.
        """
        waiting = list(self)
        shown = [
            sending_line(
                u.text, channel=name(u.channel_id), columns=columns, wait=self._until.get(u.request_id, 0) - now
            )
            for u in waiting[-most:]
        ]
        more = len(waiting) - len(shown)
        return [*([note(f"sending … {more} more")] if more else []), *shown]

    def _gone(self, request_id: str) -> None:
        self._unsent.pop(request_id, None)
        self._until.pop(request_id, None)
