"""Ports that stay free for who was given them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .ports import free_port, free_ports

OTHERS = """
from parts.ports import free_ports
print(*[port for _ in range(30) for port in free_ports(7)])
"""


def test_no_other_process_is_given_them() -> None:
    own = {free_port() for _ in range(150)}
    assert len(own) == 150, "each once, for a long time"
    tests = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", OTHERS], cwd=tests, capture_output=True, text=True, check=True)
    assert own.isdisjoint(map(int, done.stdout.split()))


def test_they_are_in_a_row_and_not_the_systems() -> None:
    for count in (1, 2, 70):
        ports = free_ports(count)
        assert len(ports) == count
        assert 10_000 <= ports[0] <= ports[-1] < 32_768
