"""The connection of a node to NATS: made at start, and made again for ever whenever it is lost.

nats-py can reconnect by itself, but gives up for good at some errors of the server, and keeps what was to be sent
meanwhile, which is of no use here: after a loss everything is held against the store. So each of its clients is one
connection, and what follows a loss is decided here alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from madang.bus.credentials import Credentials
from madang.bus.errors import BusError
from madang.bus.tasks import end
from madang.core.outages import Outage

CONNECT_WITHIN = 3
"""How long a server may take to answer when it is connected to, seconds."""
PING_EVERY = 2.0
PONG_WITHIN = 3.0
"""A connection that answers no ping within this time is as good as cut, seconds."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
"""How long it rests between two rounds of trying all servers, seconds, growing from the first to the longest."""
PREPARE_WITHIN = 20.0
"""How long it may take until everything is subscribed to again, seconds."""
CLOSE_WITHIN = 1.0
OLDEST = (2, 10)
"""The oldest version of NATS that keeps what is put into its store as this is built upon."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_log = logging.getLogger("madang.bus")


class Refused(BusError):
    """A server is there, and will not have us: trying again does not help."""


@dataclass(frozen=True, slots=True)
class NatsOptions:
    """How NATS is reached. `servers`: URLs, `nats://` or `tls://`; the rest as in the settings."""

    servers: tuple[str, ...]
    cluster: str = "madang"
    name: str = ""
    credentials: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @property
    def wants_tls(self) -> bool:
        """Whether a server that does not encrypt is refused."""
        named = any(urlsplit(server).scheme == "tls" for server in self.servers)
        return named or self.ca is not None or self.cert is not None

    def tls(self) -> ssl.SSLContext:
        """What to trust, and what to show. Raises Refused."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca is None else str(self.ca))
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            raise Refused(f"the certificates for the bus cannot be used: {error}") from error
        return context


class Link:
    """`start` once; `close` in the end. In between `client` is the connection, or None while there is none."""

    def __init__(
        self, options: NatsOptions, came: Callable[[Client], Awaitable[None]], went: Callable[[], None]
    ) -> None:
        """`came` is called with each new connection, before `client` tells of it; `went` when it is lost.

        Raises BusError for a name of a cluster that cannot be one.
        """
        self.client: Client | None = None
        self.reconnects = 0
        if not _NAME.fullmatch(options.cluster):
            raise BusError(f"a cluster's name has letters, digits, - and _ only, not {options.cluster!r}")
        self._options = options
        self._came = came
        self._went = went
        self._keeping: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._lost = asyncio.Event()
        self._outage = Outage()

    async def start(self, wait: float) -> None:
        """Connect; wait that many seconds for a server that is not there. Raises BusError."""
        where = self.where
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        pause = FIRST_PAUSE
        said = False
        while True:
            try:
                await self._connect()
                break
            except Refused:
                raise
            except BusError as error:
                if loop.time() + pause > until:
                    raise BusError(f"the bus {where} is not there after {wait:g} seconds: {error}") from error
                if not said:
                    _log.warning("waiting for the bus %s: %s", where, error)
                    said = True
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
        self._keeping = asyncio.create_task(self._keep(), name="madang-bus")

    async def close(self) -> None:
        """Disconnect, and stay so. What was given to the client before is sent."""
        if self._keeping is not None:
            await end(self._keeping)
        client, self.client = self.client, None
        if client is not None:
            self._went()
            await _close(client)
        if self._closing:
            await asyncio.wait(self._closing)

    @property
    def where(self) -> str:
        """The servers, without what is secret in their URLs."""
        return ", ".join(_without_secret(server) for server in self._options.servers)

    async def _keep(self) -> None:
        """Notice when the connection is lost, and make another."""
        while True:
            client = self.client
            if client is not None:
                await self._until_lost(client)
                self.client = None
                self._went()
                self._tell_away(client.last_error or "the connection broke")
                closing = asyncio.create_task(_close(client))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
            await self._reconnect()
            self.reconnects += 1
            away_for = self._outage.worked(asyncio.get_running_loop().time())
            if away_for is not None:
                _log.warning("the bus %s is back; it was away %s", self.where, away_for)

    def _tell_away(self, problem: Exception | str) -> None:
        """Log that the bus is away: when it goes, and now and then while it stays so."""
        for_how_long = self._outage.failed(asyncio.get_running_loop().time())
        if for_how_long is not None:
            expected = isinstance(problem, BusError | NatsError | OSError | TimeoutError | str)
            trace = None if isinstance(problem, str) or expected else problem
            _log.warning("the bus %s is away%s: %s", self.where, for_how_long, problem, exc_info=trace)

    async def _until_lost(self, client: Client) -> None:
        while not self._lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_EVERY):
                    await self._lost.wait()
                return
            try:
                async with asyncio.timeout(PONG_WITHIN):
                    await client.rtt(timeout=PONG_WITHIN)  # type: ignore[arg-type]  # it takes any number
            except (NatsError, TimeoutError, OSError):
                return

    async def _reconnect(self) -> None:
        pause = FIRST_PAUSE
        while True:
            # Nodes that lost the same server are not to come back all at the same moment.
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(LONGEST_PAUSE, pause * 2)
            try:
                await self._connect()
                return
            except Exception as error:
                self._tell_away(error)

    async def _connect(self) -> None:
        """Try each server once, in any order. Raises BusError: what the last one said."""
        servers = list(self._options.servers)
        random.shuffle(servers)
        problem: BusError | None = None
        for server in servers:
            try:
                client = await self._connect_to(server)
            except BusError as error:
                if problem is None or isinstance(error, Refused):
                    problem = error
                continue
            try:
                async with asyncio.timeout(PREPARE_WITHIN):
                    await self._came(client)
            except (NatsError, OSError, TimeoutError) as error:
                await _close(client)
                problem = BusError(f"{_without_secret(server)}: {error}")
                continue
            except BaseException:
                await _close(client)
                raise
            self.client = client
            return
        raise problem or BusError("there is no server")

    async def _connect_to(self, server: str) -> Client:
        options = self._options
        credentials = None if options.credentials is None else _credentials(options.credentials)
        tls = options.tls() if options.wants_tls else None
        client = Client()
        problems: list[Exception] = []
        self._lost = lost = asyncio.Event()

        async def note(error: Exception) -> None:
            problems.append(error)

        async def closed() -> None:
            lost.set()

        try:
            async with asyncio.timeout(2 * CONNECT_WITHIN):
                await client.connect(
                    [server],
                    name=f"madang {options.cluster} {options.name}".strip(),
                    no_echo=True,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_WITHIN,
                    flush_timeout=PONG_WITHIN,
                    ping_interval=3600,  # it is pinged here, see `_until_lost`
                    error_cb=note,
                    closed_cb=closed,
                    tls=tls,
                    user_jwt_cb=None if credentials is None else credentials.jwt,
                    signature_cb=None if credentials is None else credentials.sign,
                    skip_subject_validation=True,
                )
        except (NatsError, OSError, TimeoutError) as error:
            await _close(client)
            raise _refusal(server, problems[0] if problems else error) from error
        except BaseException:
            await _close(client)
            raise
        if options.wants_tls and not client._server_info.get("tls_required"):  # nothing public tells
            await _close(client)
            raise Refused(f"{_without_secret(server)} does not encrypt, which the settings ask for")
        if (version := client._server_info.get("version", "")) and _is_too_old(str(version)):
            await _close(client)
            oldest = ".".join(map(str, OLDEST))
            raise Refused(f"{_without_secret(server)} is NATS {version}; {oldest} or newer is needed")
        return client


def _is_too_old(version: str) -> bool:
    """Whether a NATS server of that version cannot do what is asked of it. One that is not told as numbers may."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < OLDEST


async def _close(client: Client) -> None:
    """Close the connection; cut it off when the other side does not take what is still to be sent."""
    with suppress(NatsError, OSError, TimeoutError, AssertionError):  # the last of one that never had a connection
        async with asyncio.timeout(CLOSE_WITHIN):
            await client.close()
        return
    writer = getattr(client._transport, "_io_writer", None)  # nothing public cuts
    if writer is not None:
        writer.transport.abort()


def _credentials(path: Path) -> Credentials:
    try:
        return Credentials(path)
    except BusError as error:
        raise Refused(str(error)) from error


def _refusal(server: str, error: Exception) -> BusError:
    where = _without_secret(server)
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = said.removeprefix("nats: ").strip("'") or type(error).__name__
    if "authorization" in text.lower() or "authentication" in text.lower():
        return Refused(f"{where} does not accept the credentials: {text}")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(f"{where} shows a certificate that is not trusted: {error.verify_message}")
    return BusError(f"{where}: {text}")


def _without_secret(server: str) -> str:
    parts = urlsplit(server)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
