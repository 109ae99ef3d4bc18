"""The process of a server: its event loop, its signals, and what it prints."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys

from madang.bus.errors import BusError
from madang.core.cluster import SERVICES
from madang.core.errors import MadangError
from madang.core.hosts import is_wildcard
from madang.node import logs, tuning
from madang.node.listeners import ListenError
from madang.node.node import Node
from madang.node.settings import Address, Settings
from madang.node.traces import TracesError
from madang.ops.certificates import CertificateError
from madang.storage.errors import StoreError

STOP_WITHIN = 9.5
"""How long a shutdown may take once everybody was sent elsewhere, seconds; then the process ends as it is. What was
acknowledged is on disk anyway."""

EXIT_NOW = 130
"""The exit code after a second signal."""

_log = logging.getLogger("madang.node")


def serve(settings: Settings) -> int:
    """Run a server until SIGTERM or SIGINT; the exit code of the process."""
    logs.set_up(settings.log_format, settings.verbose)
    tuning.before_start()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings))
    except (StoreError, BusError, ListenError, CertificateError, TracesError) as error:
        print(f"madang: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if stopping.is_set():  # asked twice: now
            os._exit(EXIT_NOW)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    hang_up = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, hang_up.set)  # from now on: by default it would end the process
    node = Node(settings)
    await node.start()
    tuning.after_start()
    print(_greeting(node, await _first_invite(node)), flush=True)
    reloading = asyncio.create_task(_reload(node, hang_up), name="madang-reload")
    await stopping.wait()
    reloading.cancel()
    print("madang: shutting down", flush=True)
    try:
        async with asyncio.timeout(STOP_WITHIN + settings.hands_over_within):
            await node.stop()
    except TimeoutError:
        print("madang: could not shut down in time; what was not acknowledged may not be stored", file=sys.stderr)
        os._exit(1)
    print("madang: everything is stored; good-bye", flush=True)


async def _first_invite(node: Node) -> str | None:
    """A code for the first owner. A disk that is full must not keep a server from starting: there is none then."""
    try:
        return await node.first_invite()
    except MadangError as error:
        _log.warning("no invite for the first owner: %s", error)
        return None


async def _reload(node: Node, hang_up: asyncio.Event) -> None:
    while True:
        await hang_up.wait()
        hang_up.clear()
        await node.reload()


def _greeting(node: Node, invite: str | None) -> str:
    how = " with TLS" if node.fingerprint else ""
    settings = node.settings
    lines = [f"madang: listening on {node.listen}{how}, data in {_where_data_is(settings)}"]
    if settings.is_clustered:
        nodes = "1 node" if node.known == 1 else f"{node.known} nodes"
        lines.append(f"        node {node.info.name} of the cluster {settings.cluster} ({nodes})")
    if set(settings.services) != set(SERVICES):
        lines.append(f"        serves {', '.join(settings.services)}")
    lines += [f"        {name} on {where}" for name, where in node.addresses.items() if settings.own_address(name)]
    if node.metrics is not None:
        lines.append(f"        metrics on http://{node.metrics}/metrics")
    if node.fingerprint:
        lines.append(f"        certificate (SHA-256): {node.fingerprint}")
    server = _how_to_connect(node)
    if "agent" not in settings.services:
        return "\n".join([*lines, "        stop with Ctrl-C"])
    lines.append(f"        join from another terminal:  {_command()} console{server} --name YOUR_NAME")
    if invite is not None:
        lines.append(f"        become the owner:  {_command()} register{server} --invite {invite}")
        whose = "; nodes that start together have one each" if settings.is_clustered else ""
        lines.append(f"        (good once, for a day, or until a later start makes another{whose})")
    lines.append("        stop with Ctrl-C")
    return "\n".join(lines)


def _where_data_is(settings: Settings) -> str:
    """Nothing of the URL but what everybody may know."""
    if settings.database is None:
        return str(settings.data)
    from madang.storage.postgres import place_of

    return f"the PostgreSQL database {place_of(settings.database)}"


def _how_to_connect(node: Node) -> str:
    """The options by which a client on this machine finds the server, and trusts it."""
    host = "localhost" if is_wildcard(node.listen.host) else node.listen.host
    where = Address(host, node.listen.port)
    server = "" if str(where) == "localhost:50050" else f" --server {where}"
    return f"{server} --tls-pin {node.fingerprint}" if node.fingerprint else server


def _command() -> str:
    """How the reader of the greeting calls this program."""
    return "madang" if shutil.which("madang") else sys.argv[0]


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        from madang.node.loop import Loop
    except ImportError:  # no uvloop on this platform
        return None
    return Loop
