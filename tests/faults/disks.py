"""Two ways to let a server run out of space: a small file system of its own, and a limit on the size of its files."""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

SIZE_MB = 16
BLOCK = 64 * 1024
LIMIT = 64 * 1024
"""Of a limited file, bytes: less than the schema needs, more than what is no data (the lock, the log's index)."""


class Disk(Protocol):
    """Where a server keeps its data."""

    path: Path

    def fill(self, pid: int) -> None:
        """From now on the server cannot write."""
        ...

    def free(self, pid: int) -> None:
        """Now it can again. `pid` is 0 when there is no server."""
        ...


class SmallDisk:
    """A tmpfs, filled with ballast: writes fail with ENOSPC."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self, pid: int) -> None:
        """See Disk."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (BLOCK, 1):  # whole blocks, then to the last byte
                self._write_all(file.fileno(), size)

    def free(self, pid: int) -> None:
        """See Disk."""
        self._ballast.unlink()

    def _write_all(self, file: int, size: int) -> None:
        try:
            while os.write(file, b"x" * size):
                pass
        except OSError:
            return


class ShrinkingDisk:
    """A tmpfs that becomes as small as what is on it: writes fail with ENOSPC, without a byte of ballast."""

    def __init__(self, path: Path, size_mb: int) -> None:
        self.path = path
        self._size = size_mb * 1024 * 1024

    def fill(self) -> None:
        """From now on nothing can be added."""
        for _ in range(100):  # somebody writes at the same moment
            stat = os.statvfs(self.path)
            if _resize(self.path, (stat.f_blocks - stat.f_bfree) * stat.f_frsize):
                return
        raise AssertionError("the disk cannot be made small")

    def free(self) -> None:
        """Now there is space again."""
        assert _resize(self.path, self._size)


class FileLimit:
    """A limit on the size of the files that the process writes: writes fail with EFBIG."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, pid: int) -> None:
        """See Disk."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))

    def free(self, pid: int) -> None:
        """See Disk."""
        if pid:  # else it ended, and its limit with it
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@cache
def can_mount() -> bool:
    """Whether this process may mount a file system."""
    with tempfile.TemporaryDirectory(prefix="madang-mount-") as directory:
        if not _mount(Path(directory)):
            return False
        _unmount(Path(directory))
        return True


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A file system of SIZE_MB at this path, which is made. Gone in the end."""
    path.mkdir()
    assert _mount(path)
    try:
        yield SmallDisk(path)
    finally:
        _unmount(path)


@contextmanager
def shrinking_disk(path: Path, size_mb: int) -> Iterator[ShrinkingDisk]:
    """A file system of this size over this directory, which is empty. Gone in the end."""
    assert _mount(path, size_mb)
    try:
        yield ShrinkingDisk(path, size_mb)
    finally:
        _unmount(path)


def _resize(path: Path, size: int) -> bool:
    line = ["mount", "-o", f"remount,size={size}", str(path)]
    return subprocess.run(line, capture_output=True).returncode == 0


def _mount(path: Path, size_mb: int = SIZE_MB) -> bool:
    if os.geteuid() != 0:
        return False
    line = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "madang-test", str(path)]
    try:
        return subprocess.run(line, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _unmount(path: Path) -> None:
    subprocess.run(["umount", "--lazy", str(path)], check=True, capture_output=True)
