"""What would break the promises, done to the data of a killed server: the tests have to find it."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from pathlib import Path

FILE = "madang.db"
COMMITS = 5


def forget_commits(data: Path) -> None:
    """Cut the last commits off the write-ahead log, as if they had never reached the disk.

    The format is SQLite's ("The Database File Format", 4.1): a header of 32 bytes, then frames of a header of 24 bytes
    and a page. A frame is valid while its salt is the header's; one that ends a commit has a size in it.
    """
    log = data / f"{FILE}-wal"
    raw = log.read_bytes()
    page_size, salt = struct.unpack(">I", raw[8:12])[0], raw[16:24]
    frame = 24 + page_size
    commits = [32]
    for start in range(32, len(raw) - frame + 1, frame):
        if raw[start + 8 : start + 16] != salt:
            break
        if raw[start + 4 : start + 8] != bytes(4):
            commits.append(start + frame)
    log.write_bytes(raw[: commits[-1 - COMMITS] if len(commits) > COMMITS else 32])


def forget_request_ids(data: Path) -> None:
    """Take away the key that lets a repeated message be found."""
    with closing(sqlite3.connect(data / FILE)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'messages' AND sql LIKE ?"
        for (name,) in connection.execute(query, ("%request_id%",)).fetchall():
            connection.execute(f"DROP INDEX {name}")
        connection.commit()
