"""Every setting, once. The flags, the environment's names, the keys of the settings file, `madang config` and
docs/settings.md are made from this table; the defaults are those of `madang.node.settings.Settings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from madang.core.limits import Limits
from madang.core.models import Registration
from madang.node.kinds import (
    ADDRESS,
    ALLOWANCE,
    COLLECTOR,
    DATABASE,
    DIRECTORY,
    FILE,
    LOG_FORMAT,
    MASK,
    NAMES,
    NETWORKS,
    NUMBER,
    PORTS,
    RATE,
    SECONDS,
    SERVERS,
    SWITCH,
    TEXT,
    Kind,
    choice,
)
from madang.node.settings import HANDOVER, Settings

LIMIT = "limit_"
"""How the names of those rows begin that are the fields of `madang.core.limits.Limits`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A row. `name` is the field of Settings and the key in the file; the flag and the environment's name are made
    from it.
    """

    name: str
    kind: Kind
    help: str
    when_unset: str = ""
    """What holds where the default is None."""
    secret: bool = False
    """Whether the value, or the password in it, is never shown."""

    @property
    def flag(self) -> str:
        """The flag of `madang serve`."""
        return "--" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "MADANG_" + self.name.upper()

    @property
    def default(self) -> Any:
        """What holds when nobody says anything else."""
        if self.name.startswith(LIMIT):
            return getattr(_LIMITS, self.name.removeprefix(LIMIT))
        if self.name == "limits":
            return _DEFAULTS.limits is not None
        return getattr(_DEFAULTS, self.name)

    @property
    def default_text(self) -> str:
        """The default in words."""
        if self.default in (None, (), ""):
            return self.when_unset
        if self.kind is SWITCH:
            return "on" if self.default else "off"
        return self.kind.show(self.default)

    def show(self, value: object) -> str:
        """A value as it may be shown to anyone."""
        text = self.kind.show(value)
        if not self.secret or not text:
            return text
        return MASK if self.kind.mask is None else self.kind.mask(text)


_DEFAULTS = Settings()
_LIMITS = Limits()
_ON_LOOPBACK = "on when every address is loopback, off otherwise"
_SHARED = "shares the address of listen"

SETTINGS: tuple[Setting, ...] = (
    Setting("data", DIRECTORY, "where the data is kept; made when it is not there"),
    Setting("database", DATABASE, "the PostgreSQL database that keeps the data", "SQLite in data", secret=True),
    Setting("database_connections", NUMBER, "connections to PostgreSQL at most: one writes, the others read"),
    Setting("bus", SERVERS, "the NATS servers that connect the nodes", "one node, no bus", secret=True),
    Setting("bus_credentials", FILE, "the credentials file for NATS", "none"),
    Setting("bus_ca", FILE, "whom to trust when NATS speaks TLS, PEM", "the system's authorities"),
    Setting("bus_cert", FILE, "this node's certificate for NATS, PEM", "none"),
    Setting("bus_key", FILE, "the certificate's key, PEM", "none"),
    Setting("cluster", TEXT, "the cluster's name: it keeps two of them on one NATS apart"),
    Setting("name", TEXT, "what this node is called in logs and metrics", "the host and the port"),
    Setting("services", NAMES, "which services this process serves"),
    Setting("advertise", ADDRESS, "where clients reach this node, behind a load balancer say", "where it listens"),
    Setting("wait", SECONDS, "how long a start waits for a database or a bus that is not there"),
    Setting(
        "handover",
        SECONDS,
        "over which time a shutdown sends its streams elsewhere, a few at a time",
        f"{HANDOVER:g} with a bus, 0 without",
    ),
    Setting("listen", ADDRESS, "where to listen, for every service without an address of its own"),
    Setting("heartbeat", ADDRESS, "an address of its own for the heartbeat service", _SHARED),
    Setting("lobby", ADDRESS, "an address of its own for the lobby service", _SHARED),
    Setting("channel", ADDRESS, "an address of its own for the channel service", _SHARED),
    Setting("tls_cert", FILE, "the server's certificate and its chain, PEM; taken anew when it changes", "no TLS"),
    Setting("tls_key", FILE, "the certificate's key, PEM; taken anew when it changes", "no TLS"),
    Setting("tls_client_ca", FILE, "clients must show a certificate of one of these authorities, PEM", "not asked for"),
    Setting("insecure", SWITCH, "let other machines connect without TLS: only behind something that encrypts"),
    Setting("guests", SWITCH, "let guests in, who have no account", _ON_LOOPBACK),
    Setting(
        "registration",
        choice(*(each.value for each in Registration), make=Registration),
        "how one gets an account: with an invite, openly, or not at all",
    ),
    Setting("password_time", NUMBER, "how often a password's hash (Argon2id) passes over its memory"),
    Setting("password_memory", NUMBER, "how much memory it takes, KiB"),
    Setting("password_lanes", NUMBER, "how many lanes it has"),
    Setting("classic", SWITCH, "serve the classic contract, whose channel ports are plain text", _ON_LOOPBACK),
    Setting("classic_ports", PORTS, "ports for the channels of the classic contract"),
    Setting("limits", SWITCH, "limit how much anybody may do; off: for benchmarks and private networks"),
    Setting("limit_messages", RATE, "messages of a person: at once, then a second"),
    Setting("limit_bot_messages", RATE, "messages of a bot for which nothing else was set"),
    Setting("limit_sign_in_failures", ALLOWANCE, "wrong passwords for an account"),
    Setting("limit_sign_in_failures_by_address", ALLOWANCE, "wrong passwords from an address"),
    Setting("limit_registrations_by_address", ALLOWANCE, "new accounts from an address"),
    Setting("limit_guests_by_address", RATE, "new guests from an address"),
    Setting("limit_open_calls_by_address", RATE, "calls without a session from an address"),
    Setting("limit_reads", RATE, "reads of stored messages, of a user"),
    Setting("limit_subscriptions", RATE, "new live streams of a user"),
    Setting("limit_changes", RATE, "changes that others are told of (join, leave, create, …), of a user"),
    Setting("limit_requests", RATE, "all other calls of a session"),
    Setting("limit_requests_under_way", NUMBER, "calls of a session that wait for their answer"),
    Setting("limit_streams_per_session", NUMBER, "open streams of a session"),
    Setting("limit_streams_per_address", NUMBER, "open streams from an address"),
    Setting("limit_sessions_per_user", NUMBER, "sessions of a person; one more ends the one not used for longest"),
    Setting("limit_channels_per_user", NUMBER, "channels that a user is in"),
    Setting("limit_channels_owned", NUMBER, "channels that a user owns"),
    Setting("limit_direct_channels_per_user", NUMBER, "direct channels that a user is in"),
    Setting("limit_members_per_channel", NUMBER, "members of a channel"),
    Setting("limit_invites_per_user", NUMBER, "invites of an administrator that are still good"),
    Setting("limit_bots_per_person", NUMBER, "bots of a person"),
    Setting("limit_tokens_per_bot", NUMBER, "tokens of a bot"),
    Setting("trusted_proxies", NETWORKS, "proxies whose x-forwarded-for is believed", "none"),
    Setting("pace", SECONDS, "for how long the fan-out rests after a write, for each reader"),
    Setting("drain", SECONDS, "how long a shutdown waits for calls under way"),
    Setting("keepalive", SECONDS, "how often a silent connection is asked whether it still lives"),
    Setting("keepalive_timeout", SECONDS, "how long its answer may take; then it ends"),
    Setting("metrics", ADDRESS, "where to answer /metrics, /ready and /live by plain HTTP, to whoever asks", "off"),
    Setting("traces", COLLECTOR, "where an OpenTelemetry collector takes traces (OTLP over gRPC)", "off"),
    Setting("log_format", LOG_FORMAT, "how the log looks: lines for people, or a JSON object a line"),
    Setting("access_log", SWITCH, "log a line for each call: who, from where, how it ended; no words, no secrets"),
    Setting("verbose", SWITCH, "log more"),
)

BY_NAME: dict[str, Setting] = {setting.name: setting for setting in SETTINGS}

NOT_SETTABLE = frozenset({"classic_times"})
"""Fields of Settings that only tests and embedders set."""
