"""`madang restore`: looks at a backup, and puts it into an empty data directory."""

from __future__ import annotations

import os
import sqlite3
import uuid
from contextlib import closing, suppress
from pathlib import Path

from madang.ops import files
from madang.ops.certificates import CERT_NAME, KEY_NAME
from madang.ops.manifest import BackupError, Manifest
from madang.ops.verify import Contents, verify
from madang.storage import migrate
from madang.storage.errors import StoreError
from madang.storage.lock import LOCK_NAME, DirectoryLock
from madang.storage.marks import MOVED, STORE_ID
from madang.storage.store import FILE_NAME

MAY_BE_THERE = frozenset({LOCK_NAME, "madang.toml", CERT_NAME, KEY_NAME, "lost+found"})
"""What a data directory may hold and still count as empty: what an administrator puts there first."""


def check(directory: Path) -> tuple[Manifest, Contents]:
    """See whether a backup is whole: its manifest, its checksum, its database and its sequences. Raises BackupError."""
    made = Manifest.read(directory)
    path = directory / made.file
    try:
        sha256, size = files.digest(path)
        if (sha256, size) != (made.sha256, made.size):
            raise BackupError(f"{path} is damaged: it is not the file that the backup wrote (its SHA-256 differs)")
        revision = migrate.check_file(path)
        if revision != made.schema:
            raise BackupError(f"{path} has the schema {revision}, and its manifest says {made.schema}")
        contents = verify(path)
    except (OSError, sqlite3.Error, StoreError) as error:
        raise BackupError(f"cannot read the backup: {error}") from error
    if contents.problems:
        raise BackupError(f"the backup is damaged: {'; '.join(contents.problems)}")
    return made, contents


def restore(directory: Path, data: Path) -> tuple[Manifest, str]:
    """Check a backup, and put it into a data directory that is empty or not there; the manifest, and the new store_id.

    The store gets a new name: its numbers may be given again, to other messages, so a position that somebody kept from
    the history that was lost must not be taken for one in this history. Clients then start over by themselves.
    Raises BackupError; then the data directory is as it was.
    """
    made, _ = check(directory)
    _refuse_live(data)
    _refuse_full(data)
    try:
        with DirectoryLock(data):
            _refuse_full(data)  # a server may have come and gone meanwhile
            return made, _put(directory / made.file, made, data)
    except StoreError as error:
        raise BackupError(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"the backup was not put back: {error}") from error


def _refuse_live(data: Path) -> None:
    """Before anything is made in a directory that may be somebody's."""
    if (data / LOCK_NAME).exists():
        try:
            DirectoryLock(data).release()
        except StoreError as error:
            raise BackupError(str(error)) from error


def _refuse_full(data: Path) -> None:
    try:
        found = sorted(set(os.listdir(data)) - MAY_BE_THERE)
    except FileNotFoundError:
        return
    except OSError as error:
        raise BackupError(f"cannot use {data}: {error.strerror or error}") from None
    if found:
        raise BackupError(f"{data} is not empty: {found[0]} is there. Restore into a new directory, or move it away")


def _put(source: Path, made: Manifest, data: Path) -> str:
    partial = data / f"{FILE_NAME}.restoring-{os.getpid()}"
    store_id = str(uuid.uuid4())
    try:
        if files.copy(source, partial) != made.sha256:
            raise BackupError(f"{source} has changed since it was checked")
        with closing(sqlite3.connect(partial)) as connection, connection:
            connection.execute("UPDATE store_info SET value = ? WHERE key = ?", (store_id, STORE_ID))
            connection.execute("DELETE FROM store_info WHERE key = ?", (MOVED,))  # another store, with a way of its own
        files.sync(partial)
        partial.rename(data / FILE_NAME)
        files.sync(data)
    finally:
        for left in (partial, partial.with_name(f"{partial.name}-journal")):
            with suppress(FileNotFoundError):
                left.unlink()
    return store_id
