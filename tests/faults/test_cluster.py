"""Three nodes, PostgreSQL and NATS, under load and faults: the short form of `python -m tests.faults.cluster`."""

from __future__ import annotations

from pathlib import Path

import pytest
from parts.postgres import execute

from . import page
from .checker import Fault
from .cluster import PAUSE, run
from .load import Crowd, under_load
from .nodes import Cluster

FAULTS = 10
MINUTES = 0.6


@pytest.mark.timeout(400)
async def test_keeps_its_promises(place: Path, seed: int) -> None:
    result = await run(seed, MINUTES, FAULTS, place, short=True, log=True)
    print(page.render(result))
    assert not result.findings.findings, str(result.findings)
    assert len(result.faults) == FAULTS
    assert result.totals.acknowledged > 1000
    killed = [recovery.killed for step, recovery in result.steps if recovery.killed is not None and len(step) == 1]
    assert all(pause < PAUSE for pause in killed)


@pytest.mark.timeout(120)
async def test_what_breaks_a_promise_is_found(place: Path, seed: int) -> None:
    """One message that was acknowledged becomes another one, in the database, behind the nodes' back."""
    crowd = Crowd(readers=2, sdk=1, channels=1, pace=20)
    async with Cluster(place) as cluster, under_load(cluster.target, seed, crowd) as load:
        await load.goes_on()
        lost, doubled = [sent for sent in load.history.sends if sent.acknowledged][:2]
        change = f"SET author_id = {doubled.author_id}, text = '{doubled.text}'"
        where = f"channel_id = {lost.channel_id} AND sequence = {lost.places[0]}"
        await execute(cluster.postgres.url("madang"), f"UPDATE messages {change} WHERE {where}")
        verdict = await load.settle()
    found = {finding.fault for finding in verdict.findings}
    print(verdict)
    assert found - {Fault.WRITER_ORDER} == {Fault.LOST, Fault.DOUBLED, Fault.READ_DIFFERS}
