"""Holds a history against what was stored, as Jepsen does: pure, after the fact, without knowing how it came about.

The claims, by the promise of DESIGN.md that each is from:

- *Stored before acknowledged*: an acknowledged message is stored, once, at the sequence of each acknowledgement.
- *One order*: a channel's sequence begins at 1 and has no hole; what one writer wrote in a channel is in the order in
  which it wrote. (Not what it gave up at one node, going on at another: the one may come to it later.)
- *Once*: no message is stored twice, however often it was sent; one that was never acknowledged is stored once or not
  at all.
- *Nothing skipped*: what a reader has of a channel is every entry of its range, once, in order, as the store has it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from .history import Entry, History, Sent, View

Stored = Mapping[int, Sequence[Entry]]
"""What the store has, by channel, as it lists it."""


class Fault(Enum):
    """What can be wrong."""

    LOST = "acknowledged, and not stored"
    DOUBLED = "stored more than once"
    MISPLACED = "acknowledged at another sequence than it is stored at"
    INVENTED = "stored, and not what anybody sent"
    HOLE = "the sequence is not 1, 2, 3, …"
    WRITER_ORDER = "not in the order in which its writer wrote"
    UNREAD = "a reader lacks it"
    READ_TWICE = "a reader has it twice"
    READ_ORDER = "a reader has it in another order"
    READ_DIFFERS = "a reader has something that the store does not have there"
    RESET = "a reader's position was forgotten"
    PROTOCOL = "the contract does not allow it"
    NODES_DIFFER = "nodes list different things"
    PRESENCE = "a node does not show who is here"
    SERVER = "a node did what it must not"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    fault: Fault
    where: str

    def __str__(self) -> str:
        return f"{self.fault.name}: {self.where}: {self.fault.value}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the checker found."""

    findings: tuple[Finding, ...]

    def count(self, *faults: Fault) -> int:
        """How many findings of these kinds there are."""
        return sum(1 for finding in self.findings if finding.fault in faults)

    def __str__(self) -> str:
        counts = Counter(finding.fault.name for finding in self.findings)
        lines = [", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "nothing is wrong"]
        lines += map(str, self.findings[:20])
        if len(self.findings) > 20:
            lines.append(f"… and {len(self.findings) - 20} more")
        return "\n".join(lines)


def check(history: History, stored: Stored) -> Verdict:
    """Judge a history: its writers have settled or given up, its readers were let to catch up."""
    findings = [
        *_sequences(stored),
        *_sends(history.sends, stored),
        *_writers(history.sends, stored),
        *(finding for view in history.views for finding in _view(view, stored.get(view.channel_id, ()))),
        *(Finding(Fault.RESET, where) for where in history.resets),
        *(Finding(Fault.PROTOCOL, where) for where in history.protocol),
    ]
    return Verdict(tuple(findings))


def _sequences(stored: Stored) -> Iterator[Finding]:
    for channel_id, entries in stored.items():
        for expected, entry in enumerate(entries, 1):
            if entry.sequence != expected:
                yield Finding(Fault.HOLE, f"channel {channel_id}: {entry.sequence} where {expected} should be")
                break


def _sends(sends: Sequence[Sent], stored: Stored) -> Iterator[Finding]:
    places: defaultdict[tuple[int, int, str], list[int]] = defaultdict(list)
    for channel_id, entries in stored.items():
        for entry in entries:
            if entry.is_text:
                places[channel_id, entry.author_id, entry.text].append(entry.sequence)
    for sent in sends:
        at = places.pop((sent.channel_id, sent.author_id, sent.text), [])
        where = f"{sent.text[:60]!r} in channel {sent.channel_id}"
        if len(at) > 1:
            yield Finding(Fault.DOUBLED, f"{where} at {at}")
        if sent.places and not at:
            yield Finding(Fault.LOST, f"{where}, acknowledged at {sent.places}")
        elif set(sent.places) - set(at) or len(set(sent.places)) > 1:
            yield Finding(Fault.MISPLACED, f"{where}, acknowledged at {sent.places}, stored at {at}")
    for (channel_id, author_id, text), at in places.items():
        yield Finding(Fault.INVENTED, f"{text[:60]!r} of user {author_id} in channel {channel_id} at {at}")


def _writers(sends: Sequence[Sent], stored: Stored) -> Iterator[Finding]:
    """Doubles are told of elsewhere: here the first place counts. What was given up may be anywhere."""
    numbers = {
        (sent.channel_id, sent.author_id, sent.text): (sent.writer, sent.number) for sent in sends if not sent.given_up
    }
    for channel_id, entries in stored.items():
        latest: dict[str, int] = {}
        told: set[tuple[str, int]] = set()
        for entry in entries:
            found = numbers.get((channel_id, entry.author_id, entry.text))
            if found is None or found in told:
                continue
            told.add(found)
            writer, number = found
            if number < latest.get(writer, number):
                yield Finding(
                    Fault.WRITER_ORDER, f"channel {channel_id}: {writer}'s {number} after its {latest[writer]}"
                )
            latest[writer] = max(number, latest.get(writer, number))


def _view(view: View, entries: Sequence[Entry]) -> Iterator[Finding]:
    where = f"{view.reader} in channel {view.channel_id}"
    expected = {entry.sequence: entry for entry in entries if entry.sequence > view.after}
    seen = Counter(entry.sequence for entry in view.entries)
    missing = sorted(expected.keys() - seen.keys())
    if missing:
        yield Finding(Fault.UNREAD, f"{where}: {len(missing)} from {missing[0]}")
    twice = sorted(sequence for sequence, count in seen.items() if count > 1)
    if twice:
        yield Finding(Fault.READ_TWICE, f"{where}: {len(twice)} from {twice[0]}")
    back = [later.sequence for former, later in pairwise(view.entries) if later.sequence < former.sequence]
    if back:
        yield Finding(Fault.READ_ORDER, f"{where}: {len(back)} from {back[0]}")
    other = [entry for entry in view.entries if expected.get(entry.sequence) != entry]
    if other:
        yield Finding(Fault.READ_DIFFERS, f"{where}: {len(other)} from {other[0]}")
    if entries and view.position != entries[-1].sequence:
        yield Finding(Fault.UNREAD, f"{where}: stands at {view.position}, the head is {entries[-1].sequence}")
