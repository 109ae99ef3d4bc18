"""Backups, and what comes back of them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from faults.disks import can_mount, small_disk
from faults.process import ServerProcess, eventually
from support import names

import madang as sdk
from madang.ops.backup import backup
from madang.ops.manifest import BackupError, Manifest
from madang.ops.restore import check, restore
from madang.storage.lock import DirectoryLock

from .command import madang, mode

WRITERS = 6
BEFORE = 40
"""How many messages are acknowledged before the backup begins, at least."""


class Writers:
    """People who send all the time, and note what was acknowledged."""

    def __init__(self, target: str) -> None:
        self.acknowledged: dict[int, str] = {}
        self._target = target
        self._stopping = asyncio.Event()

    async def write(self, number: int) -> None:
        async with sdk.connect(self._target, handle=f"writer-{number}", live=False) as client:
            count = 0
            while not self._stopping.is_set():
                text = f"{number}: {count}"
                self.acknowledged[(await client.send("lobby", text)).sequence] = text
                count += 1

    def stop(self) -> None:
        self._stopping.set()


async def history(target: str) -> list[sdk.Message]:
    """Everything in the lobby."""
    async with sdk.connect(target, handle="reader", live=False) as client:
        return [message async for message in client.messages("lobby")]


async def test_while_messages_flow(server: ServerProcess, tmp_path: Path) -> None:
    """Everything that was acknowledged before it began is in it, once, in its place; and nobody waited for it."""
    await server.start()
    async with sdk.connect(server.target, live=False) as client:
        token, store_id = client.token, client.server.store_id
    writers = Writers(server.target)
    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(writers.write(number))
        await eventually(lambda: len(writers.acknowledged) >= BEFORE, "some are stored")
        before = dict(writers.acknowledged)
        made = await madang("backup", tmp_path / "backup", "--data", server.data)
        assert made.code == 0, made.err
        after = len(writers.acknowledged)
        assert after > len(before), "they wrote on meanwhile"
        await eventually(lambda: len(writers.acknowledged) > after, "and afterwards")
        writers.stop()
    assert names(tmp_path / "backup") == ["madang.db", "manifest.json"], "one file, whole in itself"
    assert mode(tmp_path / "backup") == 0o700
    assert {mode(path) for path in (tmp_path / "backup").iterdir()} == {0o600}

    assert (await madang("restore", tmp_path / "backup", "--check")).code == 0
    refused = await madang("restore", tmp_path / "backup", "--data", server.data)
    assert refused.code == 1
    assert f"process {server.pid}" in refused.err
    assert (await madang("restore", tmp_path / "backup", "--data", tmp_path / "again")).code == 0
    assert mode(tmp_path / "again") == 0o700
    assert mode(tmp_path / "again" / "madang.db") == 0o600
    server.kill()

    server.data = tmp_path / "again"
    await server.start()
    found = await history(server.target)
    assert [message.sequence for message in found] == list(range(1, len(found) + 1))
    texts = {message.sequence: message.text for message in found}
    assert before.items() <= texts.items()
    assert max(Counter(texts.values()).values()) == 1
    assert texts.items() <= (writers.acknowledged | texts).items()
    async with sdk.connect(server.target, token=token, live=False) as client:
        assert client.server.store_id != store_id, "its numbers are not those of the history that was lost"


async def test_nobody_comes_back_with_what_was_good_then(server: ServerProcess, tmp_path: Path) -> None:
    await server.start()
    async with sdk.connect(server.target, handle="mina", live=False) as client:
        token = client.token
        await client.send("lobby", "hello")
    server.kill()
    backup(server.data, tmp_path / "backup")
    done = await madang("restore", tmp_path / "backup", "--data", tmp_path / "again", "--end-sessions")
    assert done.code == 0
    assert "2 sessions, tokens and codes were ended" in done.out, "hers, and the invite of the first owner"
    server.data = tmp_path / "again"
    await server.start()
    with pytest.raises(sdk.SessionRevoked):
        await sdk.connect(server.target, token=token, live=False)
    assert [message.text for message in await history(server.target)] == ["hello"]
    with closing(sqlite3.connect(server.data / "madang.db")) as database:
        query = "SELECT details FROM audit_events WHERE action = 'server.restore'"
        ((details,),) = database.execute(query).fetchall()
    assert json.loads(details) == {"backup": Manifest.read(tmp_path / "backup").created_at, "ended": "2"}


async def test_of_a_server_that_was_killed(server: ServerProcess, tmp_path: Path) -> None:
    """What only the write-ahead log has is in it."""
    await server.start()
    async with sdk.connect(server.target, handle="mina", live=False) as client:
        await client.send("lobby", "the last words")
    server.kill()
    assert (server.data / "madang.db-wal").stat().st_size
    backup(server.data, tmp_path / "backup")
    made, contents = check(tmp_path / "backup")
    assert contents.messages == 1
    assert made.size == (tmp_path / "backup" / "madang.db").stat().st_size


def test_twice_is_the_same_but_for_the_time(data: Path, tmp_path: Path) -> None:
    first, second = backup(data, tmp_path / "first"), backup(data, tmp_path / "second")
    assert (first.sha256, first.store_id, first.schema) == (second.sha256, second.store_id, second.schema)
    with pytest.raises(BackupError, match="is there already"):
        backup(data, tmp_path / "first")
    check(tmp_path / "first")


async def test_where_there_is_nothing(tmp_path: Path) -> None:
    ended = await madang("backup", tmp_path / "backup", "--data", tmp_path / "nothing")
    assert (ended.code, ended.out) == (1, "")
    assert "there is no data in" in ended.err
    assert names(tmp_path) == []


def test_of_what_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "madang.db").write_bytes(b"my notes" * 100)
    with pytest.raises(BackupError, match="is not a data file of Madang"):
        backup(tmp_path / "data", tmp_path / "backup")
    assert names(tmp_path) == ["data"]


def in_the_way(target: Path) -> None:
    target.mkdir()
    (target / "family.jpg").write_bytes(b"photo")


def a_file(target: Path) -> None:
    target.write_text("a file")


def a_link(target: Path) -> None:
    target.symlink_to(target.parent)


@pytest.mark.parametrize("make", [in_the_way, a_file, a_link])
def test_where_something_is(data: Path, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "backup")
    before = names(tmp_path)
    with pytest.raises(BackupError):
        backup(data, tmp_path / "backup")
    assert names(tmp_path) == before


@pytest.mark.parametrize("empty", [False, True])
async def test_full_disk_by_limit(data: Path, tmp_path: Path, empty: bool) -> None:
    """Nothing is left that looks whole, or half."""
    if empty:
        (tmp_path / "backup").mkdir()
    before = names(tmp_path)
    ended = await madang("backup", tmp_path / "backup", "--data", data, limit="-f 128")
    assert ended.code == 1
    assert "the backup was not made" in ended.err
    assert names(tmp_path) == before
    assert not empty or names(tmp_path / "backup") == []
    backup(data, tmp_path / "backup")  # now there is room
    check(tmp_path / "backup")


@pytest.mark.skipif(not can_mount(), reason="may not mount a file system")
async def test_full_disk(data: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        disk.fill(0)
        with (tmp_path / "disk" / "ballast").open("rb+") as ballast:
            ballast.truncate(ballast.seek(0, os.SEEK_END) - 100 * 1024)
        ended = await madang("backup", tmp_path / "disk" / "backup", "--data", data)
        assert ended.code == 1
        assert "full" in ended.err
        assert names(tmp_path / "disk") == ["ballast"]
        disk.free(0)
        backup(data, tmp_path / "disk" / "backup")
        check(tmp_path / "disk" / "backup")


async def test_full_disk_while_putting_it_back(data: Path, tmp_path: Path) -> None:
    backup(data, tmp_path / "backup")
    ended = await madang("restore", tmp_path / "backup", "--data", tmp_path / "again", limit="-f 128")
    assert ended.code == 1
    assert set(names(tmp_path / "again")) <= {"madang.lock"}, "no half database"
    restore(tmp_path / "backup", tmp_path / "again")


def flip(directory: Path) -> None:
    raw = bytearray((directory / "madang.db").read_bytes())
    raw[len(raw) // 2] ^= 1
    (directory / "madang.db").write_bytes(raw)


def cut(directory: Path) -> None:
    os.truncate(directory / "madang.db", 8192)


def no_manifest(directory: Path) -> None:
    (directory / "manifest.json").unlink()


def no_database(directory: Path) -> None:
    (directory / "madang.db").unlink()


def half_manifest(directory: Path) -> None:
    path = directory / "manifest.json"
    path.write_bytes(path.read_bytes()[:40])


def outside(directory: Path) -> None:
    change_manifest(directory, file="../data/madang.db")


def other_format(directory: Path) -> None:
    change_manifest(directory, format=2)


def wrong_type(directory: Path) -> None:
    change_manifest(directory, size="1")


def other_schema(directory: Path) -> None:
    change_manifest(directory, schema="0001")


def change_manifest(directory: Path, **fields: object) -> None:
    path = directory / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    "spoil", [flip, cut, no_manifest, no_database, half_manifest, outside, other_format, wrong_type, other_schema]
)
def test_damaged(data: Path, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    backup(data, tmp_path / "backup")
    spoil(tmp_path / "backup")
    with pytest.raises(BackupError):
        check(tmp_path / "backup")
    with pytest.raises(BackupError):
        restore(tmp_path / "backup", tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM messages WHERE channel_id = 1 AND sequence = 3", "it has"),
        (
            "DELETE FROM messages WHERE channel_id = 1 AND sequence = 5",
            "its sequence",
        ),
        ("UPDATE channels SET sequence = sequence + 1 WHERE channel_id = 1", "its sequence"),
        ("UPDATE channels SET sequence = sequence - 1 WHERE channel_id = 1", "its sequence"),
        ("UPDATE messages SET channel_id = 99 WHERE channel_id = 1 AND sequence = 3", "belong to no channel"),
    ],
)
def test_a_message_is_missing(data: Path, tmp_path: Path, statement: str, told: str) -> None:
    """The file is whole, and its checksum right; but a message that was acknowledged is not there."""
    with closing(sqlite3.connect(data / "madang.db")) as connection, connection:
        assert connection.execute(statement).rowcount == 1
    backup(data, tmp_path / "backup")
    with pytest.raises(BackupError, match=told):
        check(tmp_path / "backup")


def test_messages_that_were_changed_are_not_missing(data: Path, tmp_path: Path) -> None:
    """A change takes a number, too; then a hole is no loss."""
    with closing(sqlite3.connect(data / "madang.db")) as connection, connection:
        connection.execute("UPDATE channels SET sequence = sequence + 1 WHERE channel_id = 1")
        change = """UPDATE messages SET version = (SELECT sequence FROM channels WHERE channel_id = 1)
                    WHERE channel_id = 1 AND sequence = 2"""
        connection.execute(change)
    backup(data, tmp_path / "backup")
    check(tmp_path / "backup")


def test_a_backup_leaves_nothing_beside_what_it_reads(data: Path, tmp_path: Path) -> None:
    before = names(data)
    backup(data, tmp_path / "backup")
    assert names(data) == before
    check(tmp_path / "backup")
    assert names(tmp_path / "backup") == ["madang.db", "manifest.json"]


def test_over_live_data(data: Path, tmp_path: Path) -> None:
    backup(data, tmp_path / "backup")
    (tmp_path / "live").mkdir()
    with DirectoryLock(tmp_path / "live"), pytest.raises(BackupError, match="another server"):
        restore(tmp_path / "backup", tmp_path / "live")


def test_over_data(data: Path, tmp_path: Path) -> None:
    backup(data, tmp_path / "backup")
    before = (data / "madang.db").read_bytes()
    with pytest.raises(BackupError, match="is not empty"):
        restore(tmp_path / "backup", data)
    assert (data / "madang.db").read_bytes() == before
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("mine")
    with pytest.raises(BackupError, match=r"thesis\.txt is there"):
        restore(tmp_path / "backup", tmp_path / "home")
    assert names(tmp_path / "home") == ["thesis.txt"]


def test_beside_the_settings(data: Path, tmp_path: Path) -> None:
    """What an administrator puts there first is no obstacle, and stays."""
    backup(data, tmp_path / "backup")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "madang.toml").write_text("# mine")
    made, store_id, _ = restore(tmp_path / "backup", fresh)
    assert made == Manifest.read(tmp_path / "backup")
    assert store_id != made.store_id
    assert names(fresh) == ["madang.db", "madang.lock", "madang.toml"]
    with pytest.raises(BackupError, match="is not empty"):
        restore(tmp_path / "backup", fresh)


def test_on_the_way_it_was_never_whole(data: Path, tmp_path: Path) -> None:
    """What a backup that was killed leaves behind does not pass for one."""
    backup(data, tmp_path / "backup")
    shutil.move(tmp_path / "backup" / "madang.db", tmp_path / ".backup.partial-1")
    with pytest.raises(BackupError):
        check(tmp_path / ".backup.partial-1")


async def test_of_data_in_a_database(tmp_path: Path, database: str) -> None:
    """PostgreSQL's own tools make the copies; what would be copied here is not what the server has."""
    config = tmp_path / "madang.toml"
    config.write_text(f'database = "{database}"\n')
    for command in ("backup", "restore"):
        ended = await madang(command, tmp_path / "there", "--data", tmp_path / "data", "--config", config)
        assert ended.code == 1
        told = f"madang: this server's data is in PostgreSQL ({config}), which has tools of its own: pg_dump makes"
        assert ended.err.startswith(told)
        assert database not in ended.err
        for asked in ([tmp_path / "there", "--database", database], [database]):
            ended = await madang(command, *asked, "--data", tmp_path / "data")
            assert ended.code == 1
            assert "pg_dump makes a backup, and pg_restore puts it back" in ended.err
            assert "docs/operations.md, under Backups" in ended.err
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text("utf-8")
    assert "\n## Backups\n" in page
    assert not (tmp_path / "there").exists()
