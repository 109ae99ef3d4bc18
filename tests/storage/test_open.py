"""Opening: what is not ours is left alone, and the reason is said."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from support import draft, names, opened, sequences

from madang.core.models import LOBBY_ID
from madang.storage import messages, migrate
from madang.storage.errors import StoreError, StoreForeign, StoreNewer, StoreUnusable
from madang.storage.store import FILE_NAME


async def refusal(directory: Path) -> StoreError:
    """The error that opening a directory ends with."""
    with pytest.raises(StoreError) as caught:
        async with opened(directory):
            pass
    return caught.value


def other_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")


def other_alembic(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")


def text(path: Path) -> None:
    path.write_text("shopping list\n" * 1000)


def random_bytes(path: Path) -> None:
    path.write_bytes(os.urandom(8192))


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00" + os.urandom(8192))


def header_alone(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00")


@pytest.mark.parametrize("make", [other_program, other_alembic, text, random_bytes, damaged, header_alone])
async def test_foreign_files_are_refused_and_not_touched(tmp_path: Path, make: object) -> None:
    assert callable(make)
    path = tmp_path / FILE_NAME
    make(path)
    before = path.read_bytes()
    error = await refusal(tmp_path)
    assert isinstance(error, StoreForeign)
    assert str(path) in str(error)
    assert path.read_bytes() == before
    assert not path.with_name(FILE_NAME + "-wal").exists()


async def filled(directory: Path, count: int = 300) -> Path:
    async with opened(directory) as store:
        await store.append([draft(text="x" * 100) for _ in range(count)])
    return directory / FILE_NAME


@pytest.mark.parametrize("size", [100, 4096, 4096 + 17, 8192])
async def test_a_truncated_file_is_refused_and_not_touched(tmp_path: Path, size: int) -> None:
    path = await filled(tmp_path)
    os.truncate(path, size)
    before = path.read_bytes()
    assert isinstance(await refusal(tmp_path), StoreForeign)
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("UPDATE alembic_version SET version_num = '0999'")
    before = path.read_bytes()
    error = await refusal(tmp_path)
    assert isinstance(error, StoreNewer)
    assert (error.revision, error.known) == ("0999", migrate.HEAD)
    assert "newer version" in str(error)
    assert path.read_bytes() == before


async def test_a_file_that_lost_its_revision_is_refused(tmp_path: Path) -> None:
    path = await filled(tmp_path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM alembic_version")
    assert isinstance(await refusal(tmp_path), StoreForeign)


async def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    """What a server leaves that was killed in its very first moment."""
    (tmp_path / FILE_NAME).touch()
    async with opened(tmp_path) as store:
        assert sequences(await store.append([draft()])) == [1]


async def test_a_file_with_our_mark_and_no_tables_is_a_new_store(tmp_path: Path) -> None:
    """And one that was killed in its second."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute(f"PRAGMA application_id={migrate.APPLICATION_ID}")
    async with opened(tmp_path) as store:
        assert sequences(await store.append([draft()])) == [1]


async def test_directories_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "file", tmp_path / "file" / "data", Path("/proc/madang")):
        error = await refusal(directory)
        assert isinstance(error, StoreUnusable)
        assert str(directory) in str(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_directory_that_may_not_be_written(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o500)
    assert isinstance(await refusal(tmp_path), StoreUnusable)


async def test_a_directory_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    assert isinstance(await refusal(tmp_path), StoreUnusable)


async def test_only_the_owner_may_read_what_is_kept(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    async with opened(directory) as store:
        await store.append([draft()])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {FILE_NAME, FILE_NAME + "-wal", "madang.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


async def test_a_store_keeps_its_name(tmp_path: Path) -> None:
    names = []
    for directory in ("one", "one", "two"):
        async with opened(tmp_path / directory) as store:
            names.append(store.store_id)
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("name", ["plain", "with space", "마당", "it's", "50%41", "what?", "c#"])
async def test_a_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    for expected in (1, 2):
        async with opened(tmp_path / name) as store:
            assert sequences(await store.append([draft()])) == [expected]
    assert names(tmp_path) == [name]
    other = tmp_path / name / "other"
    other.mkdir()
    other_program(other / FILE_NAME)
    assert isinstance(await refusal(other), StoreForeign)


async def test_what_is_only_in_the_log_is_not_lost_with_the_shared_memory(tmp_path: Path) -> None:
    """After a power cut, or in a copy: the file and its log, and nothing else."""
    (tmp_path / "copy").mkdir()
    async with opened(tmp_path / "data") as store:
        await store.append([draft()])
        for name in (FILE_NAME, FILE_NAME + "-wal"):
            shutil.copy(tmp_path / "data" / name, tmp_path / "copy" / name)
    async with opened(tmp_path / "copy") as store:
        assert await store.read(messages.head, LOBBY_ID) == 1
