"""A server's wall clock, to be set while the server runs. Needs a C compiler; see clock.c."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("clock.c")


def can_set() -> bool:
    """Whether clocks can be set here: there is a compiler."""
    return shutil.which("cc") is not None


def build(directory: Path) -> Path:
    """Compile the library that servers are started with."""
    library = directory / "clock.so"
    line = ["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


class Clock:
    """The clock of one server."""

    def __init__(self, library: Path, file: Path) -> None:
        """`file`: where its offset stands; made."""
        self._library = library
        self._file = file
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """With what its server is started."""
        return {"LD_PRELOAD": str(self._library), "MADANG_TEST_CLOCK": str(self._file)}

    def set(self, seconds: float) -> None:
        """Let it be wrong by so many seconds from now on; 0: right."""
        with self._file.open("r+b" if self._file.exists() else "wb", buffering=0) as file:
            file.write(struct.pack("=q", int(seconds * 1_000_000)))
