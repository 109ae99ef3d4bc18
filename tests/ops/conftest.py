"""A server process, and data that something happened in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults.process import ServerProcess

import madang
from madang.node import node


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says to whoever runs the tests is not for these."""
    for name in [name for name in os.environ if name.startswith("MADANG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("madang.node.config.SYSTEM_FILE", Path("/nonexistent/madang.toml"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is not started yet."""
    with ServerProcess(tmp_path / "data", tmp_path / "log") as process:
        yield process


@pytest.fixture
async def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of a server that was shut down: a few long messages in the lobby."""
    directory = tmp_path / "data"
    monkeypatch.setattr(node, "HAND_OVER", 0.0)
    async with (
        madang.Server(directory, limits=None) as running,
        madang.connect(running.target, handle="mina", live=False) as mina,
    ):
        for number in range(5):
            await mina.send("lobby", f"message {number} {'x' * 16_000}")
    return directory
