"""A server in a process of its own, and the seed of this run."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .process import ServerProcess


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is yet to be started, and that is gone afterwards."""
    with ServerProcess(tmp_path / "data", tmp_path / "log") as process:
        yield process


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that others may look into, with a short name: PostgreSQL runs as somebody else."""
    with tempfile.TemporaryDirectory(prefix="madang-faults-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture
def seed() -> int:
    """Printed, so that the random moments of a run that failed can be had again: MADANG_FAULT_SEED."""
    chosen = int(os.environ.get("MADANG_FAULT_SEED", random.randrange(10**6)))
    print(f"MADANG_FAULT_SEED={chosen}")
    return chosen
