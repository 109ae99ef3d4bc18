"""The rule of positions: the whole resume protocol, in one class.

A reader's position is the sequence through which it has everything. News comes as complete ranges `(after, through]`. A
range is applied when it begins at the position; ignored when the position has passed it; and anything else is a gap:
the reader asks again from its position. The hub's rings, the Python client and the browser use the same rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What to do with a range."""

    APPLY = "apply"
    IGNORE = "ignore"
    GAP = "gap"


@dataclass(slots=True)
class Position:
    """Through which sequence a reader has everything. Never goes back."""

    sequence: int

    def judge(self, after: int, through: int) -> Verdict:
        """Say what to do with the range `(after, through]`, without moving.

        A range that only partly overlaps what the reader has is a gap too: its parts cannot be told apart.
        """
        if after == self.sequence and through >= after:
            return Verdict.APPLY
        if through <= self.sequence:
            return Verdict.IGNORE
        return Verdict.GAP

    def take(self, after: int, through: int) -> Verdict:
        """Judge the range `(after, through]`, and move to `through` when it is to be applied."""
        verdict = self.judge(after, through)
        if verdict is Verdict.APPLY:
            self.sequence = through
        return verdict
