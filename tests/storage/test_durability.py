"""Stored before acknowledged: what SQLite is told, and what happens when it cannot write."""

from __future__ import annotations

import asyncio
import gc
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from support import PATIENCE, draft, names, opened, refused, sequences

from madang.core.errors import StorageUnavailable
from madang.core.models import LOBBY_ID
from madang.storage import messages
from madang.storage.database import SqliteDatabase
from madang.storage.store import FILE_NAME, Store
from madang.storage.transaction import Transaction
from madang.storage.writer import MAX_GROUP


def pragma(connection: sa.Connection, name: str) -> object:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


async def test_the_writer_waits_for_the_disk(sqlite: Store) -> None:
    def settings(transaction: Transaction) -> dict[str, object]:
        return {name: pragma(transaction.connection, name) for name in ("journal_mode", "synchronous")}

    assert await sqlite.write(settings) == {"journal_mode": "wal", "synchronous": 2}


async def test_the_readers_cannot_write(sqlite: Store) -> None:
    with refused(StorageUnavailable):
        await sqlite.read(lambda connection: connection.exec_driver_sql("DELETE FROM messages"))
    assert await sqlite.read(pragma, "query_only") == 1


async def test_what_was_acknowledged_is_in_the_file(sqlite: Store, tmp_path: Path) -> None:
    for number in range(5):
        await sqlite.append([draft(text=str(number))])
        with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME)) as other:
            assert other.execute("SELECT text FROM messages WHERE sequence = ?", (number + 1,)).fetchone() == (
                str(number),
            )


async def test_closing_folds_the_log_into_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.append([draft()])
    assert names(tmp_path) == [FILE_NAME, "madang.lock"]


async def test_a_file_that_somebody_else_writes_is_unavailable_and_then_is_not(tmp_path: Path) -> None:
    """Whoever was in the group is told; nothing of it is stored; the next group is stored as if nothing had been."""
    async with opened(tmp_path / "data") as store:
        await store.write(lambda transaction: pragma(transaction.connection, "busy_timeout=20"))
        with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answers = [store.append([draft(text=str(number))]) for number in range(3)]
            done = await asyncio.gather(*answers, return_exceptions=True)
            assert [type(error) for error in done] == [StorageUnavailable] * 3
            with pytest.raises(StorageUnavailable) as caught:
                await store.write(lambda _: None)
            assert str(caught.value) == "nothing was stored: the server cannot write its data file at the moment"
            assert caught.value.detail == "database is locked"
            assert await store.read(messages.head, LOBBY_ID) == 0, "reads go on"
            other.execute("ROLLBACK")
        assert sequences(await store.append([draft()])) == [1]


async def test_a_failure_that_nobody_waits_for_is_no_noise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The stream by which the drafts came is gone; the writer says what failed, and nothing else has to."""
    async with opened(tmp_path / "data") as store:
        await store.write(lambda transaction: pragma(transaction.connection, "busy_timeout=20"))
        with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            store.append([draft()])
            with refused(StorageUnavailable):
                await store.write(lambda _: None)
            other.execute("ROLLBACK")
        gc.collect()
    assert [record.name for record in caplog.records if record.name == "asyncio"] == []


async def test_what_waits_behind_a_failure_does_not_overtake_it(tmp_path: Path) -> None:
    """Drafts that were handed over later fail too, or they would be stored before those that are sent again."""
    async with opened(tmp_path / "data") as store:
        await store.write(lambda transaction: pragma(transaction.connection, "busy_timeout=20"))
        with closing(sqlite3.connect(tmp_path / "data" / FILE_NAME, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            few = [draft(text="x" * 16_000)] * 20
            answers = [store.append(few) for _ in range(10)]
            assert sum(len(one.text) for one in few) * len(answers) > 2 * MAX_GROUP, "more than one group"
            signing_in = asyncio.create_task(store.write(lambda transaction: transaction.now))
            await asyncio.sleep(0)
            answers[0].add_done_callback(lambda _: other.execute("ROLLBACK"))
            done = await asyncio.gather(*answers, return_exceptions=True)
            assert [type(error) for error in done] == [StorageUnavailable] * 10
            assert await signing_in, "what does not speak in a channel overtakes nobody"
        assert sequences(await store.append([draft()])) == [1]


FULL_DISK = """
import asyncio, json, resource, signal, sys
from pathlib import Path
from support import draft, opened, sequences
from madang.core.errors import StorageUnavailable
from madang.core.models import LOBBY_ID
from madang.storage import messages

async def send(store):
    try:
        return sequences(await store.append([draft(text="x" * 16000)]))[0]
    except StorageUnavailable as error:
        return str(error)

async def main(directory):
    told = []
    async with opened(Path(directory), lambda events: told.extend(events)) as store:
        before = [await send(store) for _ in range(3)]
        size = max(path.stat().st_size for path in Path(directory).iterdir())
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        during = [await send(store) for _ in range(3)]
        read = await store.read(messages.head, LOBBY_ID)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        after = [await send(store) for _ in range(2)]
        page = await store.read(messages.changed, LOBBY_ID, 0, 100, 2**40)
        stored = [message.sequence for message in page.messages]
    print(json.dumps([before, during, read, after, stored, [event.through for event in told]]))

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asyncio.run(main(sys.argv[1]))
"""


def test_a_file_that_cannot_grow_refuses_and_recovers_without_a_restart(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, tmp_path],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr
    before, during, read, after, stored, told = json.loads(done.stdout)
    assert before == [1, 2, 3]
    assert all(text.startswith("nothing was stored: ") for text in during)
    assert read == 3, "reads go on"
    assert after == [4, 5], "what was refused took no numbers"
    assert stored == told == [1, 2, 3, 4, 5], "and nobody was told of it"


async def test_a_database_is_closed_when_what_runs_is_done(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "x.db")
    running = asyncio.create_task(database.write(lambda connection: pragma(connection, "user_version")))
    await asyncio.sleep(0)
    await database.close()
    assert await running == 0
    with pytest.raises(RuntimeError):
        await database.read(lambda connection: pragma(connection, "user_version"))
