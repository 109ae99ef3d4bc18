"""A PostgreSQL database that goes away, or is not to be written, while a node runs: what is refused, what is known of
it, and what callers and the log are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

import pytest
from parts.postgres import Postgres, execute, fetch
from support import PATIENCE, Clock, draft, opened, sequences

from madang.core.errors import StorageUnavailable
from madang.core.events import Event, HeadKnown
from madang.core.models import LOBBY_ID, UserKind
from madang.services import posting
from madang.storage import accounts, messages
from madang.storage.store import SharedDatabase, open_store
from madang.storage.writer import MAX_GROUP


@pytest.mark.parametrize("immediate", [False, True], ids=["stopped", "crashed"])
async def test_a_server_that_goes_away_and_comes_back(server: Postgres, empty: str, immediate: bool) -> None:
    """What is asked meanwhile is refused; nothing is lost or doubled; whoever must know that it is back is told."""
    recovered: list[int] = []
    async with opened(empty, recovered=lambda: recovered.append(1)) as store:
        await store.append([draft(text="before")])
        await asyncio.to_thread(server.stop, immediate)
        with pytest.raises(StorageUnavailable, match="nothing was stored"):
            await store.append([draft(text="during")])
        with pytest.raises(StorageUnavailable, match="nothing was read"):
            await store.read(messages.head, LOBBY_ID)
        assert not recovered
        await asyncio.to_thread(server.start)
        assert sequences(await store.append([draft(text="after")])) == [2]
        assert recovered == [1]
        found = await store.read(messages.changed, LOBBY_ID, 0, 9, 2**40)
    assert [one.text for one in found.messages] == ["before", "after"]


@pytest.mark.parametrize("how", ["for the whole server", "for the database"])
async def test_a_database_that_an_operator_makes_read_only_is_not_written(empty: str, how: str) -> None:
    """PostgreSQL lets every transaction say that it writes all the same; a node does not. It reads on, and writes again
    by itself when it may. What is set for a database holds for new connections, so its old ones are ended.
    """
    name = empty.rpartition("/")[2]
    may_alter = "SET default_transaction_read_only = off"
    hang_up = (
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"  # noqa: S608
    )
    if how == "for the whole server":
        scope, settle = "SYSTEM", "SELECT pg_reload_conf()"
    else:
        scope, settle = f"DATABASE {name}", hang_up
    recovered: list[int] = []
    async with opened(empty, recovered=lambda: recovered.append(1)) as store:
        await store.append([draft(text="before")])
        await execute(empty, f"ALTER {scope} SET default_transaction_read_only = on", settle)
        try:
            async with asyncio.timeout(PATIENCE):
                while await fetch(empty, "SHOW default_transaction_read_only") != [("on",)]:
                    pass
            for write in (
                lambda: store.append([draft()]),
                lambda: store.write(accounts.add_user, "mina", UserKind.GUEST),
            ):
                with pytest.raises(StorageUnavailable) as caught:
                    await write()
                assert str(caught.value) == "nothing was stored: the server's database is read-only at the moment"
            assert await store.read(messages.head, LOBBY_ID) == 1, "it reads on"
        finally:
            # Only the reload, not the end of its connections: the node sees for itself that it may write again.
            await execute(
                empty, may_alter, f"ALTER {scope} RESET default_transaction_read_only", "SELECT pg_reload_conf()"
            )
        async with asyncio.timeout(PATIENCE):
            while await fetch(empty, "SHOW default_transaction_read_only") != [("off",)]:
                pass
        assert sequences(await store.append([draft(text="after")])) == [2]
        assert recovered == [1]


async def test_callers_are_told_in_plain_words_and_the_log_in_the_drivers(
    server: Postgres, empty: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What the driver says sounds like a failure of the client's own connection, and names what is the operator's."""
    async with opened(empty) as store:
        caplog.clear()
        await asyncio.to_thread(server.stop)
        answers: list[str] = []
        for _ in range(3):
            for asked in (store.append([draft()]), store.read(messages.head, LOBBY_ID)):
                with pytest.raises(StorageUnavailable) as caught:
                    await asked
                assert not caught.value.facts.keys() - {"problem"}, "nothing else travels"
                answers.append(str(caught.value))
        away = "the server cannot reach its database at the moment"
        assert answers == [f"nothing was stored: {away}", f"nothing was read: {away}"] * 3
        lines = [record.getMessage() for record in caplog.records if record.name == "madang.storage"]
        assert [line.partition(":")[0] for line in lines] == [
            "the store cannot be written",
            "the database cannot be read",
        ]
        assert all(str(server.port) in line for line in lines)
        caplog.clear()
        await asyncio.to_thread(server.start)
        await store.append([draft()])
        assert await store.read(messages.head, LOBBY_ID) == 1
    lines = [record.getMessage() for record in caplog.records if record.name == "madang.storage"]
    assert [line.partition(";")[0] for line in lines] == [
        "the store can be written again",
        "the database can be read again",
    ]


async def test_no_more_connections_than_were_allowed(empty: str) -> None:
    store = await open_store(
        SharedDatabase(empty, connections=3, wait=0), posting.append, lambda events: None, Clock(), lambda: False
    )
    work = asyncio.create_task(store.work())
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'madang' AND datname = current_database()"
    for _ in range(3):
        await asyncio.gather(*(store.read(messages.head, LOBBY_ID) for _ in range(50)), store.append([draft()]))
    assert await fetch(empty, count) == [(3,)]
    store.drain()
    await work
    await store.close()
    with pytest.raises(RuntimeError, match="closed"):
        await store.read(messages.head, LOBBY_ID)


class Cut:
    """Stands between a node and PostgreSQL; when it is told to, it takes a COMMIT there, and no answer back."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.cutting = False
        self.commits = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        back = asyncio.create_task(self._pump(far_reader, writer))
        while chunk := await reader.read(65536):
            cut = self.cutting and chunk.endswith(b"COMMIT\x00")
            if cut:
                back.cancel()
                await asyncio.wait([back])
            far_writer.write(chunk)
            await far_writer.drain()
            if cut:
                self.commits += 1
                await far_reader.read(1)  # it has happened
                break
        back.cancel()
        await asyncio.wait([back])
        for each in (far_writer, writer):
            each.close()
            with suppress(OSError):
                await each.wait_closed()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
        sink.close()


async def test_a_commit_whose_answer_is_lost_is_settled_by_the_repeat(server: Postgres, empty: str) -> None:
    """It had happened. The repeat gets the first result, and rings for those whom nobody has told."""
    cut = Cut(server)
    told: list[Event] = []
    recovered: list[int] = []
    async with (
        await asyncio.start_server(cut.connected, "127.0.0.1", 0) as listening,
        opened(
            server.url(empty.rpartition("/")[2], listening.sockets[0].getsockname()[1]),
            told.extend,
            recovered=lambda: recovered.append(1),
        ) as store,
    ):
        one = draft(request_id=b"k" * 16)
        cut.cutting = True
        with pytest.raises(StorageUnavailable, match="not known whether this was stored"):
            await store.append([one])
        cut.cutting = False
        assert (cut.commits, told, recovered) == (1, [], [])
        assert sequences(await store.append([one])) == [1]
        assert (told, recovered) == ([HeadKnown(LOBBY_ID, 1)], [1])


async def test_of_a_commit_that_nobody_knows_of_everyone_is_told_what_is_true_for_it(
    server: Postgres, empty: str
) -> None:
    """A draft with a request_id is sent again; what has none may be done twice; what waited behind was not stored."""
    cut = Cut(server)
    async with (
        await asyncio.start_server(cut.connected, "127.0.0.1", 0) as listening,
        opened(server.url(empty.rpartition("/")[2], listening.sockets[0].getsockname()[1])) as store,
    ):
        await store.read(messages.head, LOBBY_ID)

        async def told(*asked: Awaitable[object]) -> list[str]:
            cut.cutting = True
            found = await asyncio.gather(*asked, return_exceptions=True)
            cut.cutting = False
            assert all(type(one) is StorageUnavailable for one in found)
            return [str(one) for one in found]

        lost = "it is not known whether this was stored: the server lost its database during the commit"
        look = f"{lost}; see whether it happened before you do it again"
        large = "x" * MAX_GROUP
        with_key, without, behind = await told(
            store.append([draft(request_id=b"a" * 16, text="one")]),
            store.append([draft(text="two")]),
            store.append([draft(request_id=b"b" * 16, text=large)]),
        )
        assert with_key == f"{lost}; send it again with the same request_id"
        assert without == look
        assert behind == "nothing was stored: it waited behind a commit that failed; send it again"
        assert await told(store.write(accounts.add_user, "mina", UserKind.GUEST)) == [look]
        found = await store.read(messages.changed, LOBBY_ID, 0, 9, 2**40)
        assert [one.text for one in found.messages] == ["one", "two"]


async def test_what_an_error_says_holds_nothing_of_what_is_stored(database: str) -> None:
    """PostgreSQL's details quote the row."""
    async with opened(database) as store:
        await store.append([draft(text="a secret")])
        with pytest.raises(StorageUnavailable) as caught:
            await store.write(
                lambda transaction: transaction.connection.exec_driver_sql("UPDATE messages SET text = NULL") and None
            )
    assert "secret" not in caught.value.in_full
    assert "null value" in caught.value.in_full
    assert str(caught.value) == "nothing was stored: the server's database failed; the server's log says why"
