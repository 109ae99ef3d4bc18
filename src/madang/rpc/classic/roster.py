"""The classic users of this process. Pure: whatever depends on the time takes it, in microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from madang.core.errors import ForeignIndex
from madang.core.models import Actor, Session
from madang.rpc.classic.times import Times

NO_CHANNEL = 0
"""The contract's number for no channel at all."""

_SECOND = 1_000_000


@dataclass(slots=True, eq=False)
class Guest:
    """A classic user.

    `leave_at`: when it is taken out, unless a heartbeat stream is up then. `hidden`: others may not know its channel.
    """

    session: Session
    host: str
    active_at: int
    leave_at: int
    live_until: int = 0
    beats: int = 0
    channel_id: int = NO_CHANNEL
    hidden: bool = False
    ended: bool = False
    said_goodbye: bool = False

    @property
    def index(self) -> int:
        """What the contract calls the user: its user_id."""
        return self.session.user_id

    @property
    def actor(self) -> Actor:
        """The user as the services know it."""
        return Actor(self.index, self.session.session_id, self.session.role, self.host)


class Roster:
    """Who is logged in: from where, in which channel, when it last acted, and whether its heart beats."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._guests: dict[int, Guest] = {}

    def __contains__(self, index: int) -> bool:
        return index in self._guests

    def __iter__(self) -> Iterator[Guest]:
        return iter(list(self._guests.values()))

    def admit(self, session: Session, host: str, now: int) -> Guest:
        """A user logged in from a host."""
        guest = Guest(session, host, active_at=now, leave_at=now + _micros(self._times.first_beat))
        self._guests[guest.index] = guest
        return guest

    def remove(self, guest: Guest) -> None:
        """The user is gone. Repeating it does no harm."""
        self._guests.pop(guest.index, None)

    def find(self, index: int) -> Guest | None:
        """The user with the index; None for one that is not logged in here."""
        return self._guests.get(index)

    def require(self, index: int, host: str) -> Guest:
        """The user with the index, if the index was given to this host. Raises ForeignIndex."""
        guest = self._guests.get(index)
        if guest is None or guest.ended or guest.host != host:
            raise ForeignIndex(index=index)
        return guest

    def act(self, guest: Guest, now: int) -> None:
        """The user did something: it is not idle."""
        guest.active_at = now

    def idle_in(self, guest: Guest, now: int) -> float:
        """In how many seconds the user will be idle; zero or less when it is."""
        return (guest.active_at - now) / _SECOND + self._times.idle

    def begin_beat(self, guest: Guest) -> None:
        """A heartbeat stream of the user's is up."""
        guest.beats += 1

    def end_beat(self, guest: Guest, now: int) -> None:
        """It is down. After the last one the user has its period of grace."""
        guest.beats -= 1
        guest.live_until = guest.leave_at = now + _micros(self._times.grace)

    def lives(self, guest: Guest, now: int) -> bool:
        """Whether the user's heartbeat is current."""
        return not guest.ended and (guest.beats > 0 or now < guest.live_until)

    def beating(self) -> list[Guest]:
        """Whose heartbeat streams are up here."""
        return [guest for guest in self if guest.beats > 0 and not guest.ended]

    def put_off(self, guest: Guest, now: int) -> None:
        """It may live elsewhere: it is due later."""
        guest.leave_at = now + _micros(self._times.unseen)

    def end(self, index: int) -> None:
        """The user's session ended: the index counts no more, and the user is due."""
        guest = self._guests.get(index)
        if guest is not None:
            guest.ended = True

    def due(self, now: int) -> list[Guest]:
        """Who has to be taken out."""
        return [guest for guest in self if guest.ended or (guest.beats == 0 and now >= guest.leave_at)]


def _micros(seconds: float) -> int:
    return round(seconds * _SECOND)
