"""One node: the store, the bus, the hub, the four services, and the servers that they listen with."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc

from madang.bus.base import Bus, Nodes
from madang.bus.local import LocalBus, LocalNodes
from madang.core.agreement import fingerprint
from madang.core.cluster import NodeInfo
from madang.core.errors import ServerDraining
from madang.core.events import Event, NewsLost
from madang.core.models import Changes
from madang.node import metrics
from madang.node.chores import cancel, every, finish, once
from madang.node.company import Company, shared
from madang.node.exporter import Exporter
from madang.node.listeners import check_free, new_server
from madang.node.servicers import Behind, add
from madang.node.settings import Address, Settings
from madang.node.stand import Stand
from madang.node.tls import Certificates, TlsFiles
from madang.node.traces import Traces
from madang.rpc.agent import ServerFacts
from madang.rpc.classic.addresses import Place
from madang.rpc.classic.gateway import Gateway, Services
from madang.rpc.classic.interceptor import ClassicInterceptor
from madang.rpc.classic.ports import Ports
from madang.rpc.counting import CallCounts
from madang.rpc.interceptor import ContractInterceptor
from madang.rpc.validation import Contract
from madang.services import posting
from madang.services.channel import ChannelService
from madang.services.front import Entrance, Front
from madang.services.guide import Guide
from madang.services.healing import LOOK_EVERY, Healing
from madang.services.heartbeat import HeartbeatService
from madang.services.hub import Hub
from madang.services.isolation import Isolation
from madang.services.limits import Limiter
from madang.services.lobby import LobbyService
from madang.services.moderation import ModerationService
from madang.services.passwords import Cost
from madang.services.reports import ReportService
from madang.services.streams import Streams
from madang.storage import accounts, belonging, migrate
from madang.storage.errors import StoreOfAnotherCluster
from madang.storage.store import SharedDatabase, Store, open_store
from madang.v1 import channel_service_pb2
from madang.wire.batches import encode_changes

if TYPE_CHECKING:
    from madang.bus.nats import NatsBus
    from madang.bus.nodes import NatsNodes
    from madang.storage.postgres import PostgresDatabase

RECONCILE_EVERY = 30.0
EXPIRE_EVERY = 1.0
SAVE_USE_EVERY = 60.0
CERTIFICATE_EVERY = 10.0
ANNOUNCE_EVERY = 1.0
ISOLATION_EVERY = 1.0
HAND_OVER = 0.2
"""How long a shutdown waits before it closes the listeners, seconds: calls that gRPC has taken but not yet handed to
us are then refused with a reason, not cut off without one."""
WHERE_TO = 1.0
"""The same where there are other nodes: who came before they did, and was told last, has yet to ask where they are."""
COME_BACK_AFTER = 1.0
"""When clients are told to come back after a shutdown, seconds."""

_log = logging.getLogger("madang.node")


def now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def ticks() -> int:
    """Microseconds of a clock that nobody sets."""
    return time.monotonic_ns() // 1000


class Node:
    """A running server. `start`, then `stop`; each once. `reload` in between, as often as one likes."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.addresses: dict[str, Address] = {}
        """Where each service listens, with the port that it really has."""
        self._stack = AsyncExitStack()
        self._certificates: Certificates | None = None
        self._classic: Gateway | None = None
        self._nats: NatsBus | None = None
        self._nats_nodes: NatsNodes | None = None
        if settings.bus:
            from madang.node.doorbell import nats

            self._nats, self._nats_nodes = nats(settings)
        self._bus: Bus = self._nats or LocalBus()
        self._nodes: Nodes = self._nats_nodes or LocalNodes()
        self._node_id = uuid.uuid4().hex
        self._streams = Streams(self._bus)
        self._guide = Guide(self._nodes, lambda: self._streams.count, alone=not settings.is_clustered)
        self._hub = Hub(self._bus, settings.pace)
        self._calls = CallCounts()
        self._exporter = Exporter()
        self.metrics: Address | None = None
        """Where the metrics are, with the port that it really has."""

    @property
    def listen(self) -> Address:
        """Where the Agent listens, with the port that it really has; where there is none, the first service."""
        return next(iter(self.addresses.values()))

    @property
    def info(self) -> NodeInfo:
        """This node, as the others know it."""
        return self._guide.own

    @property
    def known(self) -> int:
        """How many nodes there are, this one too, as far as it knows."""
        return 1 + len(self._guide.others())

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate that new connections get; empty without TLS."""
        return self._certificates.fingerprint if self._certificates is not None else ""

    async def start(self) -> None:
        """Open the store, start the services, listen. Nothing stays open when it fails.

        Raises StoreError, BusError, ListenError, CertificateError, TracesError.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def first_invite(self) -> str | None:
        """A new invite for the first owner; None when there is an owner. See AccountService."""
        return await self._front.accounts.first_invite(self.info.name if self.settings.is_clustered else "")

    async def stop(self) -> None:
        """Shut down in order: streams told to go elsewhere, a few at a time, where there is an elsewhere; then no new
        sends, streams told to come back, calls under way finished, everything stored.
        """
        others = self._guide.can_go()
        self._guide.leave()
        for listener in self._stand.listeners:
            await listener.drain()
        farewell = self._guide.farewell() if others else ServerDraining(retry_after=COME_BACK_AFTER)
        if others and (within := self.settings.hands_over_within):
            await self._streams.hand_over(farewell, within)
        self._store.drain()
        self._streams.drain(farewell)
        if self._classic is not None:
            self._classic.shut()
        await asyncio.sleep(WHERE_TO if others else HAND_OVER)
        # Together: each takes its time when one of its clients does not listen.
        await asyncio.gather(*(listener.stop(self.settings.drain) for listener in self._stand.listeners))
        await self._stack.aclose()

    async def reload(self) -> None:
        """Read again what may change under way: the certificate and its key. A bad pair is logged, and not taken."""
        if self._certificates is None:
            _log.info("nothing to read again: there is no certificate")
        else:
            await asyncio.to_thread(self._certificates.reload, asked=True)

    async def _start(self) -> None:
        settings = self.settings
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._certificates = Certificates(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))
        traces = None
        if settings.traces is not None:
            traces = Traces(settings.traces, settings.name or socket.gethostname(), version("madang"))
            self._stack.push_async_callback(traces.close)
        if settings.metrics is not None:  # before what may take long: a node that waits or migrates is alive
            self.metrics = await self._answer_probes(settings.metrics)
        if self._nats is not None and self._nats_nodes is not None:
            # Closed after the store: what is stored last is told. Started after it: by its name nodes find each other.
            self._stack.push_async_callback(self._nats.close)
            self._stack.push_async_callback(self._nats_nodes.close)
        self._store = store = await self._open_store()
        if self._nats is not None and self._nats_nodes is not None:
            await self._nats.start(settings.wait, store.store_id)
            await self._nats_nodes.start()
        self._hub.use(store)
        self._stack.push_async_callback(self._hub.close)
        if traces is not None:
            traces.follow(store, self._hub)
        cost = Cost(settings.password_time, settings.password_memory, settings.password_lanes)
        self._limiter = Limiter(settings.limits, ticks, self._bus, self._bot_rate)
        entrance = Entrance(settings.registration, settings.lets_guests_in, cost)
        self._front = Front(store, self._bus, now, entrance, self._limiter)
        self._agent = self._front.agent
        self._heartbeat = HeartbeatService(self._bus, now, self._nats_nodes, self._node_id, ticks)
        self._healing = Healing(store, self._bus, self._hub, self._streams, self._agent.sessions, self._limiter, now)
        self._lobby = LobbyService(store, now, settings.limits)
        self._moderation = ModerationService(store, now)
        self._reports = ReportService(store)
        self._channel = ChannelService(store, self._bus, self._hub, now)
        if settings.serves_classic:
            self._classic = self._gateway()
            self._stack.push_async_callback(self._classic.stop)
        await self._listen(store)
        self._export()
        erasing = asyncio.create_task(once(self._front.deletion.go_on), name="madang-erase")
        self._stack.push_async_callback(cancel, erasing)
        for name, action, interval in self._chores():
            task = asyncio.create_task(every(interval, action), name=f"madang-{name}")
            self._stack.push_async_callback(cancel, task)

    async def _open_store(self) -> Store:
        """The store, which works; it is one of this cluster's."""
        settings = self.settings
        if settings.database is None and not settings.data.exists():  # a start that fails leaves no empty data behind
            for address in settings.addresses:
                await check_free(address)
        where: Path | SharedDatabase = settings.data
        if settings.database is not None:
            where = SharedDatabase(settings.database, settings.database_connections, settings.wait)
        store = await open_store(where, posting.append, self._committed, now, self._hub.is_behind, self._recovered)
        self._stack.push_async_callback(store.close)
        writer = asyncio.create_task(store.work(), name="madang-writer")
        self._stack.push_async_callback(finish, writer)
        self._stack.callback(store.drain)
        await _join(store, settings)
        return store

    def _chores(self) -> list[tuple[str, Callable[[], Awaitable[None]], float]]:
        """What is done now and then: a name, the action, and how often, seconds."""
        chores: list[tuple[str, Callable[[], Awaitable[None]], float]] = [
            ("save-use", self._save_use, SAVE_USE_EVERY),
            ("expire", self._expire, EXPIRE_EVERY),
        ]
        if self._bus.is_shared or self._store.database.shared:  # without a bus there may be other nodes, by mistake
            chores.append(("heal", self._healing.look, LOOK_EVERY))
            chores.append(("end-revoked", self._healing.end_revoked, LOOK_EVERY))
        else:
            chores.append(("reconcile", self._hub.reconcile, RECONCILE_EVERY))
        if self._certificates is not None:
            chores.append(("certificate", self._watch_certificate, CERTIFICATE_EVERY))
        if self.settings.is_clustered:
            chores.append(("company", Company(self._guide, self._hub.nodes_are).look, ANNOUNCE_EVERY))
            readings = self._store.database.readings
            isolation = Isolation(self._bus, self._guide, self._streams, lambda: readings.answers, self._show)
            chores.append(("isolation", isolation.look, ISOLATION_EVERY))
        if self._classic is not None:
            chores.append(("classic", self._classic.tidy, self.settings.classic_times.tidy))
            if self._bus.is_shared:  # by itself: it must not wait for the other
                chores.append(("classic-use", self._classic.prove, self.settings.classic_times.prove))
        return chores

    async def _show(self, serving: bool) -> None:
        for listener in self._stand.listeners:
            await listener.show(serving)

    def _gateway(self) -> Gateway:
        """The classic contract, over the same services."""
        settings = self.settings
        services = Services(
            self._agent, self._heartbeat, self._lobby, self._channel, self._streams, self._bus, self._limiter
        )
        ports = Ports(settings.classic_ports.first, settings.classic_ports.last)
        return Gateway(
            services,
            self._where,
            self._here,
            lambda: new_server(settings, [ClassicInterceptor()]),
            ports,
            settings.classic_times,
            now,
            ticks,
        )

    def _here(self) -> Place:
        """Where the Lobby of this process listens."""
        address = self.addresses["lobby"]
        return Place(address.host, address.port)

    def _where(self, name: str) -> Place:
        """Where callers of the classic contract find a service, in whichever process."""
        address = Address.parse(self._guide.place(name))
        return Place(address.host, address.port)

    async def _listen(self, store: Store) -> None:
        """Take every address, and only then let anybody in: by then it is known where everything is."""
        contract = Contract()
        contract.warm(channel_service_pb2.SendRequest(), channel_service_pb2.PostRequest())
        behind = Behind(
            ServerFacts(version("madang"), store.store_id),
            self._guide,
            self._front,
            self._heartbeat,
            self._lobby,
            self._moderation,
            self._reports,
            self._channel,
            self._streams,
            self._limiter,
            contract,
            self._calls,
        )
        self._stand = Stand(self.settings, lambda: self._interceptors(contract), self._certificates)
        for name in self.settings.services:
            listener = self._stand.at(name)
            add(name, listener, behind)
            if self._classic is not None and name != "channel":  # channels have ports of their own
                listener.serves(self._classic.add(name, listener.grpc))
        for listener in self._stand.listeners:
            self._stack.push_async_callback(listener.stop, self.settings.drain)
        await self._stand.bind()
        self.addresses = self._stand.addresses
        self._guide.open(self._own_info(store), self._stand.here())
        await self._heartbeat.share()
        await self._stand.start()

    async def _answer_probes(self, address: Address) -> Address:
        """Say there that the node is alive; `_export` has it say more. Where that is."""
        where = await self._exporter.start(address)
        self._stack.push_async_callback(self._exporter.stop)
        if not where.is_loopback:
            _log.warning("metrics are plain HTTP at %s: whoever reaches that address reads them", where)
        return where

    def _export(self) -> None:
        """Show the metrics to whoever asks, and be ready."""
        sources = metrics.Sources(
            self.settings,
            version("madang"),
            migrate.HEAD,
            self._store,
            self._hub,
            self._agent,
            self._front.credentials,
            self._heartbeat,
            self._calls,
            self._nats,
            cast("PostgresDatabase", self._store.database) if self._store.database.shared else None,
            self._nodes,
            self._healing,
            lambda: self._guide.draining,
        )
        self._exporter.serve(metrics.registry(sources), lambda: not self._guide.turns_away)
        self._stack.push_async_callback(self._exporter.stop)  # before the parts that it reads

    def _own_info(self, store: Store) -> NodeInfo:
        settings = self.settings
        return NodeInfo(
            node_id=self._node_id,
            name=settings.name or f"{socket.gethostname()}:{self.listen.port}",
            version=version("madang"),
            started_at=now(),
            fingerprint=fingerprint(shared(settings)),
            addresses=self._stand.told(),
            store=store.store_id,
        )

    def _interceptors(self, contract: Contract) -> list[grpc.aio.ServerInterceptor]:
        settings = self.settings
        ours = ContractInterceptor(
            self._agent,
            contract,
            self._limiter,
            settings.trusted_proxies,
            counts=self._calls,
            access_log=settings.access_log,
        )
        return [ours, ClassicInterceptor()]

    def _committed(self, events: list[Event]) -> None:
        """Ring the bus for what was committed: changes in their encoded form, which every reader shares."""
        for event in events:
            if isinstance(event, Changes):
                for changed in encode_changes(event):
                    self._bus.publish(changed)
            else:
                self._bus.publish(event)

    def _recovered(self) -> None:
        """The store can be written again: what was stored without anybody knowing was not told."""
        self._bus.publish(NewsLost())

    async def _bot_rate(self, user_id: int) -> tuple[int, int]:
        a_second, burst = await self._store.read(accounts.limits, user_id)
        return a_second or 0, burst or 0

    async def _save_use(self) -> None:
        await self._agent.save_use(self._streams.sessions())

    async def _watch_certificate(self) -> None:
        if self._certificates is not None:
            await asyncio.to_thread(self._certificates.reload)

    async def _expire(self) -> None:
        self._heartbeat.expire()
        await self._heartbeat.share()


async def _join(store: Store, settings: Settings) -> None:
    """Be one of the nodes of the cluster that the store belongs to. Raises StoreOfAnotherCluster."""
    if settings.is_clustered:
        found = await store.write(belonging.claim, settings.cluster)
        if found != settings.cluster:
            raise StoreOfAnotherCluster(found, settings.cluster)
    elif settings.database is not None and (cluster := await store.read(belonging.owner)) is not None:
        _log.warning(
            "the database belongs to the cluster %r, and this node has no --bus: what happens on other nodes is "
            "shown here up to half a minute late, and the other way round",
            cluster,
        )
