"""Data files that are read, by whomever, while a server may use them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads. Raises sqlite3.Error.

    A reader of a file in WAL mode makes a log and an index beside it, and cannot take them away. So whoever may write
    closes the file once more: SQLite then takes an empty log away, unless a server, or anybody else, has it open.
    """
    uri = path.absolute().as_uri()
    try:
        with closing(sqlite3.connect(f"{uri}?mode=ro", uri=True)) as connection:
            yield connection
    finally:
        with suppress(OSError, sqlite3.Error):
            if path.with_name(f"{path.name}-wal").stat().st_size == 0:
                with closing(sqlite3.connect(f"{uri}?mode=rw", uri=True)) as last:
                    last.execute("SELECT count(*) FROM sqlite_master").fetchone()
