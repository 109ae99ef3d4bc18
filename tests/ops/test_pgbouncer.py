"""Behind PgBouncer: as docs/operations.md says in session mode, and refused with the reason in any other."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from client.conftest import texts
from parts.pgbouncer import PROGRAM, PgBouncer
from parts.postgres import Postgres, execute

import madang
from madang.storage.errors import StoreUnusable

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="PgBouncer is not installed; Debian has it as pgbouncer")

_PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
_SECTION = _PAGE.partition("## PgBouncer\n")[2].partition("\n## ")[0]


def settings(**others: str) -> dict[str, str]:
    """What the page says of pgbouncer.ini, but for these."""
    (ini,) = re.findall(r"```ini\n(.*?)```", _SECTION, re.DOTALL)
    parser = configparser.ConfigParser()
    parser.read_string(f"[pgbouncer]\n{ini}")
    return dict(parser["pgbouncer"]) | others


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Its own: the page changes the role, and so what everybody gets."""
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()


async def give_the_role_its_timeouts(postgres: Postgres) -> None:
    (sql,) = re.findall(r"```sql\n(.*?)```", _SECTION, re.DOTALL)
    await execute(postgres.url("postgres"), *filter(None, map(str.strip, sql.split(";"))))


def server(bouncer: PgBouncer) -> madang.Server:
    return madang.Server(database=f"postgresql://madang@127.0.0.1:{bouncer.port}/postgres", wait=0, limits=None)


async def test_session_mode_as_the_page_says(postgres: Postgres) -> None:
    await give_the_role_its_timeouts(postgres)
    with PgBouncer(postgres.port, settings()) as bouncer:
        async with server(bouncer) as node, madang.connect(node.target) as mina:
            await mina.send("lobby", "hello")
            bouncer.kill()
            waiting = mina.post("lobby", "are you there?")
            bouncer.start()
            await waiting.stored()
            assert await texts(mina, 2) == ["hello", "are you there?"]


async def refusal(postgres: Postgres, wanted: dict[str, str]) -> str:
    with PgBouncer(postgres.port, wanted) as bouncer:
        with pytest.raises(StoreUnusable) as caught:
            await server(bouncer).start()
        return str(caught.value)


async def test_nothing_was_set_up(postgres: Postgres) -> None:
    assert "see docs/operations.md for PgBouncer in session mode" in await refusal(postgres, {"pool_mode": "session"})


async def test_timeouts_that_it_drops_are_missed(postgres: Postgres) -> None:
    assert "the timeouts that a node asks for do not arrive" in await refusal(postgres, settings())


@pytest.mark.parametrize("others", [{}, {"server_round_robin": "1"}, {"default_pool_size": "2"}], ids=str)
async def test_transaction_mode_is_noticed(postgres: Postgres, others: dict[str, str]) -> None:
    """Whatever else is as the page says: nothing else would tell, until what was prepared is not there."""
    await give_the_role_its_timeouts(postgres)
    told = await refusal(postgres, settings(pool_mode="transaction", **others))
    assert "runs each transaction over another connection, as PgBouncer does in transaction mode" in told


async def test_statement_mode_is_refused(postgres: Postgres) -> None:
    await give_the_role_its_timeouts(postgres)
    assert "statement pooling mode" in await refusal(postgres, settings(pool_mode="statement"))
