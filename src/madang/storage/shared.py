"""Opening a PostgreSQL database that many nodes share: waits for it, looks whether it is one of ours and good for it,
and makes or migrates its tables; of nodes that start together one does.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from madang.core.errors import StorageUnavailable
from madang.storage import migrate
from madang.storage.errors import StoreForeign, StoreNewer, StoreUnusable
from madang.storage.locks import MIGRATIONS, turn
from madang.storage.postgres import IDLE_WITHIN, PostgresDatabase, Unconnected

OLDEST_SERVER = 14
TRY_EVERY = 0.5
TELL_EVERY = 5.0

ALONE = (
    "SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; "
    f"SET LOCAL idle_in_transaction_session_timeout = '60s'; {turn(MIGRATIONS)}"
)
"""How a transaction begins that makes or changes tables: as long as it takes, and one at a time."""
_PASSWORD = frozenset({"28P01", "28000"})
_NO_DATABASE = "3D000"
_PROTOCOL = "08P01"

_log = logging.getLogger("madang.storage")


async def open_database(url: str, connections: int, wait: float, now: int) -> tuple[PostgresDatabase, str]:
    """The database, with this version's schema, and the store's id. Waits up to `wait` seconds for one that is not
    there, or cannot be written yet. `now`: microseconds. Raises StoreError.
    """
    database = PostgresDatabase(url, connections)
    place = f"the database {database.place}"
    try:
        await reach(database, place, wait)
        try:
            return database, await _set_up(database, url, place, now)
        except (StorageUnavailable, DBAPIError) as error:
            problem = _told(error) if isinstance(error, StorageUnavailable) else error.orig
            raise StoreUnusable(place, str(problem)) from error
    except BaseException:
        await database.close()
        raise


async def look_at(url: str) -> tuple[str, str | None]:
    """What the database is called, and the revision of its schema; None when it is empty. Changes nothing, waits for
    nothing. Raises StoreError.
    """
    database = PostgresDatabase(url, 2)
    place = f"the database {database.place}"
    try:
        problem = await _problem(database, place)
        if problem is not None:
            raise StoreUnusable(place, problem)
        return place, await database.read(partial(_revision, place))
    except StorageUnavailable as error:
        raise StoreUnusable(place, _told(error)) from error
    finally:
        await database.close()


async def reach(database: PostgresDatabase, place: str, wait: float) -> None:
    """Return when the database can be written. Raises StoreUnusable when that takes too long, or waiting is no use."""
    loop = asyncio.get_running_loop()
    end, told = loop.time() + wait, -TELL_EVERY
    while True:
        problem = await _problem(database, place)
        rest = end - loop.time()
        if problem is None:
            return
        if rest <= 0:
            raise StoreUnusable(place, f"{problem}; waited {wait:g} s for it")
        if loop.time() - told >= TELL_EVERY:
            told = loop.time()
            _log.warning("waiting for %s, %.0f s more: %s", place, rest, problem)
        await asyncio.sleep(min(TRY_EVERY, rest))


async def _problem(database: PostgresDatabase, place: str) -> str | None:
    """Why the database cannot be written yet; None when it can. Raises StoreUnusable for what will not pass."""
    try:
        await database.connect()
        if await database.changes_hands():
            raise StoreUnusable(
                place,
                "something between runs each transaction over another connection, as PgBouncer does in transaction "
                "mode: what a node sets for its connections would be lost. Connect to PostgreSQL itself, or see "
                "docs/operations.md for PgBouncer in session mode",
            )
        return await database.read(partial(_look_at_server, place))
    except Unconnected as error:
        if error.is_passing and not _is_pooler(error):
            return str(error)
        raise StoreUnusable(place, _refusal(error)) from error
    except StorageUnavailable as error:
        return _told(error)


def _told(error: StorageUnavailable) -> str:
    """What an operator is told: what the database said."""
    return error.detail or str(error)


def _refusal(error: Unconnected) -> str:
    """Why nobody may connect, and what to do about it."""
    if error.state in _PASSWORD:
        return f"it does not let this user in: {error}"
    if error.state == _NO_DATABASE:
        return f"{error}; make it first: createdb"
    if _is_pooler(error):
        return (
            f"{error}. That is what PgBouncer answers: connect to PostgreSQL itself (a node keeps few connections, "
            "and keeps them), or see docs/operations.md for PgBouncer in session mode"
        )
    return str(error)


def _is_pooler(error: Unconnected) -> bool:
    return error.state == _PROTOCOL or "startup parameter" in str(error)


def _look_at_server(place: str, connection: sa.Connection) -> str | None:
    """See what kind of server it is. Raises StoreUnusable; says what may pass: it is read-only now."""
    names = (
        "server_version_num",
        "server_encoding",
        "transaction_read_only",
        "idle_in_transaction_session_timeout",
        "fsync",
    )
    columns = [sa.func.current_setting(name) for name in names]
    version, encoding, read_only, idle, fsync = connection.execute(sa.select(*columns)).one()
    if int(version) < OLDEST_SERVER * 10_000:
        raise StoreUnusable(place, f"it is PostgreSQL {int(version) // 10_000}, and {OLDEST_SERVER} or newer is needed")
    if encoding != "UTF8":
        raise StoreUnusable(place, f"its encoding is {encoding}, and UTF8 is needed: createdb --encoding UTF8")
    if idle != f"{IDLE_WITHIN:g}s":
        raise StoreUnusable(
            place,
            "the timeouts that a node asks for do not arrive: something between drops them, as PgBouncer does with "
            "ignore_startup_parameters. Connect to PostgreSQL itself, or see docs/operations.md",
        )
    if connection.execute(sa.select(sa.func.pg_is_in_recovery())).scalar_one():
        return "it is a standby, and cannot be written"
    if read_only == "on":
        return "it is read-only (default_transaction_read_only)"
    if fsync == "off":
        _log.warning("%s runs with fsync=off: a crash of its machine loses messages that were acknowledged", place)
    return None


async def _set_up(database: PostgresDatabase, url: str, place: str, now: int) -> str:
    """Make this version's tables, if they are not there. The store's id."""
    revision = await database.read(partial(_revision, place))
    if revision == migrate.HEAD:
        found = await database.read(migrate.store_id)
        if found is not None:
            return found
    await asyncio.to_thread(migrate.load)  # takes a while, and a transaction that is idle for long is ended
    patient = PostgresDatabase(url, 1, patient=True)
    try:
        return await patient.write(partial(_migrate, place, now), ALONE)
    finally:
        await patient.close()


def _migrate(place: str, now: int, connection: sa.Connection) -> str:
    """One node at a time; who comes second finds it done."""
    revision = _revision(place, connection)
    if revision != migrate.HEAD:
        _log.info("%s: from schema %s to %s", place, revision or "nothing", migrate.HEAD)
        migrate.upgrade(connection, now)
        migrate.note_whom_it_serves(connection)
    return migrate.name_store(connection, place)


def _revision(place: str, connection: sa.Connection) -> str | None:
    """The revision of the database's schema; None when there are no tables. One of a newer version counts as ours when
    it says that it serves us. Raises StoreForeign, StoreNewer.
    """
    tables = set(sa.inspect(connection).get_table_names())
    if "alembic_version" not in tables or "store_info" not in tables:
        if tables:
            raise StoreForeign(place, f"it has tables of another program ({sorted(tables)[0]}); give it its own")
        return None
    revision = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if revision is None:
        raise StoreForeign(place, "it does not say which schema it has")
    if str(revision) > migrate.HEAD:
        if not migrate.serves_us(connection):
            raise StoreNewer(place, str(revision), migrate.HEAD)
        return migrate.HEAD
    return str(revision)
