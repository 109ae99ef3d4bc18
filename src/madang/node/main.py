"""The process of a server: its event loop, its signals, and what it prints."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import sys

from madang.node.listeners import ListenError
from madang.node.node import Node
from madang.node.settings import Settings
from madang.storage.errors import StoreError

SWITCH_INTERVAL = 0.0005
"""How long the event loop may hold the interpreter while the store's thread waits for it, seconds.

Python's default is 5 ms; a loop that lets go of it more often than that, and takes it back at once, as a busy one does,
then starves the thread (docs/decisions/0003).
"""

_log = logging.getLogger("madang")


def serve(settings: Settings, *, verbose: bool = False) -> int:
    """Run a server until SIGTERM or SIGINT; the exit code of the process."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    sys.setswitchinterval(SWITCH_INTERVAL)
    _raise_file_limit()
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings))
    except (StoreError, ListenError) as error:
        print(f"madang: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    node = Node(settings)
    await node.start()
    print(_greeting(node), flush=True)
    await stopping.wait()
    print("madang: shutting down", flush=True)
    await node.stop()
    print("madang: everything is stored; good-bye", flush=True)


def _greeting(node: Node) -> str:
    lines = [f"madang: listening on {node.listen}, data in {node.settings.data}"]
    lines += [f"        {name} on {address}" for name, address in node.addresses.items() if name != "agent"]
    server = "" if node.listen.port == 50050 else f" --server {node.listen}"
    lines.append(f"        join from another terminal:  madang console{server}")
    lines.append("        stop with Ctrl-C")
    return "\n".join(lines)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not on this platform
        return None
    return uvloop.Loop


def _raise_file_limit() -> None:
    """Every connection is an open file: take what the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
