"""The short form: the server neither dies nor tells of its insides, whatever it is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from .calls import METHODS
from .campaign import run


def test_anything(tmp_path: Path) -> None:
    campaign = run(tmp_path, 2000)
    print(campaign.page())
    assert campaign.tried.total() >= 1900
    assert len(campaign.judge.by_method) > len(METHODS) * 0.9, "nearly every method was called"
    outcomes = campaign.judge.outcomes
    assert {"OK", "MALFORMED_REQUEST", "INVALID_FIELD", "TOKEN_MISSING", "TOKEN_INVALID", "UNIMPLEMENTED"} <= set(
        outcomes
    )
    assert outcomes["OK"] > campaign.tried["calls"] * 0.05, "inputs that only ever fail early test little"


def test_anything_with_limits(tmp_path: Path) -> None:
    campaign = run(tmp_path, 300, limits=True)
    assert campaign.tried.total() >= 250


@pytest.mark.parametrize("count", [1])
def test_the_smallest_run(tmp_path: Path, count: int) -> None:
    assert run(tmp_path, count).tried.total() == 20
