"""`madang move`: from SQLite to a real PostgreSQL; every row, broken off and taken up again, and under a reader."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from faults.process import ServerProcess, environment, eventually
from parts.postgres import Databases, Postgres

import madang as sdk
from madang.core.models import ChannelKind
from madang.ops import move as moving
from madang.ops.backup import backup
from madang.ops.move import Moved, MoveError, move
from madang.ops.restore import restore
from madang.ops.tables import TABLES, in_batches
from madang.storage.errors import StoreUnusable
from madang.storage.lock import DirectoryLock
from madang.storage.schema import metadata
from madang.storage.shared import open_database

from .command import madang, run

PASSWORD = "nine lives of a cat"  # noqa: S105
NOW = 1_700_000_000_000_000


@pytest.fixture
async def target(databases: Databases) -> str:
    """An empty database."""
    return await databases.new()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A server that a test may restart."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


async def _live(target: str, invite: str) -> None:
    """Something of everything that a store can keep."""
    async with await sdk.register(target, "mina", PASSWORD, invite=invite) as mina:
        code = (await mina.admin.create_invite(uses=5)).code
        async with (
            await sdk.register(target, "nari", PASSWORD, invite=code) as nari,
            await sdk.register(target, "gone", PASSWORD, invite=code) as gone,
            sdk.connect(target, handle="손님") as guest,
        ):
            await mina.create_channel("부엌", "what we cook 🍲")
            await mina.create_channel("cellar", kind=ChannelKind.PRIVATE)
            for one in (nari, gone):
                await one.join("부엌")
            for number in range(40):
                await nari.send("부엌", f"dish {number}\n\t“salt”, 소금 🧂")
            said = await gone.send("부엌", "I was here")
            await guest.send("lobby", "hello")
            await mina.open_direct("nari")
            await mina.mark_read("부엌", said.sequence)
            await nari.report("부엌", said.sequence, "why?")
            await mina.mute_member("부엌", "nari", 60)
            await mina.ban_member("부엌", guest.me.user_id, "too loud")
            await mina.admin.ban(guest.me.user_id, "spam", seconds=3600)
            bot = await mina.create_bot("butler")
            await mina.create_bot_token(bot.user_id, name="door")
            await mina.admin.set_bot_limits(bot.user_id, 3, 9)
            await mina.update_channel("부엌", slow_mode=2, read_only=True)
            await mina.admin.reset_password("nari")
            await gone.delete_account(PASSWORD, messages="erase")


@pytest.fixture(scope="module")
async def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with something in every table, made once."""
    directory = tmp_path_factory.mktemp("kept") / "data"
    async with sdk.Server(directory, limits=None, password_time=1, password_memory=8, password_lanes=1) as server:
        await _live(server.target, await server.first_invite() or "")
    return directory


@pytest.fixture
def data(kept: Path, tmp_path: Path) -> Path:
    """The data file of a copy of it."""
    return Path(shutil.copytree(kept, tmp_path / "data")) / "madang.db"


def fill(path: Path, count: int) -> None:
    """So many messages more, in a channel of their own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO channels (channel_id, name, name_key, topic, kind, owner_id, sequence, created_at) "
            "VALUES (900, 'attic', 'attic', '', 2, 1, ?, 1)",
            (count,),
        )
        connection.executemany(
            "INSERT INTO messages (channel_id, sequence, version, author_id, created_at, content, text, request_id) "
            "VALUES (900, ?, ?, 1, 1, 1, ?, ?)",
            ((n, n, f"box {n}", n.to_bytes(16, "big")) for n in range(1, count + 1)),
        )


def rows_here(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in a data file."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: sorted(connection.execute(f"SELECT {_columns(name)} FROM {name}").fetchall(), key=repr)  # noqa: S608
            for name in metadata.tables
        }


async def rows_there(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in a database. Truth as SQLite has it."""
    async with connected(url) as connection:
        return {
            name: sorted(
                (
                    tuple(int(value) if isinstance(value, bool) else value for value in row)
                    for row in await connection.fetch(f"SELECT {_columns(name)} FROM {name}")  # noqa: S608
                ),
                key=repr,
            )
            for name in metadata.tables
        }


def _but_marks(rows: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """The tables that are the same on both sides. What a store says about itself is looked at by name."""
    return {name: found for name, found in rows.items() if name != "store_info"}


def _columns(name: str) -> str:
    return ", ".join(column.name for column in metadata.tables[name].columns)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def moved(path: Path, url: str, tell: Callable[[str], None] = lambda line: None) -> Moved:
    return await move(path, url, tell, NOW)


async def test_every_row_and_every_number(data: Path, target: str) -> None:
    before = rows_here(data)
    assert all(before.values()), f"nothing in {[name for name, rows in before.items() if not rows]}"
    told: list[str] = []
    result = await moved(data, target, told.append)
    assert _but_marks(await rows_there(target)) == _but_marks(before)
    assert result.rows == {name: len(rows) for name, rows in before.items() if name != "store_info"}
    there = dict((await rows_there(target))["store_info"])
    assert there["store_id"] == dict(before["store_info"])["store_id"] == result.store_id
    assert not there.keys() & {"moving", "moved_to"}
    assert len([line for line in told if "the same on both sides" in line]) == len(TABLES)
    with closing(sqlite3.connect(data)) as connection:
        given = dict(connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall())
    async with connected(target) as connection:
        for table in TABLES:
            if table.counter is not None:
                following = await connection.fetchval(
                    "SELECT nextval(pg_get_serial_sequence($1, $2))", table.name, table.counter
                )
                assert following == given[table.name] + 1, table.name
    again = await moved(data, target)
    assert again.again
    assert again.store_id == result.store_id


async def test_numbers_of_rows_that_are_gone_are_not_given_again(data: Path, target: str) -> None:
    with closing(sqlite3.connect(data)) as connection, connection:
        connection.execute("DELETE FROM reports")
        connection.execute("UPDATE sqlite_sequence SET seq = 77 WHERE name = 'reports'")
    await moved(data, target)
    async with connected(target) as connection:
        assert await connection.fetchval("SELECT nextval(pg_get_serial_sequence('reports', 'report_id'))") == 78


async def test_the_first_number_of_a_table_without_rows_is_one(data: Path, target: str) -> None:
    with closing(sqlite3.connect(data)) as connection, connection:
        connection.execute("DELETE FROM reports")
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'reports'")
    await moved(data, target)
    async with connected(target) as connection:
        assert await connection.fetchval("SELECT nextval(pg_get_serial_sequence('reports', 'report_id'))") == 1


class BrokenOffError(Exception):
    """Raised in the middle."""


async def begun(path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """A move that was broken off in the middle of the messages; how many are there."""

    def stop(line: str) -> None:
        if line.startswith("messages: ") and "%" in line:
            raise BrokenOffError

    with monkeypatch.context() as patched:
        patched.setattr(moving, "TELL_EVERY", 0.0)
        with pytest.raises(BrokenOffError):
            await moved(path, url, stop)
    async with connected(url) as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM messages")
        assert await connection.fetchval("SELECT count(*) FROM users") == 0
    return count


@pytest.mark.parametrize("how", ["kill", "interrupt"])
async def test_it_goes_on_where_it_stopped(how: str, data: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number, code = (signal.SIGKILL, -signal.SIGKILL) if how == "kill" else (signal.SIGINT, 130)
    await _stopped_twice(data, target, monkeypatch, code, lambda process: process.send_signal(number))


async def test_it_goes_on_after_a_restart_of_the_database(
    data: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _stopped_twice(
        data, postgres.url("postgres"), monkeypatch, 1, lambda process: postgres.restart(immediate=True)
    )


async def _stopped_twice(
    data: Path, target: str, monkeypatch: pytest.MonkeyPatch, code: int, stop: Callable[[Process], None]
) -> None:
    """It is broken off, and once more by `stop`, in a process that then ends with `code`; the third time ends well."""
    fill(data, 20_000)
    before = rows_here(data)
    first = await begun(data, target, monkeypatch)
    assert 0 < first < len(before["messages"])
    async with connected(target) as holder:
        # It waits for this table when all of the messages are there, and is broken off a second time.
        held = holder.transaction()
        await held.start()
        await holder.execute("LOCK TABLE reports IN ACCESS EXCLUSIVE MODE")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "madang", "move", f"sqlite:///{data.parent}", target),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
        )
        await eventually(lambda: _waits(target), "it waits for the lock")
        stop(process)
        out, err = await process.communicate()
    assert process.returncode == code, err.decode()
    assert b"Traceback" not in err
    if code > 0:
        assert b"goes on where it stopped" in err
    assert b"going on with the move" in out
    with closing(sqlite3.connect(data)) as connection:
        assert connection.execute("SELECT count(*) FROM store_info WHERE key = 'moved_to'").fetchone() == (0,)
    await eventually(lambda: _nobody(target), "PostgreSQL has noticed that it is gone")
    ended = await madang("move", f"sqlite:///{data}", MADANG_DATABASE=target)
    assert ended.code == 0, ended.err
    assert f"moved {sum(len(rows) for name, rows in before.items() if name != 'store_info')} rows" in ended.out
    assert _but_marks(await rows_there(target)) == _but_marks(before)


async def _waits(url: str) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'madang move' AND wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    async with connected(url) as connection:
        return bool(await connection.fetchval(query))


async def _nobody(url: str) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'madang move' AND datname = current_database()"
    )
    async with connected(url) as connection:
        return not await connection.fetchval(query)


async def test_what_changed_meanwhile_is_found(data: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(data, 20_000)
    await begun(data, target, monkeypatch)
    with closing(sqlite3.connect(data)) as connection, connection:
        connection.execute("UPDATE messages SET text = 'another box' WHERE channel_id = 900 AND sequence = 1")
    with pytest.raises(MoveError, match="messages is not the same on both sides"):
        await moved(data, target)
    async with connected(target) as connection:
        assert await connection.fetchval("SELECT count(*) FROM store_info WHERE key = 'store_id'") == 0


async def _refused(path: Path, url: str, *words: str) -> None:
    with pytest.raises(MoveError) as caught:
        await moved(path, url)
    for word in words:
        assert word in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_targets_that_are_something_else(data: Path, kept: Path, target: str, tmp_path: Path) -> None:
    async with connected(target) as connection:
        await connection.execute("CREATE TABLE books (title text)")
        await _refused(data, target, "another program", "books")
        await connection.execute("DROP TABLE books")
    await moved(data, target)
    other = Path(shutil.copytree(kept, tmp_path / "other")) / "madang.db"
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("UPDATE store_info SET value = 'another' WHERE key = 'store_id'")
    await _refused(other, target, "holds a store already")
    async with connected(target) as connection:
        await connection.execute("UPDATE store_info SET key = 'moving', value = 'a third' WHERE key = 'store_id'")
    await _refused(other, target, "another store")


async def test_targets_that_are_not_there(data: Path, databases: Databases) -> None:
    nowhere = databases.url("nowhere").replace("@", ":hunter2@")
    await _refused(data, nowhere, "nowhere", "make it first")
    await _refused(data, "postgresql://x:hunter2@127.0.0.1:1/nowhere", "nowhere on 127.0.0.1:1")


async def test_sources_that_cannot_move(data: Path, target: str, tmp_path: Path) -> None:
    await _refused(tmp_path / "empty" / "madang.db", target, "there is no data")
    assert not (tmp_path / "empty").exists()
    with DirectoryLock(data.parent):
        await _refused(data, target, "another server")
    with closing(sqlite3.connect(data)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    await _refused(data, target, "earlier version", "start")
    with closing(sqlite3.connect(data)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await _refused(data, target, "newer version")
    async with connected(target) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


async def test_two_at_once(data: Path, target: str) -> None:
    async with connected(target) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", moving._LOCK)
        await _refused(data, target, "another move", "under way")


async def test_a_move_is_not_made_twice(data: Path, target: str, databases: Databases) -> None:
    await moved(data, target)
    await _refused(data, await databases.new(), "has moved to", "already")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (("postgresql://me:hunter2@x/y", "/data"), "SOURCE comes first, then TARGET"),
        (("A", "B"), "SOURCE: the data file is needed as sqlite:///PATH"),
        (("/data/madang.db", "postgresql://x/y"), "Is sqlite:////data/madang.db meant?"),
        (("sqlite:///", "postgresql://x/y"), "too few slashes, or no path"),
        (("sqlite://madang.db", "postgresql://x/y"), "too few slashes, or no path"),
        (("sqlite:///x",), "Give TARGET, postgresql://USER@HOST:PORT/NAME"),
        (("sqlite:///x", "mysql://me:hunter2@x/y"), "TARGET: the URL of a PostgreSQL database is needed"),
    ],
)
def test_wrong_usage(line: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("move", *line) == 2
    said = capsys.readouterr().err
    assert said.startswith("madang: ")
    assert told in said
    assert "hunter2" not in said


def test_batches_are_bounded() -> None:
    rows = [(number, "x" * 1_000_000) for number in range(9)]
    assert [len(batch) for batch in in_batches(rows)] == [5, 4]
    assert [len(batch) for batch in in_batches([(number,) for number in range(5_001)])] == [5_000, 1]
    assert list(in_batches([])) == []


async def test_no_server_starts_on_half_a_store(data: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(data, 20_000)
    await begun(data, target, monkeypatch)
    with pytest.raises(StoreUnusable, match="`madang move` again"):
        await open_database(target, 2, 0, NOW)
    async with sdk.Server(data.parent) as server:  # the data file is still what holds
        assert server.target


async def test_no_server_starts_on_what_has_moved(data: Path, target: str, tmp_path: Path) -> None:
    await moved(data, target)
    with pytest.raises(StoreUnusable, match="has moved to"):
        await sdk.Server(data.parent).start()
    backup(data.parent, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")  # under another name
    async with sdk.Server(tmp_path / "restored") as server:
        assert server.target


async def test_a_reader_goes_on_where_it_was(tmp_path: Path, target: str) -> None:
    """From a server on SQLite to one on PostgreSQL: nothing is missed, and nothing comes twice."""
    seen: list[str] = []

    async def read(reader: sdk.Client) -> None:
        async for event in reader.events():
            assert not isinstance(event, sdk.ChannelReset)
            if isinstance(event, sdk.MessageEvent) and event.message.text:
                seen.append(event.message.text)

    with ServerProcess(tmp_path / "data", tmp_path / "log") as server:
        await server.start()
        async with (
            sdk.connect(server.target, handle="mina") as mina,
            sdk.connect(server.target, handle="nari", live=False) as nari,
        ):
            reading = asyncio.create_task(read(mina))
            for number in range(10):
                await nari.send("lobby", str(number))
            await eventually(lambda: len(seen) == 10, "what was said before has come")
            await server.terminate(20)
            under_way = asyncio.create_task(nari.send("lobby", "10"))  # waits in the outbox
            ended = await madang("move", f"sqlite:///{server.data}", target)
            assert ended.code == 0, ended.err
            server.arguments = ["--database", target]
            await server.start()
            await under_way
            for number in range(11, 20):
                await nari.send("lobby", str(number))
            await eventually(lambda: len(seen) >= 20, "what was said after has come")
            assert seen == [str(number) for number in range(20)]
            assert [m.text for m in [m async for m in mina.messages("lobby")] if m.text] == seen
            reading.cancel()
            await asyncio.wait([reading])
