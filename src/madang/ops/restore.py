"""`madang restore`: looks at a backup, and puts it into an empty data directory."""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

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


class Restored(NamedTuple):
    """What was put back: the backup, the store's new name, and how many sessions and codes were ended with it."""

    made: Manifest
    store_id: str
    ended: int


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


def restore(directory: Path, data: Path, *, end_sessions: bool = False) -> Restored:
    """Check a backup, and put it into a data directory that is empty or not there.

    `end_sessions`: nothing that opened a door then opens one now: no session, no token of a bot, no invite, no code for
    a new password. What was revoked after the backup would be good again.

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
            store_id, ended = _put(directory / made.file, made, data, end_sessions)
            return Restored(made, store_id, ended)
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


def _put(source: Path, made: Manifest, data: Path, end_sessions: bool) -> tuple[str, int]:
    partial = data / f"{FILE_NAME}.restoring-{os.getpid()}"
    store_id = str(uuid.uuid4())
    try:
        if files.copy(source, partial) != made.sha256:
            raise BackupError(f"{source} has changed since it was checked")
        with closing(sqlite3.connect(partial)) as connection, connection:
            connection.execute("UPDATE store_info SET value = ? WHERE key = ?", (store_id, STORE_ID))
            connection.execute("DELETE FROM store_info WHERE key = ?", (MOVED,))  # another store, with a way of its own
            ended = _end_sessions(connection) if end_sessions else 0
            _audit(connection, made, ended if end_sessions else None)
        files.sync(partial)
        partial.rename(data / FILE_NAME)
        files.sync(data)
    finally:
        for left in (partial, partial.with_name(f"{partial.name}-journal")):
            with suppress(FileNotFoundError):
                left.unlink()
    return store_id, ended


def _end_sessions(connection: sqlite3.Connection) -> int:
    """Revoke whatever lets somebody in; how much that was. A backup may be older than the codes."""
    ended, now = 0, _now()
    for table in _tables(connection) & {"sessions", "codes"}:
        # S608: one of these two names
        query = f"UPDATE {table} SET revoked_at = ? WHERE revoked_at IS NULL"  # noqa: S608
        ended += connection.execute(query, (now,)).rowcount
    return ended


def _audit(connection: sqlite3.Connection, made: Manifest, ended: int | None) -> None:
    """Have the audit log say that this history was put back; nobody did it over the API. A backup may be older."""
    if "audit_events" not in _tables(connection):
        return
    details = {"backup": made.created_at} | ({} if ended is None else {"ended": str(ended)})
    connection.execute(
        "INSERT INTO audit_events (created_at, actor_id, address, action, user_id, channel_id, details)"
        " VALUES (?, 0, '', 'server.restore', 0, 0, ?)",
        (_now(), json.dumps(details)),
    )


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _now() -> int:
    return time.time_ns() // 1000
