"""The kill test itself: it finds lost and doubled messages when the data of the killed server has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .checker import Fault
from .kill import kill_rounds
from .process import ServerProcess
from .sabotage import forget_commits, forget_request_ids


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (forget_commits, {Fault.LOST, Fault.MISPLACED, Fault.RESET, Fault.READ_DIFFERS, Fault.WRITER_ORDER}),
        (forget_request_ids, {Fault.DOUBLED, Fault.MISPLACED}),
    ],
)
async def test_is_found(server: ServerProcess, seed: int, damage: Callable[[Path], None], expected: set[Fault]) -> None:
    outcome = await kill_rounds(server, 1, seed, meanwhile=damage)
    found = {finding.fault for finding in outcome.verdict.findings}
    print(outcome.verdict)
    assert found & expected == found
    assert found
