"""The metrics: a table of what the layers count, and how Prometheus gets it.

The layers count in plain numbers (`madang.core.counting`); they are read when somebody asks. Names follow Prometheus'
conventions: `_total` counts up, `_seconds` and `_bytes` are units. docs/operations.md tells what to make of them; a
test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from platform import python_version
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from madang.bus.base import Nodes
from madang.core.counting import Histogram
from madang.node.settings import Settings
from madang.rpc.counting import CallCounts
from madang.services.agent import AgentService
from madang.services.credentials import Credentials
from madang.services.healing import Healing
from madang.services.heartbeat import HeartbeatService
from madang.services.hub import Hub
from madang.storage.store import Store

if TYPE_CHECKING:
    from madang.bus.nats import NatsBus
    from madang.storage.postgres import PostgresDatabase

PREFIX = "madang_"


@dataclass(frozen=True, slots=True)
class Sources:
    """What is read: the parts of a running node."""

    settings: Settings
    version: str
    schema: str
    store: Store
    hub: Hub
    agent: AgentService
    credentials: Credentials
    heartbeat: HeartbeatService
    calls: CallCounts
    nats: NatsBus | None
    """The bus; None: this node is alone."""
    database: PostgresDatabase | None
    """The database; None: it is a data file."""
    nodes: Nodes
    healing: Healing
    is_draining: Callable[[], bool]


Number = int | float
Labels = tuple[str, ...]
Read = Callable[[Sources], Number]
ReadLabelled = Callable[[Sources], Mapping[Labels, Number]]
ReadHistogram = Callable[[Sources], Mapping[Labels, Histogram]]


class Kind(Enum):
    """What Prometheus calls it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Row:
    """One metric: its name without the prefix (and, of a counter, without `_total`), and where its value is."""

    name: str
    kind: Kind
    help: str
    labels: Labels
    read: Callable[[Sources], Mapping[Labels, Number | Histogram]]

    @property
    def full_name(self) -> str:
        """The name that queries use."""
        suffix = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(self.kind, "")
        return f"{PREFIX}{self.name}{suffix}"

    def family(self, sources: Sources) -> Metric:
        """The metric as it is now."""
        name, found = PREFIX + self.name, self.read(sources)
        match self.kind:
            case Kind.INFO:
                return InfoMetricFamily(name, self.help, dict(zip(self.labels, next(iter(found)), strict=True)))
            case Kind.HISTOGRAM:
                histogram = HistogramMetricFamily(name, self.help, labels=self.labels)
                for labels, value in found.items():
                    if isinstance(value, Histogram):
                        histogram.add_metric(labels, value.cumulative(), value.sum)
                return histogram
        family: CounterMetricFamily | GaugeMetricFamily = (
            CounterMetricFamily(name, self.help, labels=self.labels)
            if self.kind is Kind.COUNTER
            else GaugeMetricFamily(name, self.help, labels=self.labels)
        )
        for labels, value in found.items():
            if not isinstance(value, Histogram):
                family.add_metric(labels, value)
        return family


def _one(kind: Kind, name: str, text: str, read: Callable[[Sources], Number | Histogram]) -> Row:
    return Row(name, kind, text, (), lambda sources: {(): read(sources)})


def _counter(name: str, text: str, read: Read) -> Row:
    return _one(Kind.COUNTER, name, text, read)


def _gauge(name: str, text: str, read: Read) -> Row:
    return _one(Kind.GAUGE, name, text, read)


def _histogram(name: str, text: str, read: Callable[[Sources], Histogram]) -> Row:
    return _one(Kind.HISTOGRAM, name, text, read)


def _bus(kind: Callable[[str, str, Read], Row], name: str, text: str, read: Callable[[NatsBus], Number]) -> Row:
    """What only a bus between nodes has."""
    row = kind(name, text, lambda sources: 0)
    return replace(row, read=lambda sources: {} if sources.nats is None else {(): read(sources.nats)})


def _healed(sources: Sources) -> Mapping[Labels, Number]:
    healing = sources.healing
    return {
        ("heads",): sources.hub.gaps_healed,
        ("memberships",): healing.members_healed,
        ("sessions",): healing.sessions_healed,
    }


def _connections(database: PostgresDatabase) -> Mapping[Labels, Number]:
    busy, idle = database.connections
    return {("busy",): busy, ("idle",): idle}


def _build(sources: Sources) -> Mapping[Labels, Number]:
    return {(sources.version, sources.schema, python_version()): 1}


def _node(sources: Sources) -> Mapping[Labels, Number]:
    settings = sources.settings
    kept = "sqlite" if settings.database is None else "postgresql"
    carried = "nats" if settings.bus else "local"
    return {(settings.cluster, ",".join(settings.services), kept, carried): 1}


METRICS: tuple[Row, ...] = (
    Row("build", Kind.INFO, "which version runs", ("version", "schema", "python"), _build),
    Row("node", Kind.INFO, "what this node is", ("cluster", "services", "database", "bus"), _node),
    Row(
        "streams",
        Kind.GAUGE,
        "streams that are open",
        ("method",),
        lambda sources: {(name,): count for name, count in sources.calls.streams.items()},
    ),
    _gauge("connections", "connections that have a stream open", lambda sources: sources.calls.connections),
    _gauge("sessions_known", "sessions that are known without asking the store", lambda s: len(s.agent.sessions)),
    _gauge("users_here", "users who are here, on whatever node", lambda sources: sources.heartbeat.count()),
    Row("calls", Kind.COUNTER, "calls that have ended", ("method", "code"), lambda sources: sources.calls.calls),
    Row(
        "call_seconds",
        Kind.HISTOGRAM,
        "how long calls took that answer once",
        ("method",),
        lambda sources: {(name,): seconds for name, seconds in sources.calls.seconds.items() if seconds.count},
    ),
    Row(
        "refusals",
        Kind.COUNTER,
        "calls, and messages of lists, that were refused",
        ("method", "reason"),
        lambda sources: sources.calls.refusals,
    ),
    Row(
        "passwords",
        Kind.COUNTER,
        "passwords that were looked at",
        ("result",),
        lambda sources: {("right",): sources.credentials.right, ("wrong",): sources.credentials.wrong},
    ),
    _counter(
        "messages_stored",
        "messages that were stored, with changes that are told as messages",
        lambda sources: sources.store.writer.stored,
    ),
    _histogram("commit_seconds", "how long commits took", lambda sources: sources.store.writer.commit_seconds),
    _histogram("commit_size", "drafts and operations in a commit", lambda sources: sources.store.writer.group_size),
    _counter("commit_failures", "commits that failed", lambda sources: sources.store.writer.failures),
    _gauge(
        "writer_waiting_bytes", "what waits for its commit, as weighed", lambda sources: sources.store.writer.waiting
    ),
    _histogram(
        "delivery_seconds", "from the commit to the end of a reader's write, sampled", lambda s: s.hub.lag.seconds
    ),
    _counter(
        "deliveries_overdue", "sampled deliveries that were not done after two seconds", lambda s: s.hub.lag.overdue
    ),
    _gauge("channels_watched", "channels that somebody reads here", lambda sources: len(sources.hub.rings)),
    _counter("ring_hits", "batches that readers took from memory", lambda sources: sources.hub.ring_hits),
    _counter("ring_misses", "batches for which readers had to wait for the store", lambda s: s.hub.ring_misses),
    _gauge("draining", "1 from the moment that a shutdown begins", lambda sources: int(sources.is_draining())),
    _bus(_gauge, "bus_connected", "1 while events travel between the nodes", lambda bus: int(bus.is_connected)),
    _bus(_counter, "bus_returns", "how often the bus was back after it was away", lambda bus: bus.returns),
    _bus(_counter, "bus_sent", "events that left for the other nodes", lambda bus: bus.sent),
    _bus(_counter, "bus_received", "events that came from other nodes", lambda bus: bus.received),
    _bus(_counter, "bus_dropped", "events that did not leave: others find it in the store", lambda bus: bus.dropped),
    _bus(_gauge, "bus_waiting_bytes", "what waits to leave", lambda bus: bus.waiting),
    _gauge("nodes_known", "nodes that are alive, this one with them", lambda sources: len(sources.nodes.known())),
    Row("healed", Kind.COUNTER, "what the bus had lost, and the store had", ("what",), _healed),
    Row(
        "database_connections",
        Kind.GAUGE,
        "connections to PostgreSQL, by what they do",
        ("state",),
        lambda sources: {} if sources.database is None else _connections(sources.database),
    ),
    _counter("pages_loaded", "pages read from the store for readers", lambda sources: sources.hub.pages.loaded),
)
"""Every metric of ours, in the order in which they are told."""


class NodeCollector(Collector):
    """Reads a node when it is asked."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def collect(self) -> Iterator[Metric]:
        """Every row of the table, as it is now."""
        for row in METRICS:
            yield row.family(self._sources)

    def describe(self) -> Iterable[Metric]:
        """The names alone: nothing is read when the collector is registered."""
        return [Metric(PREFIX + row.name, row.help, row.kind.value) for row in METRICS]


def registry(sources: Sources) -> CollectorRegistry:
    """A node's metrics, with those of its process (memory, processor, open files)."""
    made = CollectorRegistry()
    made.register(NodeCollector(sources))
    ProcessCollector(registry=made)
    GCCollector(registry=made)
    return made
