"""Starts that have to be refused: exit code 1, one clear line, and nothing is touched."""

from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .people import connect, make_channel, send, sign_in
from .process import ServerProcess

NEWER = "9999"


@pytest.fixture
def second(tmp_path: Path) -> Iterator[ServerProcess]:
    """Another server, with data of its own until it is told otherwise."""
    with ServerProcess(tmp_path / "second-data", tmp_path / "second-log") as process:
        yield process


async def works(server: ServerProcess) -> bool:
    """Whether one can write on it."""
    async with connect(server.target) as connection:
        mina = await sign_in(connection, "mina")
        channel_id = await make_channel(connection, mina, f"room-{mina.user_id}")
        return await send(connection, mina, channel_id, "hello") > 0


async def test_second_on_the_same_directory(server: ServerProcess, second: ServerProcess) -> None:
    await server.start()
    second.data = server.data
    second.launch()
    code, line = await second.refuses()
    assert code == 1
    assert f"data directory {server.data}" in line
    assert f"process {server.pid}" in line
    assert await works(server)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_second_on_the_same_port(server: ServerProcess, second: ServerProcess, host: str) -> None:
    """The other one has 127.0.0.1; localhost is that too, whatever else it is."""
    await server.start()
    second.host, second.port = host, server.port
    second.launch()
    code, line = await second.refuses()
    assert code == 1
    assert f"cannot listen on {host}:{server.port}" in line
    assert second.output.strip() == line, "one line, and nothing else"
    assert await works(server)
    second.port = ServerProcess(second.data, second.log).port
    await second.start()
    assert await works(second)


async def test_port_of_another_program(second: ServerProcess) -> None:
    with socket.create_server(("127.0.0.1", second.port)):
        second.launch()
        code, line = await second.refuses()
    assert code == 1
    assert f"cannot listen on {second.target}" in line


async def test_directory_is_free_after_a_kill(server: ServerProcess) -> None:
    await server.start()
    server.kill()
    await server.start()
    assert await works(server)


def not_sqlite(path: Path) -> None:
    path.write_bytes(b"These are my notes, not a database.\n" * 300)


def short(path: Path) -> None:
    path.write_bytes(b"SQL")


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.execute("INSERT INTO recipes VALUES ('kimchi')")
        connection.commit()


def other_program_in_wal_mode(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE recipes (name TEXT)")
        connection.commit()


def other_program_without_tables(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id=1234")
        connection.execute("PRAGMA user_version=7")


def damaged(path: Path) -> None:
    other_program(path)
    raw = bytearray(path.read_bytes())
    raw[100:] = os.urandom(len(raw) - 100)
    path.write_bytes(raw)


@pytest.mark.parametrize(
    "make", [not_sqlite, short, other_program, other_program_in_wal_mode, other_program_without_tables, damaged]
)
async def test_file_that_is_not_ours(server: ServerProcess, make: object) -> None:
    assert callable(make)
    server.data.mkdir()
    path = server.data / "madang.db"
    make(path)
    before = path.read_bytes()
    server.launch()
    code, line = await server.refuses()
    assert code == 1
    assert f"{path} is not a data file of Madang" in line
    assert path.read_bytes() == before


async def test_file_from_a_newer_version(server: ServerProcess) -> None:
    await server.start()
    assert await works(server)
    assert (await server.terminate(10))[0] == 0
    path = server.data / "madang.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (NEWER,))
        connection.commit()
    before = path.read_bytes()
    server.log.unlink()
    server.launch()
    code, line = await server.refuses()
    assert code == 1
    assert f"{path} was written by a newer version of Madang" in line
    assert NEWER in line
    assert path.read_bytes() == before


async def test_directory_that_cannot_be_one(server: ServerProcess) -> None:
    server.data.write_text("a file")
    server.launch()
    code, line = await server.refuses()
    assert code == 1
    assert f"cannot use {server.data}" in line
    assert server.data.read_text() == "a file"
