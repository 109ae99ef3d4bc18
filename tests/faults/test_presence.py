"""What is checked of presence: a server that is right passes, and what it shows wrongly is found."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from . import presence
from .people import connect
from .presence import LATEST, Presences
from .process import ServerProcess, eventually


@pytest.mark.timeout(90)
async def test_who_goes_is_seen_to_go(server: ServerProcess, seed: int) -> None:
    wrong: list[str] = []
    await server.start()
    async with (
        connect(server.target) as connection,
        Presences([("the node", connection)], random.Random(seed), Counter(), wrong.append) as presences,
    ):
        passers = await presences.disturb()
        await presences.leave(passers, 0.0)
        presences.calm()
        took = await presences.right()
    assert wrong == []
    assert took is not None
    assert took < LATEST


@pytest.mark.timeout(90)
async def test_a_ghost_and_an_absence_are_found(
    server: ServerProcess, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the truth that is turned here: the server shows the stream that there is."""
    monkeypatch.setattr(presence, "LATEST", 0.5)
    wrong: list[str] = []
    await server.start()
    async with (
        connect(server.target) as connection,
        Presences([("the node", connection)], random.Random(seed), Counter(), wrong.append) as presences,
    ):
        passers = await presences.disturb()
        passer = presences._passers[0]
        presences.calm()
        assert await presences.right() is not None
        passer.is_here(False)
        await eventually(lambda: any("passer-1 is shown as here, and is not" in each for each in wrong), "it is found")
        await presences.leave(passers, 0.0)
        await eventually(presences._is_right, "the passer has gone")
        passer.is_here(True)
        await eventually(lambda: any("passer-1 is not shown as here, and is" in each for each in wrong), "it is found")
