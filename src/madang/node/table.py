"""Every setting, once. The flags, the environment's names, the keys of the settings file, `madang config` and
docs/settings.md are made from this table; the defaults are those of `madang.node.settings.Settings`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from madang.core.models import Registration
from madang.node.kinds import ADDRESS, DIRECTORY, FILE, LOG_FORMAT, NUMBER, PORTS, SECONDS, SWITCH, Kind, choice
from madang.node.settings import Settings

MASK = "(secret)"


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
    """Whether the value is never shown."""

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
        return getattr(_DEFAULTS, self.name)

    @property
    def default_text(self) -> str:
        """The default in words."""
        if self.default is None:
            return self.when_unset
        if self.kind is SWITCH:
            return "on" if self.default else "off"
        return self.kind.show(self.default)

    def show(self, value: object) -> str:
        """A value as it may be shown to anyone."""
        return MASK if self.secret and value is not None else self.kind.show(value)


_DEFAULTS = Settings()
_ON_LOOPBACK = "on when every address is loopback, off otherwise"
_SHARED = "shares the address of listen"

SETTINGS: tuple[Setting, ...] = (
    Setting("data", DIRECTORY, "where the data is kept; made when it is not there"),
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
    Setting("pace", SECONDS, "for how long the fan-out rests after a write, for each reader"),
    Setting("drain", SECONDS, "how long a shutdown waits for calls under way"),
    Setting("keepalive", SECONDS, "how often a silent connection is asked whether it still lives"),
    Setting("keepalive_timeout", SECONDS, "how long its answer may take; then it ends"),
    Setting("log_format", LOG_FORMAT, "how the log looks: lines for people, or a JSON object a line"),
    Setting("verbose", SWITCH, "log more"),
)

BY_NAME: dict[str, Setting] = {setting.name: setting for setting in SETTINGS}

NOT_SETTABLE = frozenset({"classic_times"})
"""Fields of Settings that only tests and embedders set."""
