"""One server per data directory: an advisory lock that the kernel drops when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from madang.storage.errors import StoreLocked, StoreUnusable

LOCK_NAME = "madang.lock"


class DirectoryLock:
    """Holds `madang.lock` in a directory. Raises StoreLocked when somebody else does, StoreUnusable when it cannot."""

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_NAME
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnusable(directory, error.strerror or str(error)) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._file, 32, 0).decode(errors="replace").strip()
            os.close(self._file)
            raise StoreLocked(directory, holder) from None
        with suppress(OSError):  # who holds it is a courtesy: on a full disk the lock is good without
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the directory free."""
        os.close(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
