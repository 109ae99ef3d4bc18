"""The nodes of deploy/compose.yaml as processes, over a real PostgreSQL and a real NATS, behind a balancer.

There is no container engine here: a node runs with its environment from the file, with addresses of this machine in
place of the services' names. The balancer is HAProxy with its file where `haproxy` is installed, and a stand-in,
`balancer.py`, where it is not.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from faults.process import PATIENCE, environment, eventually, free_port
from parts.nats import Nats
from parts.postgres import Postgres, execute

import madang as sdk

from .balancer import Backend, Balancer, servers
from .command import madang
from .haproxy import CONFIG, HaProxy, balancer
from .test_deploy import DEPLOY, OPERATIONS, compose, nodes
from .test_metrics import Scrape, get

HOST = "localhost"
SECRET = "12e3"  # noqa: S105  # letters and digits, as .env asks for, and a number to NATS
HANDOVER = "2"
"""In place of the file's 20 seconds."""
READERS = 12
"""So many that each node has some of them, however many connections that are about to go the balancer counts."""


class NodeProcess:
    """A node of the compose file."""

    def __init__(self, name: str, variables: dict[str, str], log: Path) -> None:
        self.name = name
        self.variables = variables
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def metrics(self) -> str:
        return self.variables["MADANG_METRICS"]

    @property
    def backend(self) -> Backend:
        return Backend(self.name, self.variables["MADANG_LISTEN"], self.metrics)

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "madang", *nodes()[self.name]["command"]],
                stdout=log,
                stderr=log,
                env=environment() | self.variables,
                cwd=self.log.parent,
            )

    async def ready(self) -> None:
        async def is_ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, self.log.read_text()
            try:
                return (await get(self.metrics, "/ready"))[1] == "ready\n"
            except OSError:
                return False

        await eventually(is_ready, f"{self.name} is ready; it said:\n{self.log.read_text()}")
        await eventually(lambda: "stop with Ctrl-C" in self.log.read_text(), "it has said all that it says at first")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        process = self._process
        assert process is not None
        await eventually(lambda: process.poll() is not None, f"{self.name} ends")
        self._process = None
        return process.wait()

    async def scrape(self) -> Scrape:
        return Scrape((await get(self.metrics, "/metrics"))[1])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    server = Postgres(max_connections="60")
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nats]:
    """As the compose file has it, with ports and a directory of this test."""
    service = compose()["services"]["nats"]
    there = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    for name, value in service["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{[^}]*}", SECRET, value))
    (flag, file) = service["command"]
    settings = (DEPLOY / there[file]).read_text()
    for its, ours in (("http_port: 8222\n", ""), ("port: 4222\n", ""), ('"/data"', f'"{tmp_path}/nats/js"')):
        assert its in settings
        settings = settings.replace(its, ours)
    (tmp_path / "nats.conf").write_text(settings)
    with Nats(tmp_path / "nats", jetstream=False, options=[flag, str(tmp_path / "nats.conf")]) as server:
        yield server


@asynccontextmanager
async def cluster(
    postgres: Postgres, nats: Nats, directory: Path
) -> AsyncIterator[tuple[list[NodeProcess], HaProxy | Balancer]]:
    """All that the file says, started."""
    await execute(postgres.url("postgres"), "CREATE DATABASE madang")
    made = await madang("cert", "--out", directory / "certs", "--name", HOST, "--name", "127.0.0.1")
    assert made.code == 0, made.err
    ports = {name: (free_port(), free_port()) for name in nodes()}
    backends = [Backend(name, f"127.0.0.1:{ports[name][0]}", f"127.0.0.1:{ports[name][1]}") for name in ports]
    assert sorted(servers(CONFIG)) == sorted(ports)
    async with balancer(backends) as before, AsyncExitStack() as stack:
        places = {
            "MADANG_ADVERTISE": f"{HOST}:{before.port}",
            "MADANG_HANDOVER": HANDOVER,
            "MADANG_LIMIT_MESSAGES": "100+100/s",  # one person says everything here
            "MADANG_TLS_CERT": str(directory / "certs" / "cert.pem"),
            "MADANG_TLS_KEY": str(directory / "certs" / "key.pem"),
        }
        processes = []
        for name, service in nodes().items():
            variables = {key: re.sub(r"\$\{[^}]*}", SECRET, value) for key, value in service["environment"].items()}
            variables = {
                key: value.replace("@postgres:5432/", f"@127.0.0.1:{postgres.port}/").replace(
                    "@nats:4222", f"@127.0.0.1:{nats.port}"
                )
                for key, value in variables.items()
            }
            listen, metrics = ports[name]
            variables |= places | {"MADANG_LISTEN": f"127.0.0.1:{listen}", "MADANG_METRICS": f"127.0.0.1:{metrics}"}
            process = NodeProcess(name, variables, directory / f"{name}.log")
            stack.callback(process.kill)
            processes.append(process)
        for process in processes:  # together, as compose does
            process.launch()
        for process in processes:
            await process.ready()
        await eventually(lambda: len(before.ready) == len(processes), "the balancer knows them all")
        yield processes, before


class Chat:
    """People who come through the balancer."""

    def __init__(self, target: str, ca: Path) -> None:
        self.target = target
        self.tls = sdk.Tls(ca=ca)
        self.seen: list[list[str]] = []
        self.sent: list[str] = []

    async def read(self, client: sdk.Client) -> None:
        """Note what comes; in the end as many lists as there are readers."""
        texts: list[str] = []
        self.seen.append(texts)
        async for event in client.events():
            if isinstance(event, sdk.MessageEvent) and event.message.text:
                texts.append(event.message.text)

    async def say(self, client: sdk.Client, count: int) -> None:
        for _ in range(count):
            text = f"message {len(self.sent)}"
            await client.send("lobby", text)
            self.sent.append(text)

    def everyone_has_all(self) -> bool:
        return all(texts == self.sent for texts in self.seen)


async def test_the_compose_file_is_a_cluster(postgres: Postgres, nats: Nats, tmp_path: Path) -> None:
    async with cluster(postgres, nats, tmp_path) as (processes, before), AsyncExitStack() as people:
        target = f"{HOST}:{before.port}"
        chat = Chat(target, tmp_path / "certs" / "cert.pem")
        owner = await people.enter_async_context(await _owner(chat, processes))
        code = (await owner.admin.create_invite(uses=READERS)).code
        readers = [
            await people.enter_async_context(
                await sdk.register(target, f"reader-{number}", "nine lives of a cat", invite=code, tls=chat.tls)
            )
            for number in range(READERS)
        ]
        reading = [asyncio.create_task(chat.read(reader)) for reader in readers]
        people.push_async_callback(_end, reading)
        await chat.say(owner, 5)
        await eventually(chat.everyone_has_all, "everyone has everything")
        await _every_node_has_its_share(processes)

        first, second, third = processes
        first.signal(signal.SIGTERM)
        await eventually(lambda: first.name not in before.ready, "no new clients for the one that goes")
        await chat.say(owner, 20)
        assert await first.ended() == 0
        await eventually(chat.everyone_has_all, "nobody misses anything, or has it twice")
        first.launch()
        await first.ready()

        second.kill()
        await chat.say(owner, 20)
        await eventually(chat.everyone_has_all, "nor when a node dies")
        second.launch()
        await second.ready()
        assert (await second.scrape()).value("madang_nodes_known") >= 3
        assert (await third.scrape()).value("madang_calls_total", code="INTERNAL") == 0


async def _owner(chat: Chat, processes: list[NodeProcess]) -> sdk.Client:
    """The first owner, by the code of the node whose log the page says to look at."""
    (name,) = re.findall(r"^docker compose logs (\S+) \| grep invite", OPERATIONS.read_text(), re.MULTILINE)
    (log,) = [process.log.read_text() for process in processes if process.name == name]
    (code,) = re.findall(r"--invite (\w+)", log)
    return await sdk.register(chat.target, "owner", "nine lives of a cat", invite=code, tls=chat.tls)


async def _every_node_has_its_share(processes: list[NodeProcess]) -> None:
    for process in processes:
        found = await process.scrape()
        assert found.value("madang_nodes_known") == 3
        assert found.value("madang_bus_connected") == 1
        assert found.value("madang_draining") == 0
        assert found.value("madang_connections") >= 2, f"{process.name} has its share of the people"
        assert found.value("madang_database_connections") >= 1
        assert found.value("madang_users_here") == READERS + 1
        assert found.value("madang_calls_total", code="INTERNAL") == 0
    scrapes = [await process.scrape() for process in processes]
    assert sum(found.value("madang_bus_sent_total") for found in scrapes) > 0
    assert sum(found.value("madang_bus_received_total") for found in scrapes) > 0
    assert sum(found.value("madang_messages_stored_total") for found in scrapes) >= 5


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
