"""The intervals of the classic contract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """All in seconds."""

    beat: float = 5.0
    """How often a heartbeat stream carries the time."""

    grace: float = 5.0
    """How long a user lives on after its last heartbeat stream ended."""

    first_beat: float = 30.0
    """How long after its login a user may be without a heartbeat."""

    idle: float = 60.0
    """After how long without an act a user counts as idle."""

    prove: float = 3.0
    """How often a process writes down whose heart beats there, where there are others; more often than `grace`."""

    unseen: float = 15.0
    """How long a user that is present nowhere lives on after that was last written."""

    tidy: float = 1.0
    """How often the gateway looks for users and channels whose time is over."""
