"""kill -9 under load: every acknowledged message is there once, in order. MADANG_FAULT_ROUNDS says how often."""

from __future__ import annotations

import os

import pytest

from .kill import kill_rounds
from .process import ServerProcess

ROUNDS = int(os.environ.get("MADANG_FAULT_ROUNDS", "5"))

BROKEN = {"UNAVAILABLE", "INTERNAL Internal error from Core"}
"""What a client of grpc.aio meets when its connection breaks; the latter when it happens to be writing."""


@pytest.mark.timeout(60 + 20 * ROUNDS)
async def test_nothing_is_lost(server: ServerProcess, seed: int) -> None:
    outcome = await kill_rounds(server, ROUNDS, seed)
    print(outcome.table())
    assert not outcome.verdict.findings, str(outcome.verdict)
    assert set(outcome.totals.errors) <= BROKEN, "the server answered with errors after a restart"
    assert outcome.totals.acknowledged > 50 * ROUNDS
    assert "Traceback" not in server.output
