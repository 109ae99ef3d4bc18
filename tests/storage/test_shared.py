"""Opening a PostgreSQL database: what is not ours is left alone, what cannot be used is said, what will come is waited
for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from parts.postgres import Databases, Postgres, execute, fetch
from support import PATIENCE, draft, eventually, opened, sequences

from madang.core.errors import StorageUnavailable
from madang.core.models import LOBBY_ID, ChannelRole, UserKind
from madang.storage import accounts, locks, memberships, messages, migrate, postgres, shared
from madang.storage.errors import StoreError, StoreForeign, StoreNewer, StoreUnusable
from madang.storage.postgres import PostgresDatabase, place_of


async def refusal(url: str) -> StoreError:
    """The error that opening a database ends with."""
    with pytest.raises(StoreError) as caught:
        async with opened(url):
            pass
    assert "\n" not in str(caught.value)
    return caught.value


def as_user(url: str, user: str) -> str:
    return url.replace("//madang@", f"//{user}@")


async def test_nodes_that_start_at_the_same_instant_make_the_tables_once(empty: str) -> None:
    stores = await asyncio.gather(*(shared.open_database(empty, 2, 5, 1) for _ in range(4)))
    assert len({store_id for _, store_id in stores}) == 1
    for database, _ in stores:
        await database.close()
    assert await fetch(empty, "SELECT version_num FROM alembic_version") == [(migrate.HEAD,)]
    assert await fetch(empty, "SELECT channel_id, name FROM channels") == [(1, "lobby")]


async def test_a_node_waits_while_another_makes_the_tables(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long that takes: migrations have no timeouts."""
    monkeypatch.setattr(postgres, "ANSWER_WITHIN", 0.2)
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database() "
        "AND clock_timestamp() - query_start > '0.5 s'"  # longer than any other answer may take
    )
    other = await asyncpg.connect(empty)
    try:
        async with other.transaction():
            await other.execute(locks.turn(locks.MIGRATIONS))
            opening = asyncio.create_task(shared.open_database(empty, 2, 5, 1))
            async with asyncio.timeout(PATIENCE):
                while await fetch(empty, waiting) != [(1,)]:
                    assert not opening.done()
        database, _ = await opening
        await database.close()
    finally:
        await other.close()


@pytest.mark.parametrize(
    "tables",
    [
        ["CREATE TABLE recipes (name text)"],
        ["CREATE TABLE alembic_version (version_num text)", "INSERT INTO alembic_version VALUES ('0001')"],
        ["CREATE TABLE store_info (key text, value text)"],
        ["CREATE TABLE alembic_version (version_num text)", "CREATE TABLE store_info (key text, value text)"],
    ],
    ids=["tables", "another alembic", "no alembic", "no revision"],
)
async def test_foreign_databases_are_refused_and_not_touched(empty: str, tables: list[str]) -> None:
    await execute(empty, *tables)
    before = await fetch(empty, "SELECT relname, relnatts FROM pg_class WHERE relkind = 'r' ORDER BY 1")
    error = await refusal(empty)
    assert isinstance(error, StoreForeign)
    assert "is not a database of Madang" in str(error)
    assert await fetch(empty, "SELECT relname, relnatts FROM pg_class WHERE relkind = 'r' ORDER BY 1") == before


async def test_a_database_of_a_newer_version_is_refused(empty: str) -> None:
    async with opened(empty):
        pass
    await execute(
        empty, "UPDATE alembic_version SET version_num = '0999'", "DELETE FROM store_info WHERE key <> 'store_id'"
    )
    error = await refusal(empty)
    assert isinstance(error, StoreNewer)
    assert (error.revision, error.known) == ("0999", migrate.HEAD)


async def test_a_newer_schema_that_serves_this_version_is_used(empty: str) -> None:
    """While a cluster is brought up to date, a node of the version before may have to be started again."""
    async with opened(empty):
        pass
    assert await fetch(empty, "SELECT value FROM store_info WHERE key = 'schema_serves'") == [(migrate.SERVES,)]
    await execute(
        empty,
        "UPDATE alembic_version SET version_num = '0999'",
        "ALTER TABLE users ADD COLUMN shoe_size integer",
        "ALTER TABLE messages ADD COLUMN mood text NOT NULL DEFAULT 'calm'",
    )
    async with opened(empty) as store:
        assert sequences(await store.append([draft()])) == [1]
        assert (await store.write(accounts.add_user, "mina", UserKind.GUEST)).user_id == 1
    await execute(empty, "UPDATE store_info SET value = '0998' WHERE key = 'schema_serves'")
    assert isinstance(await refusal(empty), StoreNewer)


async def test_reasons_not_to_be_let_in(server: Postgres, empty: str) -> None:
    await execute(
        empty,
        "CREATE ROLE locked LOGIN PASSWORD 'another one'",
        "CREATE ROLE barred NOLOGIN",
        "CREATE ROLE poor LOGIN",
        "CREATE ROLE crowd LOGIN CONNECTION LIMIT 0",
    )
    for url, words in {
        as_user(empty, "locked:s3cret-word"): "it does not let this user in",
        as_user(empty, "barred"): "it does not let this user in",
        as_user(empty, "poor"): "permission denied for schema public",
        as_user(empty, "crowd"): "too many connections",
        server.url("nowhere"): 'database "nowhere" does not exist; make it first',
        "postgresql://madang:s3cret-word/x@127.0.0.1/madang": "its address cannot be read",
    }.items():
        error = await refusal(url)
        assert isinstance(error, StoreUnusable)
        assert words in str(error)
        assert "s3cret-word" not in str(error)


async def test_databases_that_are_not_good_for_it(
    server: Postgres, empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    latin = await Databases(server.url("postgres")).new("ENCODING 'LATIN1' LOCALE 'C'")
    assert "UTF8 is needed" in str(await refusal(latin))
    name = empty.rpartition("/")[2]
    await execute(empty, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    assert "read-only" in str(await refusal(empty))
    monkeypatch.setattr(shared, "OLDEST_SERVER", 99)
    assert "it is PostgreSQL 17, and 99 or newer is needed" in str(await refusal(empty))


async def test_a_standby_is_waited_for_until_it_is_one_no_more(
    server: Postgres, empty: str, caplog: pytest.LogCaptureFixture
) -> None:
    standby = await asyncio.to_thread(server.copy)
    try:
        await asyncio.to_thread(standby.start)
        url = standby.url(empty.rpartition("/")[2])
        assert "it is a standby" in str(await refusal(url))
        opening = asyncio.create_task(shared.open_database(url, 2, PATIENCE, 1))
        await eventually(lambda: "it is a standby" in caplog.text, "it is waited for")
        await execute(url, "SELECT pg_promote()")
        database, _ = await opening
        await database.close()
    finally:
        await asyncio.to_thread(standby.close)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """Something in the place of a server that answers whoever connects with this, and closes."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)  # the client asks for TLS first
        writer.write(b"N")
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with listening:
        host, port = listening.sockets[0].getsockname()
        yield f"postgresql://madang@{host}:{port}/madang"


def refusing(state: str, text: str) -> bytes:
    """An ErrorResponse of PostgreSQL's protocol."""
    fields = b"".join(key + value.encode() + b"\x00" for key, value in ((b"S", "FATAL"), (b"C", state), (b"M", text)))
    return b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\x00"


async def test_what_pgbouncer_answers_is_explained() -> None:
    """Byte for byte its refusal: it takes no startup parameters that it does not know."""
    async with answering(refusing("08P01", "unsupported startup parameter: statement_timeout")) as url:
        error = await refusal(url)
    assert "PgBouncer" in str(error)
    assert "connect to PostgreSQL itself" in str(error)


async def test_timeouts_that_do_not_arrive_are_noticed(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a pooler is told to drop what it does not know: without them a frozen node would keep its locks."""
    monkeypatch.setattr("madang.storage.postgres.SERVER_SETTINGS", {"application_name": "madang"})
    assert "the timeouts that a node asks for do not arrive" in str(await refusal(empty))


async def test_a_server_that_is_not_there_is_waited_for(
    server: Postgres, empty: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    await asyncio.to_thread(server.stop)
    try:
        assert "waited 0 s for it" in str(await refusal(empty))
        caplog.clear()
        opening = asyncio.create_task(shared.open_database(empty, 2, PATIENCE, 1))
        await eventually(lambda: caplog.records, "it is waited for")
        assert caplog.records[0].getMessage().startswith(f"waiting for the database {place_of(empty)}, 20 s more: ")
    finally:
        await asyncio.to_thread(server.start)
    database, store_id = await opening
    await database.close()
    assert store_id


async def test_a_server_without_a_connection_to_spare(empty: str) -> None:
    """A node that has one goes on with it; what would need another is refused, until there is one again."""
    async with opened(empty) as store:
        await execute(
            empty, "CREATE ROLE many LOGIN", "GRANT ALL ON ALL TABLES IN SCHEMA public TO many",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO many", "GRANT pg_read_all_settings TO many",
        )  # fmt: skip
        database = PostgresDatabase(as_user(empty, "many"), 4)
        await database.connect()
        await execute(empty, "ALTER ROLE many CONNECTION LIMIT 1")
        assert await database.write(lambda connection: messages.head(connection, LOBBY_ID)) == 0
        with pytest.raises(StorageUnavailable) as caught:
            await database.read(lambda connection: messages.head(connection, LOBBY_ID))
        assert "too many connections" in caught.value.in_full
        await execute(empty, "ALTER ROLE many CONNECTION LIMIT -1")
        assert await database.read(lambda connection: messages.head(connection, LOBBY_ID)) == 0
        await database.close()
        assert store.store_id


def to_first_schema(url: str) -> None:
    async def run() -> None:
        database = PostgresDatabase(url, 2)

        def upgrade(connection: Any) -> None:
            config = Config()
            config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
            config.set_main_option("path_separator", "os")
            config.attributes.update(connection=connection, now=1)
            command.upgrade(config, "0001")

        await database.write(upgrade, "SET LOCAL idle_in_transaction_session_timeout = 0")
        await database.close()

    asyncio.run(run())


async def test_a_database_of_an_earlier_version_is_brought_up_to_date_with_what_is_in_it(empty: str) -> None:
    await asyncio.to_thread(to_first_schema, empty)
    await execute(
        empty,
        "INSERT INTO store_info VALUES ('store_id', 'the same')",
        "INSERT INTO users (handle, handle_key, kind, created_at) "
        "VALUES ('Mina', 'mina', 1, 5), ('Nari', 'nari', 1, 6)",
        "INSERT INTO channels (name, name_key, topic, kind, owner_id, sequence, created_at) "
        "VALUES ('kitchen', 'kitchen', '', 2, 1, 1, 7)",
        "INSERT INTO members VALUES (2, 1, 7, 0), (2, 2, 8, 1)",
        "INSERT INTO messages VALUES (2, 1, 1, 2, 9, 1, 'hello', NULL)",
    )
    async with opened(empty) as store:
        assert store.store_id == "the same"
        roles = [await store.read(memberships.get, 2, user_id) for user_id in (1, 2)]
        assert [one and one.role for one in roles] == [ChannelRole.OWNER, ChannelRole.MEMBER]
        assert [user.handle for user in await store.read(accounts.users_page, 0, 9)] == ["Mina", "Nari"]
        assert sequences(await store.append([draft(2, 1)])) == [2]
    assert await fetch(empty, "SELECT version_num FROM alembic_version") == [(migrate.HEAD,)]


def test_where_a_database_is_can_be_shown_to_anyone() -> None:
    assert place_of("postgresql://u:p%40ss@db.example.org:6432/chat?sslmode=require") == "chat on db.example.org:6432"
    assert place_of("postgresql:///chat") == "chat on localhost"
    assert place_of("postgres://u@a:1,b:2/chat") == "chat on a:1,b:2"
    for odd in ("postgresql://u:p/ss@host/chat", "postgresql://u:p#ss@host/chat", "postgresql://u:p?ss@host/chat"):
        assert place_of(odd) == "(an address that cannot be read)"


async def test_what_is_acknowledged_is_on_disk_whatever_the_server_is_set_to(
    empty: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = empty.rpartition("/")[2]

    def show(connection: Any) -> Any:
        return connection.exec_driver_sql("SHOW synchronous_commit").scalar()

    async def shown() -> set[str]:
        made = PostgresDatabase(empty, 2)
        try:
            return {await made.read(show), await made.write(show)}
        finally:
            await made.close()

    await execute(empty, f"ALTER DATABASE {name} SET synchronous_commit = off")
    assert await shown() == {"on"}
    await execute(empty, f"ALTER DATABASE {name} SET synchronous_commit = remote_apply")
    assert await shown() == {"remote_apply"}
    async with opened(empty):
        assert "runs with fsync=off" in caplog.text, "of the server itself no connection can decide"


async def test_the_timeouts_of_a_nodes_connections(database: str) -> None:
    """As PostgreSQL sees them."""
    made = PostgresDatabase(database, 2)
    await made.connect()
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")

    def show(connection: Any) -> list[str]:
        return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]

    for run in (made.read, made.write):
        assert await run(show) == ["10s", "5s", "2s", "madang"]
    await made.close()
