"""Bring a store to this version's schema, or say why that cannot be. Of a data file a copy is put aside before."""

from __future__ import annotations

import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from madang.storage import marks
from madang.storage.errors import StoreForeign, StoreNewer, StoreUnusable
from madang.storage.schema import store_info

HEAD = "0003"
"""The revision that this version's schema has; a test holds it to the newest migration."""

SERVES = "0002"
"""The oldest revision whose code can work with this version's schema: nodes of the version before go on, and may be
started again, while a cluster is brought up to date. Only a step that takes something away moves it."""

APPLICATION_ID = 0x4D414447
"""The mark of our files in SQLite's header: "MADG"."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_SERVES_KEY = "schema_serves"
_FILE_HEADER = b"SQLite format 3\x00"


def check_file(path: Path) -> str | None:
    """The revision of an existing data file; None for one that is yet to be made.

    Raises StoreForeign for a file that is not ours, StoreNewer for one that is from a newer version, and
    sqlite3.OperationalError where the system fails. Reads only.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    with path.open("rb") as file:
        if file.read(len(_FILE_HEADER)) != _FILE_HEADER:
            raise StoreForeign(path, "it is not an SQLite file")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (mark,) = connection.execute("PRAGMA application_id").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables and mark in (0, APPLICATION_ID):
                return None
            if mark != APPLICATION_ID or "alembic_version" not in tables:
                raise StoreForeign(path, "it is the SQLite file of another program")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if row is None:
                raise StoreForeign(path, "it does not say which schema it has")
    except sqlite3.OperationalError:  # it cannot be read now, whosever it is
        raise
    except sqlite3.DatabaseError as error:
        raise StoreForeign(path, str(error)) from error
    revision = str(row[0])
    if revision > HEAD:
        raise StoreNewer(path, revision, HEAD)
    return revision


def copy_aside(path: Path, revision: str) -> Path:
    """Copy a data file, with whatever its write-ahead log holds, to `NAME.schema-REVISION`; the copy's path."""
    target = path.with_name(f"{path.name}.schema-{revision}")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    target.chmod(0o600)
    return target


def load() -> None:
    """Import what migrating needs: it takes a while."""
    from alembic import command  # noqa: F401


def upgrade(connection: sa.Connection, now: int) -> None:
    """Run the migrations that are missing, in the connection's transaction. `now`: microseconds."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["now"] = now
    command.upgrade(config, "head")


def note_whom_it_serves(connection: sa.Connection) -> None:
    """Leave word for nodes of earlier versions. See SERVES."""
    connection.execute(sa.delete(store_info).where(store_info.c.key == _SERVES_KEY))
    connection.execute(sa.insert(store_info).values(key=_SERVES_KEY, value=SERVES))


def serves_us(connection: sa.Connection) -> bool:
    """Whether a newer version, which made the schema what it is, says that this one can work with it."""
    oldest = connection.execute(sa.select(store_info.c.value).where(store_info.c.key == _SERVES_KEY)).scalar()
    return oldest is not None and str(oldest) <= HEAD


def store_id(connection: sa.Connection) -> str | None:
    """The store's name; None when it has none yet."""
    return marks.read(connection).get(marks.STORE_ID)


def name_store(connection: sa.Connection, where: Path | str) -> str:
    """The store's name, given now if it has none. Raises StoreUnusable when `madang move` is at it, or was."""
    kept = marks.read(connection)
    problem = marks.why_not(kept)
    if problem:
        raise StoreUnusable(where, problem)
    found = kept.get(marks.STORE_ID)
    if found is None:
        found = str(uuid.uuid4())
        connection.execute(sa.insert(store_info).values(key=marks.STORE_ID, value=found))
    return found
