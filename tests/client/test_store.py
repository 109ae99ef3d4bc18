"""The outbox and the positions on disk, and the directory that they are in."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import pytest

from madang.client.home import Credentials, Home, StateError, StateInUse
from madang.client.journal import Journal
from madang.client.store import Changes, FileStore, MemoryStore, Place, Post, Store

POSTS = [Post(f"id-{n}", n, "", f"text {n}") for n in range(1, 6)]


@pytest.fixture(params=["memory", "file"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else await FileStore.open(tmp_path / "state.db")
    yield made
    await made.close()


async def test_the_interface(store: Store) -> None:
    assert (await store.outbox(), await store.positions()) == ([], {})
    await store.commit(Changes(POSTS, [], {1: Place(5, "s"), 2: Place(6, "s")}))
    await store.commit(Changes([], ["id-2", "id-9"], {1: Place(7, "t"), 2: None}))
    if store.durable:
        assert [post.request_id for post in await store.outbox()] == ["id-1", "id-3", "id-4", "id-5"]
        assert await store.positions() == {1: Place(7, "t")}
    await store.forget()
    assert (await store.outbox(), await store.positions()) == ([], {})
    await store.close()
    await store.close()


async def test_what_is_committed_is_there_again_in_order(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await FileStore.open(path)
    await store.commit(Changes(POSTS[2:]))
    await store.commit(Changes(POSTS[:2]))
    await store.close()
    again = await FileStore.open(path)
    assert await again.outbox() == [*POSTS[2:], *POSTS[:2]]
    await again.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_commit_is_all_or_nothing(tmp_path: Path) -> None:
    store = await FileStore.open(tmp_path / "state.db")
    await store.commit(Changes(POSTS[:1]))
    with pytest.raises(OSError, match="cannot be written"):
        await store.commit(Changes(POSTS, [], {1: Place(1, "s")}))  # id-1 is there already
    assert (await store.outbox(), await store.positions()) == (POSTS[:1], {})
    await store.commit(Changes(POSTS[1:]))
    assert await store.outbox() == POSTS
    await store.close()


async def test_every_commit_is_synchronous(tmp_path: Path) -> None:
    store = await FileStore.open(tmp_path / "state.db")
    rows = await store._connection.execute_fetchall("PRAGMA synchronous")
    assert list(rows) == [(2,)]  # FULL
    await store.close()


async def test_a_file_that_is_not_ours_or_too_new_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"not a database, but something that somebody wants to keep" * 100)
    with pytest.raises(StateError, match="not a database"):
        await FileStore.open(path)
    path.unlink()
    async with aiosqlite.connect(path) as connection:
        await connection.execute("PRAGMA user_version = 2")
    with pytest.raises(StateError, match="newer version"):
        await FileStore.open(path)


async def test_the_directory_is_for_one_client(tmp_path: Path) -> None:
    home = await Home.open(tmp_path / "deep" / "state")
    with pytest.raises(StateInUse, match="another client uses"):
        await Home.open(str(tmp_path / "deep" / "state"))
    await home.close()
    await home.close()
    again = await Home.open(tmp_path / "deep" / "state")
    await again.close()
    assert stat.S_IMODE((tmp_path / "deep" / "state").stat().st_mode) == 0o700


async def test_credentials_are_for_their_owner_only(tmp_path: Path) -> None:
    home = await Home.open(tmp_path)
    assert await home.credentials() is None
    credentials = Credentials("host:1", "s", 7, "mina", "secret")
    await home.keep(credentials)
    await home.keep(credentials)
    file = tmp_path / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await home.credentials() == credentials
    assert "secret" not in repr(credentials)
    file.write_text("{}")
    with pytest.raises(StateError, match="does not hold credentials"):
        await home.credentials()
    await home.forget()
    assert await home.credentials() is None
    await home.close()


async def test_without_a_directory_nothing_is_kept() -> None:
    home = await Home.open(None)
    await home.keep(Credentials("host:1", "s", 7, "mina", "secret"))
    assert await home.credentials() is None
    await home.forget()
    await home.close()


class FullDisk(MemoryStore):
    """A store whose disk is full for a while."""

    durable = True

    def __init__(self) -> None:
        self.full = True
        self.seen: list[Changes] = []

    async def commit(self, changes: Changes) -> None:
        if self.full:
            raise OSError("disk full")
        self.seen.append(changes)


async def test_the_journal_keeps_what_a_full_disk_refused() -> None:
    store, told = FullDisk(), list[tuple[int, str]]()
    journal = Journal(store, lambda posts, error: told.append((len(posts), str(error))))
    journal.add(POSTS[0])
    journal.remove("id-0")
    journal.move(1, Place(5, "s"))
    await journal._flush()
    store.full = False
    journal.move(1, Place(6, "s"))
    journal.stop()
    await journal.run()
    assert told == [(1, "disk full"), (0, "None")]
    assert store.seen == [Changes([], ["id-0"], {1: Place(6, "s")})]
