"""One server per data directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support import opened

from madang.storage.errors import StoreForeign, StoreLocked
from madang.storage.lock import DirectoryLock
from madang.storage.store import FILE_NAME

HOLD = """
import sys
from pathlib import Path
from madang.storage.lock import DirectoryLock
with DirectoryLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
TAKE = """
import sys
from pathlib import Path
from madang.storage.errors import StoreLocked
from madang.storage.lock import DirectoryLock
try:
    DirectoryLock(Path(sys.argv[1]))
except StoreLocked as error:
    print(error)
"""


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        said = subprocess.run([sys.executable, "-c", TAKE, tmp_path], capture_output=True, check=True, text=True).stdout
    assert f"process {os.getpid()}" in said
    assert str(tmp_path) in said


def test_the_lock_goes_with_its_process_however_that_ends(tmp_path: Path) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreLocked) as caught:
            DirectoryLock(tmp_path)
        assert caught.value.holder == str(holder.pid)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with DirectoryLock(tmp_path):
            assert (tmp_path / "madang.lock").read_text() == f"{os.getpid()}\n"


def test_a_longer_number_of_an_earlier_process_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "madang.lock").write_text("123456789012345678901234567890\n")
    with DirectoryLock(tmp_path):
        assert (tmp_path / "madang.lock").read_text() == f"{os.getpid()}\n"


async def test_a_second_store_in_the_same_process_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StoreLocked):
            async with opened(tmp_path):
                pass
    async with opened(tmp_path):
        pass


async def test_a_store_that_does_not_open_gives_the_directory_free(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("shopping list")
    with pytest.raises(StoreForeign):
        async with opened(tmp_path):
            pass
    with DirectoryLock(tmp_path):
        pass
