"""What a run comes to, in figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self

from .checker import Fault, Verdict
from .load import Load


@dataclass
class Totals:
    """Of all clients of a run."""

    sent: int = 0
    tries: int = 0
    acknowledged: int = 0
    unanswered: int = 0
    unanswered_stored: int = 0
    read: int = 0
    streams: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    verdict: Verdict = field(default_factory=lambda: Verdict(()))

    @classmethod
    def of(cls, load: Load, verdict: Verdict) -> Self:
        """Count what a load did."""
        sends = load.history.sends
        texts = {entry.text for entries in load.stored.values() for entry in entries}
        unanswered = [sent for sent in sends if not sent.acknowledged]
        return cls(
            sent=len(sends),
            tries=sum(sent.tries for sent in sends),
            acknowledged=load.history.acknowledged,
            unanswered=len(unanswered),
            unanswered_stored=sum(1 for sent in unanswered if sent.text in texts),
            read=sum(len(view.entries) for view in load.history.views),
            streams=load.streams,
            errors=dict(load.history.errors),
            verdict=verdict,
        )

    def rows(self) -> list[tuple[str, str]]:
        """A name and a value for each line."""
        count = self.verdict.count
        return [
            ("sent", f"{self.sent}, in {self.tries} tries"),
            ("acknowledged", f"{self.acknowledged}"),
            ("given up, of these stored", f"{self.unanswered}, {self.unanswered_stored}"),
            ("read", f"{self.read}, over {self.streams} streams"),
            ("lost", f"{count(Fault.LOST, Fault.UNREAD, Fault.RESET)}"),
            ("doubled", f"{count(Fault.DOUBLED, Fault.READ_TWICE)}"),
            ("out of order", f"{count(Fault.WRITER_ORDER, Fault.READ_ORDER)}"),
            ("holes, misplaced, invented", f"{count(Fault.HOLE, Fault.MISPLACED, Fault.INVENTED, Fault.READ_DIFFERS)}"),
            ("against the contract", f"{count(Fault.PROTOCOL)}"),
        ]

    def errors_text(self) -> str:
        """The errors that clients met, each with how often."""
        return ", ".join(f"{name} × {number}" for name, number in sorted(self.errors.items()))


def seconds(values: Sequence[float]) -> str:
    """The median and the longest of some times."""
    return f"median {median(values):.2f} s, longest {max(values):.2f} s" if values else "-"
