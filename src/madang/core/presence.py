"""Who is here: leases, pure. Every method takes the time, in microseconds.

A user is here while it holds a *hold* (an open stream that answers keepalive) or a *lease* (a beat) that has not run
out. Holds are counted, so that a user with two devices is here until both are gone. After the last one there is a short
grace, so that a reconnect is not seen as going and coming.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic, TypeVar

FORGET_AFTER = 24 * 3600 * 1_000_000
"""After how long it is not known any more when somebody was last seen, microseconds."""
MOST_ABSENT = 100_000


class Status(Enum):
    """How present a user is."""

    OFFLINE = "offline"
    ONLINE = "online"
    AWAY = "away"
    DO_NOT_DISTURB = "do not disturb"


@dataclass(frozen=True, slots=True)
class Presence:
    """A user's presence. `seen_at`, microseconds, is the last proof of life; None when there was none."""

    user_id: int
    status: Status
    seen_at: int | None


def latest(one: Presence, other: Presence) -> Presence:
    """The first, seen when the user was last seen in either."""
    if other.seen_at is None or (one.seen_at is not None and one.seen_at >= other.seen_at):
        return one
    return replace(one, seen_at=other.seen_at)


class Absent:
    """Who was present and is not any more, the longest gone first; in the end it is forgotten."""

    def __init__(self) -> None:
        self._seen_at: dict[int, int] = {}

    def add(self, user_id: int, seen_at: int) -> None:
        """The user is not present; it keeps its place when it was not before."""
        self._seen_at[user_id] = seen_at

    def discard(self, user_id: int) -> None:
        """The user is back, or something is still to be known of it."""
        self._seen_at.pop(user_id, None)

    def take_old(self, now: int) -> list[int]:
        """Who is to be forgotten: after a day, and what there is beyond MOST_ABSENT. Costs what it returns."""
        old: list[int] = []
        for user_id, seen_at in self._seen_at.items():
            if len(self._seen_at) - len(old) <= MOST_ABSENT and seen_at > now - FORGET_AFTER:
                break
            old.append(user_id)
        for user_id in old:
            del self._seen_at[user_id]
        return old


@dataclass(slots=True, kw_only=True)
class Shown:
    """How a user is shown. `seen_at`: when there last was proof of life, microseconds, 0 for never."""

    seen_at: int = 0
    shown: Status = Status.OFFLINE


_Shown = TypeVar("_Shown", bound=Shown)


class PresenceStates(Generic[_Shown]):
    """Who is shown as present; `changes` drains what is new. What follows from what is for the classes below it."""

    def __init__(self) -> None:
        self._users: dict[int, _Shown] = {}
        self._absent = Absent()
        self._present: set[int] = set()
        self._changed: dict[int, None] = {}

    @property
    def has_changes(self) -> bool:
        """Whether `changes` has something to tell."""
        return bool(self._changed)

    def changes(self) -> list[Presence]:
        """What is new since the last call, each user once, with what it is now."""
        changed, self._changed = self._changed, {}
        return [self.get(user_id) for user_id in changed]

    def get(self, user_id: int) -> Presence:
        """A user's presence; offline and never seen for one that is not known."""
        user = self._users.get(user_id)
        if user is None:
            return Presence(user_id, Status.OFFLINE, None)
        return Presence(user_id, user.shown, user.seen_at or None)

    def here(self) -> list[Presence]:
        """Everyone who is present, by user_id."""
        return [self.get(user_id) for user_id in sorted(self._present)]

    def count(self) -> int:
        """How many are present."""
        return len(self._present)

    def _show(self, user_id: int, status: Status) -> None:
        """From now on the user is shown like this."""
        (self._present.discard if status is Status.OFFLINE else self._present.add)(user_id)
        user = self._users[user_id]
        if status is not user.shown:
            user.shown = status
            self._changed[user_id] = None


@dataclass(slots=True, kw_only=True)
class _Entry(Shown):
    wanted: Status = Status.ONLINE
    holds: int = 0
    graceful: bool = True
    lease_until: int = 0
    proven_at: int = 0
    proven_by: int = 0


class PresenceTable(PresenceStates[_Entry]):
    """The presence of everyone that this process has seen lately; `changes` drains what is new."""

    def __init__(self, lease: int, grace: int, date: Callable[[int], int] = lambda now: now) -> None:
        """`lease`: how long a beat is good, `grace`: how long a user stays after its last hold; both microseconds.
        `date`: the time of day at a time as the methods take it, asked when that is now.
        """
        super().__init__()
        self._date = date
        self._lease = lease
        self._grace = grace
        self._leased: set[int] = set()

    def hold(self, user_id: int, now: int, session_id: int = 0) -> None:
        """A stream of the user's opened."""
        entry = self._users.setdefault(user_id, _Entry())
        entry.holds += 1
        entry.proven_by = session_id
        entry.graceful = True
        self._prove(entry, now)
        self._settle(user_id, entry, now)

    def release(self, user_id: int, now: int) -> None:
        """A stream of the user's ended. Whatever was held is released exactly once, by whoever held it."""
        entry = self._users[user_id]
        entry.holds -= 1
        self._prove(entry, now)
        if entry.graceful:
            self._extend(user_id, entry, now + self._grace)
        self._settle(user_id, entry, now)

    def beat(self, user_id: int, now: int, session_id: int = 0) -> None:
        """The user proved life."""
        entry = self._users.setdefault(user_id, _Entry())
        entry.proven_by = session_id
        self._prove(entry, now)
        self._extend(user_id, entry, now + self._lease)
        self._settle(user_id, entry, now)

    def want(self, user_id: int, status: Status, now: int) -> None:
        """The user says how it wants to be seen while it is here."""
        entry = self._users.setdefault(user_id, _Entry())
        entry.wanted = status
        self._settle(user_id, entry, now)

    def drop(self, user_id: int, now: int, session_id: int = 0) -> None:
        """The user signed out: no lease, and no grace for the streams that are about to close.

        Whoever is signed in on another device stays here by the streams of that device; and by its lease, when the
        last proof of life here came from another session than the one that ended. 0: that is not known.
        """
        entry = self._users.get(user_id)
        if entry is None or (session_id and entry.proven_by not in (0, session_id)):
            return
        entry.lease_until = 0
        entry.graceful = False
        self._settle(user_id, entry, now)

    def expire(self, now: int) -> None:
        """Let leases run out, and forget who is long gone. Costs what there are of leases, not of users."""
        for user_id in [u for u in self._leased if self._users[u].lease_until <= now]:
            self._leased.discard(user_id)
            self._settle(user_id, self._users[user_id], now)
        for user_id in self._absent.take_old(now):
            del self._users[user_id]
            self._leased.discard(user_id)

    def _prove(self, entry: _Entry, now: int) -> None:
        entry.proven_at = now
        entry.seen_at = self._date(now)

    def _extend(self, user_id: int, entry: _Entry, until: int) -> None:
        if until > entry.lease_until:
            entry.lease_until = until
            self._leased.add(user_id)

    def _settle(self, user_id: int, entry: _Entry, now: int) -> None:
        """Show what follows from holds and lease."""
        here = entry.holds > 0 or entry.lease_until > now
        if here:
            self._absent.discard(user_id)
        else:
            entry.wanted = Status.ONLINE
            self._absent.add(user_id, entry.proven_at)
        self._show(user_id, entry.wanted if here else Status.OFFLINE)
