"""What a node does now and then, and what its log says of it when that fails."""

from __future__ import annotations

import asyncio
import logging

import pytest
from support import eventually

from madang.core.errors import NotPermitted, StorageUnavailable
from madang.node.chores import cancel, every


@pytest.mark.parametrize("error", [StorageUnavailable(problem="it is away"), RuntimeError("broken")])
async def test_a_chore_that_fails_is_told_once_and_when_it_works_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """It is tried again each time; a line for each of them would hide everything else."""
    done: list[bool] = []

    async def _sweep_up() -> None:
        done.append(len(done) >= 5)
        if not done[-1]:
            raise error

    chore = asyncio.create_task(every(0.001, _sweep_up))
    await eventually(lambda: done[-1:] == [True], "it works in the end")
    await eventually(lambda: "works again" in caplog.text, "that is told")
    await cancel(chore)
    lines = [record for record in caplog.records if record.name == "madang.node"]
    assert [line.levelno for line in lines] == [
        logging.WARNING if isinstance(error, StorageUnavailable) else logging.ERROR,
        logging.WARNING,
    ]
    assert "the chore 'sweep up' fails" in lines[0].getMessage()
    assert lines[1].getMessage().startswith("the chore 'sweep up' works again; it failed for ")


async def test_what_only_the_log_is_told_is_there(caplog: pytest.LogCaptureFixture) -> None:
    error = StorageUnavailable(problem="the database is away")
    error.detail = "Connection refused"

    async def tidy() -> None:
        raise error

    chore = asyncio.create_task(every(0.001, tidy))
    await eventually(lambda: caplog.text, "it is told")
    await cancel(chore)
    assert "the chore 'tidy' fails: the database is away (Connection refused)" in caplog.text
    assert NotPermitted(allowed="owners", action="do this").in_full == "only owners may do this"
