"""What is checked of the classic contract: it accepts what is right, and catches each thing that can be wrong."""

from __future__ import annotations

import random

import pytest

from .checker import Fault
from .classic import Heard, Said, check, classic_crowd
from .history import Entry
from .people import connect, sign_in, stored_in
from .process import ServerProcess

MINA, NARI = 11, 12


def story() -> tuple[list[Said], list[Heard], list[Entry]]:
    """Mina says 1 to 4, the last of which is not taken; Nari's first stream ends early, the second is still open."""
    said = [Said("mina", number, f"mina {number}", begun=float(number), taken=number < 4) for number in range(1, 5)]
    entries = [Entry(1, MINA, "(member_joined)"), *(Entry(1 + n, MINA, f"mina {n}") for n in range(1, 4))]
    first = Heard("nari", NARI, begun=0.5, texts=["mina 1", "mina 2"], is_open=False)
    second = Heard("nari", NARI, begun=2.5, texts=["mina 3"])
    return said, [first, second, Heard("mina", MINA, begun=0.0)], entries


def faults(said: list[Said], heard: list[Heard], lobby: list[Entry]) -> set[Fault]:
    return {finding.fault for finding in check(said, heard, lobby)}


def test_accepts_what_is_right() -> None:
    assert faults(*story()) == set()


def test_what_was_not_taken_may_be_stored() -> None:
    said, heard, lobby = story()
    heard[1].texts.append("mina 4")
    assert faults(said, heard, [*lobby, Entry(5, MINA, "mina 4")]) == set()


def test_a_stream_may_bring_what_was_on_its_way_when_it_began() -> None:
    said, heard, lobby = story()
    heard[1].texts.insert(0, "mina 2")
    assert faults(said, heard, lobby) == set()


def test_catches_what_was_lost() -> None:
    said, heard, lobby = story()
    heard[1].texts.clear()
    assert faults(said, heard, lobby[:-1]) == {Fault.LOST}


def test_catches_what_was_doubled() -> None:
    said, heard, lobby = story()
    assert Fault.DOUBLED in faults(said, heard, [*lobby, Entry(5, MINA, "mina 3")])


def test_catches_another_order() -> None:
    said, heard, lobby = story()
    heard[0].texts.reverse()
    assert faults(said, heard, lobby) == {Fault.READ_ORDER}
    said, heard, lobby = story()
    swapped = [lobby[0], lobby[2], lobby[1], lobby[3]]
    assert Fault.WRITER_ORDER in faults(said, heard, swapped)


@pytest.mark.parametrize(
    ("texts", "fault"),
    [
        (["mina 1", "mina 3"], Fault.UNREAD),
        (["mina 2"], Fault.UNREAD),
        (["mina 1", "mina 1"], Fault.READ_TWICE),
        (["mina 1", "what nobody said"], Fault.READ_DIFFERS),
    ],
)
def test_catches_what_a_stream_does_not_tell(texts: list[str], fault: Fault) -> None:
    said, heard, lobby = story()
    heard[0].texts[:] = texts
    assert faults(said, heard, lobby) == {fault}


def test_catches_an_open_stream_that_lags() -> None:
    said, heard, lobby = story()
    heard[1].texts.clear()
    assert faults(said, heard, lobby) == {Fault.UNREAD}


@pytest.mark.timeout(120)
async def test_users_come_through_a_kill(server: ServerProcess, seed: int) -> None:
    """One server that stands alone: its users log in anew, and nobody is signed out whose heart beat."""
    server.arguments = ["--classic"]
    wrong: list[str] = []
    await server.start()
    async with classic_crowd([server.target], 2, random.Random(seed), 20.0, wrong.append) as crowd:
        await crowd.go_on(0.0, 30.0)
        crowd.may_be_signed_out = True  # a server that stands alone knows no index of its last run
        server.kill()
        await server.start()
        await crowd.go_on(max(said.begun for said in crowd.said), 60.0)
        async with connect(server.target) as connection:
            reader = await sign_in(connection, "reader")
            assert await crowd.settle(lambda: stored_in(connection, reader, 1), 30.0) == []
    assert wrong == []
    assert crowd.logins == 4
    assert sum(said.taken for said in crowd.said) >= 4
