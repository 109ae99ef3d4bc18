"""The checker itself: it accepts what is right, and catches each thing that can be wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .checker import Fault, check
from .history import Entry, History, Sent, View

CHANNEL = 7
MINA, NARI = 11, 12

Stored = dict[int, list[Entry]]
Story = tuple[History, Stored]


def story(writes: Iterable[tuple[int, bool, bool]], after: int = 0) -> Story:
    """A history without a fault: a joining, then messages, each as (author, stored, acknowledged); one reader."""
    history = History()
    entries = [Entry(1, MINA, "(member_joined)")]
    numbers = {MINA: 0, NARI: 0}
    for author, stored, acknowledged in writes:
        numbers[author] += 1
        sent = history.send(f"writer-{author}", author, CHANNEL, numbers[author])
        if stored:
            entries.append(Entry(len(entries) + 1, author, sent.text))
        if stored and acknowledged:
            sent.places.append(len(entries))
    begin = min(after, len(entries))
    view = history.view("reader", CHANNEL, begin)
    view.entries = entries[begin:]
    view.position = len(entries)
    return history, {CHANNEL: entries}


def five() -> Story:
    """Mina 1, Nari 1, Mina 2, and Mina 3, which was not acknowledged, at 2 to 5; Nari 2 was not stored."""
    return story(
        [(MINA, True, True), (NARI, True, True), (MINA, True, True), (MINA, True, False), (NARI, False, False)]
    )


def faults(history: History, stored: Stored) -> set[Fault]:
    """What the checker finds."""
    return {finding.fault for finding in check(history, stored).findings}


WRITES = st.lists(st.tuples(st.sampled_from((MINA, NARI)), st.booleans(), st.booleans()), max_size=30)


@given(WRITES, st.integers(0, 10))
def test_accepts_what_is_right(writes: list[tuple[int, bool, bool]], after: int) -> None:
    history, stored = story(writes, after)
    assert faults(history, stored) == set()
    assert "nothing is wrong" in str(check(history, stored))


def test_accepts_two_acknowledgements_of_one_place() -> None:
    history, stored = five()
    history.sends[0].places.append(history.sends[0].places[0])
    assert faults(history, stored) == set()


def test_what_was_given_up_may_come_later() -> None:
    history, stored = five()
    reorders_a_writer(history, stored)
    assert faults(history, stored) == {Fault.WRITER_ORDER}
    history.sends[0].given_up = True
    assert faults(history, stored) == set()


def renumber(entries: list[Entry]) -> list[Entry]:
    """The entries, in sequence without a hole."""
    return [replace(entry, sequence=number) for number, entry in enumerate(entries, 1)]


def store(stored: Stored, history: History, entries: list[Entry]) -> None:
    """Let the store, and the reader with it, have these entries."""
    stored[CHANNEL] = renumber(entries)
    history.views[0].entries = list(stored[CHANNEL])
    history.views[0].position = len(entries)


def loses_the_last(history: History, stored: Stored) -> None:
    history.sends[3].places.append(5)
    store(stored, history, stored[CHANNEL][:-1])


def loses_one_between(history: History, stored: Stored) -> None:
    store(stored, history, [*stored[CHANNEL][:2], *stored[CHANNEL][3:]])


def doubles(history: History, stored: Stored) -> None:
    store(stored, history, [*stored[CHANNEL], stored[CHANNEL][1]])


def doubles_unacknowledged(history: History, stored: Stored) -> None:
    store(stored, history, [*stored[CHANNEL], stored[CHANNEL][4]])


def acknowledges_elsewhere(history: History, stored: Stored) -> None:
    history.sends[2].places = [5]


def acknowledges_at_two_places(history: History, stored: Stored) -> None:
    history.sends[2].places.append(5)


def acknowledges_a_double(history: History, stored: Stored) -> None:
    doubles(history, stored)
    history.sends[0].places.append(6)


def leaves_a_hole(history: History, stored: Stored) -> None:
    stored[CHANNEL][4] = replace(stored[CHANNEL][4], sequence=6)
    history.views[0].entries = list(stored[CHANNEL])
    history.views[0].position = 6


def begins_late(history: History, stored: Stored) -> None:
    del stored[CHANNEL][0], history.views[0].entries[0]


def invents(history: History, stored: Stored) -> None:
    store(stored, history, [*stored[CHANNEL], Entry(0, NARI, "nobody wrote this")])


def stores_for_another(history: History, stored: Stored) -> None:
    entries = stored[CHANNEL]
    store(stored, history, [*entries[:4], replace(entries[4], author_id=NARI)])


def reorders_a_writer(history: History, stored: Stored) -> None:
    one, two, three, four, five = stored[CHANNEL]
    history.sends[0].places, history.sends[2].places = [4], [2]
    store(stored, history, [one, four, three, two, five])


def skips_for_a_reader(history: History, stored: Stored) -> None:
    del history.views[0].entries[2]


def stops_for_a_reader(history: History, stored: Stored) -> None:
    del history.views[0].entries[-1]
    history.views[0].position = 4


def reads_twice(history: History, stored: Stored) -> None:
    history.views[0].entries.insert(2, history.views[0].entries[2])


def reads_in_disorder(history: History, stored: Stored) -> None:
    entries = history.views[0].entries
    entries[2], entries[3] = entries[3], entries[2]


def reads_otherwise(history: History, stored: Stored) -> None:
    history.views[0].entries[2] = replace(history.views[0].entries[2], text="not this")


def reads_what_is_gone(history: History, stored: Stored) -> None:
    del stored[CHANNEL][-1]


def resets(history: History, stored: Stored) -> None:
    history.resets.append("reader in channel 7: 5 became 3")


def breaks_the_contract(history: History, stored: Stored) -> None:
    history.protocol.append("a live stream that ended in order")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (loses_the_last, {Fault.LOST}),
        (loses_one_between, {Fault.LOST, Fault.MISPLACED}),
        (doubles, {Fault.DOUBLED}),
        (doubles_unacknowledged, {Fault.DOUBLED}),
        (acknowledges_elsewhere, {Fault.MISPLACED}),
        (acknowledges_at_two_places, {Fault.MISPLACED}),
        (acknowledges_a_double, {Fault.DOUBLED, Fault.MISPLACED}),
        (leaves_a_hole, {Fault.HOLE}),
        (begins_late, {Fault.HOLE}),
        (invents, {Fault.INVENTED}),
        (stores_for_another, {Fault.INVENTED}),
        (reorders_a_writer, {Fault.WRITER_ORDER}),
        (skips_for_a_reader, {Fault.UNREAD}),
        (stops_for_a_reader, {Fault.UNREAD}),
        (reads_twice, {Fault.READ_TWICE}),
        (reads_in_disorder, {Fault.READ_ORDER}),
        (reads_otherwise, {Fault.READ_DIFFERS}),
        (reads_what_is_gone, {Fault.READ_DIFFERS, Fault.UNREAD}),
        (resets, {Fault.RESET}),
        (breaks_the_contract, {Fault.PROTOCOL}),
    ],
)
def test_catches(damage: Callable[[History, Stored], None], expected: set[Fault]) -> None:
    history, stored = five()
    assert faults(history, stored) == set()
    damage(history, stored)
    assert faults(history, stored) == expected


def test_tells_of_every_kind_and_not_of_every_case() -> None:
    sends = [
        Sent(str(number), "mina", MINA, number, CHANNEL, f"message {number}", places=[number]) for number in range(99)
    ]
    verdict = check(History(sends=sends), {CHANNEL: []})
    assert verdict.count(Fault.LOST) == 99
    assert str(verdict).splitlines()[0] == "LOST 99"
    assert str(verdict).endswith("and 79 more")


def test_a_view_of_an_empty_channel() -> None:
    assert check(History(views=[View("reader", CHANNEL, 0, 0)]), {}).findings == ()
