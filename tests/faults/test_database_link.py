"""The connection between a node and PostgreSQL, in the ways in which it ends."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from parts.postgres import fetch

from madang.storage.postgres import PostgresDatabase

from .proxy import Proxy


@pytest.mark.parametrize("way", ["write", "read"])
async def test_an_end_that_is_told_and_does_not_come(database: str, way: str) -> None:
    """PostgreSQL says that it ends the session, and then the connection stays open: what is next gets a new one."""
    server, _, name = database.rpartition("/")
    host = server.rpartition("@")[2]
    async with Proxy(host) as link:
        link.hides_the_end = True
        shop = PostgresDatabase(f"{server.removesuffix(host)}{link.target}/{name}", 2)
        ask = shop.write if way == "write" else shop.read
        try:
            pid = await ask(_backend)
            assert await fetch(database, f"SELECT pg_terminate_backend({pid}, 20000)") == [(True,)]
            assert await ask(_backend) != pid
        finally:
            link.cut()  # it would wait for an end that does not come
            await shop.close()


def _backend(connection: sa.Connection) -> int:
    return int(connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one())
