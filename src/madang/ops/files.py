"""Files that have to be whole: written, brought to the disk, and only then given their name."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

_PIECE = 1 << 20


def sync(path: Path) -> None:
    """Bring a file, or the names in a directory, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def digest(path: Path) -> tuple[str, int]:
    """The SHA-256 of a file, lower case hexadecimal, and its size in bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def copy(source: Path, target: Path) -> str:
    """Copy a file to one that is not there yet, readable by its owner alone, and to the disk; the SHA-256 of what was
    copied. Raises OSError.
    """
    read = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as into, source.open("rb") as file:
        while piece := file.read(_PIECE):
            read.update(piece)
            into.write(piece)
        into.flush()
        os.fsync(into.fileno())
    return read.hexdigest()


def create(path: Path, content: bytes = b"") -> None:
    """Make a file that is not there yet, readable by its owner alone, and bring it to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
