"""What the clients did and saw. Written by writers and readers, judged by the checker."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a channel, as the store or a reader has it. What nobody wrote has its kind in brackets as text."""

    sequence: int
    author_id: int
    text: str

    @property
    def is_text(self) -> bool:
        """Whether somebody wrote it."""
        return not self.text.startswith("(")


@dataclass(slots=True)
class Sent:
    """A message that a writer handed over, once or several times. Its text is nobody else's."""

    request_id: str
    writer: str
    author_id: int
    number: int
    channel_id: int
    text: str
    tries: int = 0
    places: list[int] = field(default_factory=list)
    """The sequence of every acknowledgement."""
    begun: float = 0.0
    """When it was handed over, on the clock of this process."""
    given_up: bool = False
    """Whether its writer went elsewhere without waiting for it: where it was sent to, it may still be stored later."""

    @property
    def acknowledged(self) -> bool:
        """Whether the server has ever said that it is stored."""
        return bool(self.places)


@dataclass(slots=True)
class View:
    """What a reader has of a channel: everything in `(after, position]`, in the order in which it came."""

    reader: str
    channel_id: int
    after: int
    position: int
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class History:
    """Everything that happened to the clients."""

    sends: list[Sent] = field(default_factory=list)
    views: list[View] = field(default_factory=list)
    resets: list[str] = field(default_factory=list)
    """Positions that the server did not know any more: it lost what a reader has."""
    protocol: list[str] = field(default_factory=list)
    """What the contract rules out, as the clients met it."""
    errors: Counter[str] = field(default_factory=Counter)
    """The errors that the clients met, by code and reason."""
    _sends: dict[str, Sent] = field(default_factory=dict)
    _entries: dict[Entry, Entry] = field(default_factory=dict)

    def send(self, writer: str, author_id: int, channel_id: int, number: int, padding: int = 0) -> Sent:
        """A new message, the writer's `number`th."""
        text = f"{writer} {number} of {len(self.sends) + 1} {'x' * padding}".rstrip()
        sent = Sent(str(uuid.uuid4()), writer, author_id, number, channel_id, text, begun=time.monotonic())
        self.sends.append(sent)
        self._sends[text] = sent
        return sent

    def sent(self, text: str) -> Sent | None:
        """The message with this text."""
        return self._sends.get(text)

    def same(self, entry: Entry) -> Entry:
        """An entry that is equal to this one: what all readers have is kept once."""
        return self._entries.setdefault(entry, entry)

    def view(self, reader: str, channel_id: int, after: int) -> View:
        """A new reader of a channel."""
        view = View(reader, channel_id, after, after)
        self.views.append(view)
        return view

    @property
    def acknowledged(self) -> int:
        """How many messages the server said it has stored."""
        return sum(1 for sent in self.sends if sent.acknowledged)
