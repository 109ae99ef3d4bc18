"""What a server is told at its start: one frozen object, checked when it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from madang.core.models import Registration
from madang.rpc.classic.times import Times

DEFAULT_PORT = 50050


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
        return re.fullmatch(r"localhost|::1|127(\.\d{1,3}){3}", self.host) is not None


@dataclass(frozen=True, slots=True)
class PortRange:
    """A range of ports, both ends in it."""

    first: int
    last: int

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
    """Everything that can be set. Raises SettingError when it does not fit together."""

    data: Path = Path("madang-data")
    """The directory of the data file; made when it is not there."""

    listen: Address = Address("localhost", DEFAULT_PORT)
    """Where the Agent listens, and every service that has no address of its own. Loopback only, until there is TLS."""

    heartbeat: Address | None = None
    """An address of its own for HeartbeatService."""

    lobby: Address | None = None
    """An address of its own for LobbyService."""

    channel: Address | None = None
    """An address of its own for ChannelService."""

    registration: Registration = Registration.INVITE
    """How one gets an account: with an invite, anyone, or nobody but the first owner."""

    guests: bool | None = None
    """Whether guests are let in, who have no account. None: when every address is a loopback one."""

    password_time: int = 3
    """How often a password's hash (Argon2id) passes over its memory. A change is made up for as people sign in."""

    password_memory: int = 64 * 1024
    """How much memory it takes, KiB; at least 8 for each lane."""

    password_lanes: int = 4
    """How many lanes it has."""

    classic: bool = True
    """Whether the classic contract is served."""

    classic_ports: PortRange = PortRange(50054, 50117)
    """The ports from which channels get addresses of their own in the classic contract."""

    classic_times: Times = field(default_factory=Times)
    """The intervals of the classic contract."""

    pace: float = 0.00008
    """For how long the fan-out rests after a write, seconds for each reader; see `madang.core.pacing`."""

    drain: float = 5.0
    """How long a shutdown waits for calls under way, seconds."""

    keepalive: float = 20.0
    """How often the server asks a silent connection whether it still lives, seconds."""

    keepalive_timeout: float = 10.0
    """How long it waits for the answer, seconds; then the connection and its streams end."""

    def __post_init__(self) -> None:
        for address in (self.listen, self.heartbeat, self.lobby, self.channel):
            if address is not None and not address.is_loopback:
                raise SettingError(
                    f"{address} is not a loopback address. This version has no TLS and no passwords yet: it listens on "
                    "localhost only. Reach it from elsewhere through an SSH tunnel."
                )
        if self.password_time < 1 or self.password_lanes < 1 or self.password_memory < 8 * self.password_lanes:
            raise SettingError("password_time and password_lanes are at least 1, password_memory 8 for each lane")
        own = [address for address in (self.listen, self.heartbeat, self.lobby, self.channel) if address is not None]
        fixed = [address for address in own if address.port]
        if len(fixed) != len(set(fixed)):
            raise SettingError("two services have the same address; leave an address out to share the Agent's")
        for name in ("pace", "drain", "keepalive", "keepalive_timeout"):
            if getattr(self, name) < 0:
                raise SettingError(f"{name} must not be negative")

    @property
    def lets_guests_in(self) -> bool:
        """Whether guests are let in, decided."""
        if self.guests is not None:
            return self.guests
        addresses = (self.listen, self.heartbeat, self.lobby, self.channel)
        return all(address is None or address.is_loopback for address in addresses)
