"""`madang backup`: a copy of the data file as it is at one moment, while the server goes on writing.

SQLite's online backup reads one snapshot: in WAL mode the writer does not wait for it, and everything that was
committed before it began, so everything that was acknowledged, is in it. The backup has another name until it is whole
and on disk.
"""

from __future__ import annotations

import datetime
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

from madang.ops import files, manifest
from madang.ops.manifest import BackupError, Manifest
from madang.ops.reading import reading
from madang.storage import migrate
from madang.storage.errors import StoreError
from madang.storage.store import FILE_NAME


def backup(data: Path, target: Path) -> Manifest:
    """Copy what is in a data directory to `target`, a directory that is not there yet, or empty.

    Raises BackupError; then there is nothing in `target`.
    """
    source = data / FILE_NAME
    _check_source(source)
    _check_target(target)
    partial = target.parent / f".{target.name}.partial-{os.getpid()}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir(mode=0o700)
        made = _copy(source, partial)
        files.create(partial / manifest.NAME, made.encode())
        files.sync(partial)
        partial.rename(target)  # takes the place of an empty directory
        files.sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise BackupError(f"the backup was not made: {_told(error)}; {target} is as it was") from error
    finally:
        with suppress(OSError):
            shutil.rmtree(partial)
    return made


def _check_source(source: Path) -> None:
    try:
        if migrate.check_file(source) is None:
            raise BackupError(f"there is no data in {source.parent}; say where it is with --data")
    except (StoreError, OSError, sqlite3.Error) as error:
        raise BackupError(f"the backup was not made: {_told(error)}") from error


def _check_target(target: Path) -> None:
    try:
        if target.is_symlink() or not target.name or (target.exists() and any(target.iterdir())):
            raise BackupError(f"{target} is there already; give each backup a directory of its own")
    except OSError as error:
        raise BackupError(f"the backup was not made: {_told(error)}") from None


def _copy(source: Path, directory: Path) -> Manifest:
    began = datetime.datetime.now(datetime.UTC)
    path = directory / FILE_NAME
    files.create(path)
    with (
        reading(source) as origin,
        closing(sqlite3.connect(path)) as copy,
    ):
        origin.backup(copy)  # all pages in one step: a copy that is begun anew at each write would never end
        (store_id,) = copy.execute("SELECT value FROM store_info WHERE key = 'store_id'").fetchone()
        (schema,) = copy.execute("SELECT version_num FROM alembic_version").fetchone()
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, whole in itself; a server takes up WAL again
    files.sync(path)
    sha256, size = files.digest(path)
    return Manifest(
        began.isoformat(timespec="milliseconds"), store_id, schema, version("madang"), FILE_NAME, sha256, size
    )


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
