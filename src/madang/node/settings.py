"""What a server is told at its start: one frozen object, checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from madang.core.cluster import MAX_NAME, SERVICES, is_one_line
from madang.core.hosts import is_loopback, is_wildcard
from madang.core.limits import Limits
from madang.core.models import Registration
from madang.rpc.address import Network
from madang.rpc.classic.times import Times

DEFAULT_PORT = 50050
LOG_FORMATS = ("text", "json")
FOREVER = 1_000_000
HANDOVER = 20.0
"""What `handover` is in a cluster where nothing is said, seconds."""


_CLUSTER = re.compile(r"[A-Za-z0-9_-]{1,64}")


class SettingError(ValueError):
    """A setting has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: a host name or IP address, and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `HOST`. Raises SettingError."""
        host, colon, port = text.rpartition(":")
        if not colon or text.endswith("]"):
            host, port = text, str(DEFAULT_PORT)
        if not port.isdecimal() or int(port) > 65535:
            raise SettingError(f"{text!r} is not an address: HOST:PORT with a port from 0 to 65535 is needed")
        return cls(host.strip("[]") or "localhost", int(port))

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class PortRange:
    """A range of ports, both ends in it."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `FIRST-LAST` or `PORT`. Raises SettingError."""
        first, _, last = text.partition("-")
        last = last or first
        if not (first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last) <= 65535):
            raise SettingError(f"{text!r} is not a range of ports: FIRST-LAST is needed, from 1 to 65535")
        return cls(int(first), int(last))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set. Raises SettingError when it does not fit together.

    `madang.node.table` has a row for each field that can be set from outside, with what its flag's help says.
    """

    data: Path = Path("madang-data")
    """The directory of the data file; made when it is not there."""

    database: str | None = None
    """The PostgreSQL database that keeps the data, `postgresql://USER:PASSWORD@HOST/NAME`; None: SQLite in `data`."""

    database_connections: int = 8
    """How many connections a node holds to PostgreSQL at most: one writes, the others read."""

    bus: tuple[str, ...] = ()
    """The NATS servers over which nodes tell each other what happened, `nats://HOST:PORT`; none: there is one node."""

    bus_credentials: Path | None = None
    """The credentials file for NATS, as its tools make it."""

    bus_ca: Path | None = None
    """Whom to trust when NATS speaks TLS, PEM; None: the system's authorities."""

    bus_cert: Path | None = None
    """This node's certificate for NATS, PEM; with `bus_key`."""

    bus_key: Path | None = None
    """The key of that certificate, PEM."""

    cluster: str = "madang"
    """What keeps two clusters on one NATS apart."""

    name: str = ""
    """What this node is called in logs and metrics; empty: the host's name and the port."""

    services: tuple[str, ...] = SERVICES
    """Which services this process serves."""

    advertise: Address | None = None
    """Where clients reach this node; None: where it listens."""

    wait: float = 30.0
    """How long a start waits for a database or a bus that is not there, seconds."""

    handover: float | None = None
    """Over how many seconds a shutdown tells its streams to come back elsewhere, a few at a time; 0: all at once; None:
    see `hands_over_within`.
    """

    listen: Address = Address("localhost", DEFAULT_PORT)
    """Where the Agent listens, and every service that has no address of its own."""

    heartbeat: Address | None = None
    """An address of its own for HeartbeatService."""

    lobby: Address | None = None
    """An address of its own for LobbyService."""

    channel: Address | None = None
    """An address of its own for ChannelService."""

    tls_cert: Path | None = None
    """The certificate chain of the server, PEM; with `tls_key`. Without them there is no TLS."""

    tls_key: Path | None = None
    """The key of the certificate, PEM, without a password."""

    tls_client_ca: Path | None = None
    """Whoever connects has to show a certificate that one of these vouches for, PEM."""

    insecure: bool = False
    """Whether other machines may connect without TLS: for what stands behind something that encrypts."""

    guests: bool | None = None
    """Whether guests are let in; None: when every address is loopback. See `lets_guests_in`."""

    registration: Registration = Registration.INVITE
    """How one gets an account."""

    password_time: int = 3
    """How often a password's hash (Argon2id) passes over its memory. A change is made up for as people sign in."""

    password_memory: int = 64 * 1024
    """How much memory it takes, KiB; at least 8 for each lane."""

    password_lanes: int = 4
    """How many lanes it has."""

    classic: bool | None = None
    """Whether the classic contract is served; None: when every address is loopback. See `serves_classic`."""

    classic_ports: PortRange = PortRange(50054, 50117)
    """The ports from which channels get addresses of their own in the classic contract."""

    classic_times: Times = field(default_factory=Times)
    """The intervals of the classic contract."""

    limits: Limits | None = field(default_factory=Limits)
    """How much anybody may do; None: there are no limits, for benchmarks and private networks."""

    trusted_proxies: tuple[Network, ...] = ()
    """The proxies whose `x-forwarded-for` is believed when it says where a call comes from."""

    pace: float = 0.00008
    """For how long the fan-out rests after a write, seconds for each reader; see `madang.core.pacing`."""

    drain: float = 5.0
    """How long a shutdown waits for calls under way, seconds."""

    keepalive: float = 20.0
    """How often the server asks a silent connection whether it still lives, seconds."""

    keepalive_timeout: float = 10.0
    """How long it waits for the answer, seconds; then the connection and its streams end."""

    metrics: Address | None = None
    """Where Prometheus fetches the metrics, by plain HTTP; None: nowhere."""

    traces: str | None = None
    """Where an OpenTelemetry collector takes traces, `http://HOST:PORT` (OTLP over gRPC); None: nothing is traced."""

    log_format: str = "text"
    """`text` or `json`: how a line of the log looks."""

    access_log: bool = False
    """Whether a line is logged for each call: whose, from where, how it ended. Never words, never secrets."""

    verbose: bool = False
    """Whether more is logged."""

    def __post_init__(self) -> None:
        self._check_tls()
        self._check_cluster()
        if self.password_time < 1 or self.password_lanes < 1 or self.password_memory < 8 * self.password_lanes:
            raise SettingError("password_time and password_lanes are at least 1, password_memory 8 for each lane")
        own = self.addresses
        fixed = [address for address in own if address.port]
        if len(fixed) != len(set(fixed)):
            raise SettingError("two services have the same address; leave an address out to share the Agent's")
        for name in ("heartbeat", "lobby", "channel"):
            address: Address | None = getattr(self, name)
            if address is not None and is_wildcard(address.host):
                raise SettingError(f"{name}: clients are told {address}, so it has to be one that they can reach")
        for name in ("pace", "drain", "keepalive", "keepalive_timeout", "wait", "handover"):
            if not 0 <= (getattr(self, name) or 0.0) < FOREVER:
                raise SettingError(f"{name} must not be negative, and less than {FOREVER} seconds")
        if self.metrics is not None and self.metrics.port and self.metrics in own:
            raise SettingError("metrics has the address of a service; it needs one of its own")
        if self.log_format not in LOG_FORMATS:
            raise SettingError(f"log_format is {' or '.join(LOG_FORMATS)}, not {self.log_format!r}")

    @property
    def addresses(self) -> list[Address]:
        """Every address that is listened on, but for the classic contract's ports."""
        own = [self.own_address(name) for name in self.services]
        return [*([self.listen] if None in own else []), *(address for address in own if address is not None)]

    @property
    def is_clustered(self) -> bool:
        """Whether there may be other nodes."""
        return bool(self.bus)

    @property
    def hands_over_within(self) -> float:
        """`handover`, or what follows from there being other nodes: they get a few per cent of the streams a second."""
        return (HANDOVER if self.is_clustered else 0.0) if self.handover is None else self.handover

    def own_address(self, service: str) -> Address | None:
        """The address that a service has of its own; None for one that stands with the Agent."""
        address: Address | None = None if service == "agent" else getattr(self, service)
        return address

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return all(address.is_loopback for address in self.addresses)

    @property
    def lets_guests_in(self) -> bool:
        """`guests`, or what follows from the addresses."""
        return self.is_loopback if self.guests is None else self.guests

    @property
    def serves_classic(self) -> bool:
        """`classic`, or what follows from the addresses."""
        return self.is_loopback if self.classic is None else self.classic

    def _check_cluster(self) -> None:
        if self.bus and self.database is None:
            raise SettingError("several nodes need one PostgreSQL: a bus goes with a database (--database)")
        if not self.bus and set(self.services) != set(SERVICES):
            raise SettingError("services in processes of their own find each other over a bus: --bus, and --database")
        if (self.bus_cert is None) != (self.bus_key is None):
            raise SettingError("bus_cert and bus_key belong together: a certificate and its key")
        if not self.bus and (self.bus_credentials or self.bus_ca or self.bus_cert):
            raise SettingError("bus_credentials, bus_ca and bus_cert are for a bus: --bus")
        if _CLUSTER.fullmatch(self.cluster) is None:
            raise SettingError("a cluster's name is 1 to 64 letters, digits, '-' and '_'")
        if not is_one_line(self.name):
            raise SettingError(f"a node's name is at most {MAX_NAME} printable characters")
        if self.database_connections < 2:
            raise SettingError("database_connections is at least 2: one writes, the others read")
        for name in ("heartbeat", "lobby", "channel"):
            if getattr(self, name) is not None and name not in self.services:
                raise SettingError(f"{name}: this process does not serve it, see services")
        if self.advertise is not None and is_wildcard(self.advertise.host):
            raise SettingError(f"advertise: clients are told {self.advertise}, so it has to be one that they can reach")
        shares = any(self.own_address(name) is None for name in self.services)
        if self.bus and self.advertise is None and shares and is_wildcard(self.listen.host):
            raise SettingError(
                f"advertise: clients are told of every node; where is this one? {self.listen} is anywhere"
            )

    def _check_tls(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingError("tls_cert and tls_key belong together: a certificate and its key")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise SettingError("tls_client_ca needs tls_cert and tls_key")
        if self.tls_cert is not None or self.insecure:
            return
        for address in self.addresses:
            if not address.is_loopback:
                raise SettingError(
                    f"{address} is not a loopback address, as localhost:50050 is: other machines connect with TLS "
                    "(--tls-cert and --tls-key; `madang cert` makes a pair), or with --insecure behind something that "
                    "encrypts"
                )
