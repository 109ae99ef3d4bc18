"""The kinds of settings: how each is read from a text (flag, environment) or a TOML value, and how it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from madang.core.budget import Allowance, Rate
from madang.core.cluster import SERVICES
from madang.node.settings import LOG_FORMATS, Address, PortRange, SettingError
from madang.rpc.address import Network, parse_network

MASK = "(secret)"
_PASSWORD_OPTION = re.compile(r"([?&](?:password|sslpassword)=)[^&]*", re.IGNORECASE)
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Kind:
    """`read` takes a text, or what TOML has for it where `toml` says so, and raises SettingError."""

    metavar: str
    """What stands for a value in the help; empty for a switch, whose flag takes none."""

    read: Callable[[str], Any]
    toml: tuple[type, ...] = (str,)
    """The types that the settings file may use. A text is read by `read`; so is a list of texts, with commas between
    them, as flags and the environment have it; the others are taken as they are."""

    wanted: str = "a text"
    """What the settings file has to hold."""

    mask: Callable[[str], str] | None = None
    """How a secret in the value is hidden, where the rest of it may be seen. What `read` raises then tells nothing of
    the value, and can be shown.
    """

    def from_toml(self, value: object) -> Any:
        """A value of the settings file. Raises SettingError."""
        if type(value) not in self.toml:  # not isinstance: True is no number here
            found = repr(value) if self.mask is None else f"a {type(value).__name__}"
            raise SettingError(f"{self.wanted} is needed, not {found}")
        if isinstance(value, list):
            if any(not isinstance(item, str) for item in value):
                raise SettingError(f"{self.wanted} is needed: each item is a text")
            return self.read(",".join(value))
        return self.read(value) if isinstance(value, str) else value

    def show(self, value: object) -> str:
        """A value as it would be given."""
        match value:
            case None:
                return ""
            case bool():
                return "true" if value else "false"
            case Enum():
                return str(value.value)
            case tuple():
                return ",".join(str(item) for item in value)
            case float():
                return f"{value:f}".rstrip("0").rstrip(".")
        return str(value)


def choice(*values: str, make: Callable[[str], Any] = str) -> Kind:
    """One of a few words."""

    def read(text: str) -> Any:
        if text not in values:
            raise SettingError(f"{text!r} is none of {', '.join(values)}")
        return make(text)

    return Kind("|".join(values), read, wanted=f"one of {', '.join(values)}")


def _file(text: str) -> Path:
    if not text:
        raise SettingError("the name of a file is needed")
    return Path(text).expanduser()


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingError(f"{text!r} is not a number") from None


def _whole(text: str) -> int:
    if not text.isascii() or not text.removeprefix("-").isdigit():
        raise SettingError(f"{text!r} is not a whole number")
    return int(text)


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise SettingError(f"{text!r} is neither true nor false")


def _plain(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader that raises SettingError where `parse` raises ValueError."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise SettingError(str(error)) from None

    return read


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(parse_network(part.strip()) for part in text.split(",") if part.strip())


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _services(text: str) -> tuple[str, ...]:
    asked = _words(text)
    if unknown := [name for name in asked if name not in SERVICES]:
        raise SettingError(f"{unknown[0]!r} is none of {', '.join(SERVICES)}")
    if not asked:
        raise SettingError(f"at least one of {', '.join(SERVICES)} is needed")
    return tuple(name for name in SERVICES if name in asked)


def _database(text: str) -> str:
    """The URL as it is, with one server or several, or none: `postgresql:///NAME?host=DIRECTORY`. Raises SettingError;
    it says nothing of the value, which may hold a password, and so does not let anyone guess where one ended.
    """
    scheme, separator, rest = text.strip().partition("://")
    wanted = "the URL of a PostgreSQL database is needed: postgresql://USER@HOST:PORT/NAME"
    if scheme.lower().startswith("sqlite"):
        raise SettingError(f"{wanted}. SQLite takes none: without a database the data is a file in --data")
    if scheme.lower() not in ("postgresql", "postgres") or not separator:
        raise SettingError(f"{wanted}. This does not begin with postgresql://")
    try:
        parts = urlsplit(text.strip())
        access, _, servers = parts.netloc.rpartition("@")
        good = (
            all(_has_place(f"//{server}") for server in servers.split(","))
            if servers
            else bool(parts.path[1:] or parts.query)
        )
    except ValueError:  # brackets that are no address of IPv6
        good = False
    if not good or "@" in access or "@" in parts.path + parts.fragment or any(map(str.isspace, rest)):
        if "@" not in rest:
            raise SettingError(f"{wanted}. In this the host is missing, or the port is no number up to 65535")
        raise SettingError(
            f"{wanted}. In this the host or the port cannot be read; in the user's name and the password, special "
            "characters are written as their codes: %40 for @, %3A for :, %2F for /, %3F for ?, %23 for #, %20 for a "
            "space"
        )
    return text.strip()


def _servers(text: str) -> tuple[str, ...]:
    """URLs. Raises SettingError, which says nothing of the value."""
    servers = _words(text)
    wanted = "the URLs of NATS servers are needed, with commas between them: nats://HOST:PORT, or tls://HOST:PORT"
    for server in servers:
        scheme, separator, rest = server.partition("://")
        if scheme.lower() not in ("nats", "tls") or not separator:
            raise SettingError(f"{wanted}. One of these does not begin with nats:// or tls://")
        if not _has_place(server) or any(map(str.isspace, rest)):
            raise SettingError(f"{wanted}. In one of these the host is missing, or the port is no number up to 65535")
    return servers


def _has_place(url: str) -> bool:
    """Whether a URL has a host, and no port that cannot be."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _all_masked(text: str) -> str:
    """URLs, with commas between them."""
    return ",".join(_masked(part) for part in text.split(","))


def _masked(url: str) -> str:
    """The user's name stays where there is a password beside it; alone it may be a token, as NATS has them."""
    scheme, separator, rest = url.partition("://")
    access, at, place = rest.rpartition("@")
    name, colon, _ = access.partition(":")
    if colon:
        access = f"{name}:{MASK}"
    elif at and not scheme.startswith("postgres"):
        access = MASK
    return f"{scheme}{separator}{access}{at}" + _PASSWORD_OPTION.sub(rf"\g<1>{MASK}", place)


def _collector(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingError("the address of a collector is needed: http://HOST:PORT, or https:// where it speaks TLS")
    return text


ADDRESS = Kind("HOST:PORT", Address.parse, wanted='an address such as "localhost:50050"')
FILE = Kind("FILE", _file, wanted="the name of a file")
DIRECTORY = Kind("DIR", _file, wanted="the name of a directory")
PORTS = Kind("FIRST-LAST", PortRange.parse, wanted='a range of ports such as "50054-50117"')
DATABASE = Kind(
    "URL",
    _database,
    wanted='the URL of a database such as "postgresql://madang@db.example.org/madang"',
    mask=_masked,
)
SERVERS = Kind(
    "URL,…",
    _servers,
    (str, list),
    'the URLs of NATS servers such as ["nats://nats.example.org:4222"]',
    mask=_all_masked,
)
COLLECTOR = Kind("URL", _collector, wanted='the address of a collector such as "http://localhost:4317"')
NAMES = Kind("SERVICE,…", _services, (str, list), f"some of {', '.join(SERVICES)}")
TEXT = Kind("TEXT", str)
SECONDS = Kind("SECONDS", _number, (int, float), "a number of seconds")
NUMBER = Kind("N", _whole, (int,), "a whole number")
SWITCH = Kind("", _switch, (bool,), "true or false")
RATE = Kind("BURST+N/s", _plain(Rate.parse), wanted='a rate such as "5+2/s": 5 at once, then 2 a second')
ALLOWANCE = Kind("N/SECONDSs", _plain(Allowance.parse), wanted='an allowance such as "5/900s": 5 in any 900 s')
NETWORKS = Kind("NETWORK,…", _plain(_networks), (str, list), 'networks or addresses such as ["10.0.0.0/8", "::1"]')
LOG_FORMAT = choice(*LOG_FORMATS)
