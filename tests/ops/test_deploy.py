"""The units for systemd: it understands them, and the commands in them are ours."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .command import parse

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted(DEPLOY.iterdir())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_understands_them(tmp_path: Path) -> None:
    for unit in UNITS:
        # The program is not installed where the units look for it.
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/madang/bin/madang", "/bin/true"))
    copies = [str(tmp_path / unit.name) for unit in UNITS]
    ended = subprocess.run(["systemd-analyze", "verify", "--man=no", *copies], capture_output=True, text=True)
    told = [line for line in (ended.stdout + ended.stderr).splitlines() if str(tmp_path) in line or "madang" in line]
    assert told == []


def test_their_commands_are_ours() -> None:
    text = "".join(unit.read_text() for unit in UNITS)
    lines = re.findall(r"/opt/madang/bin/madang ([^;\n\\]*)", text)
    assert len(lines) == 3
    for line in lines:
        parse(*line.replace('"', "").split())


def test_the_server_is_shut_in() -> None:
    text = (DEPLOY / "madang.service").read_text()
    for line in ("ProtectSystem=strict", "NoNewPrivileges=true", "CapabilityBoundingSet=", "Restart=on-failure"):
        assert f"\n{line}\n" in text
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > 10  # type: ignore[index]
