"""The kinds of settings: how each is read from a text (flag, environment) or a TOML value, and how it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from madang.node.settings import LOG_FORMATS, Address, PortRange, SettingError

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

    def from_toml(self, value: object) -> Any:
        """A value of the settings file. Raises SettingError."""
        if type(value) not in self.toml:  # not isinstance: True is no number here
            raise SettingError(f"{self.wanted} is needed, not {value!r}")
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


ADDRESS = Kind("HOST:PORT", Address.parse, wanted='an address such as "localhost:50050"')
FILE = Kind("FILE", _file, wanted="the name of a file")
DIRECTORY = Kind("DIR", _file, wanted="the name of a directory")
PORTS = Kind("FIRST-LAST", PortRange.parse, wanted='a range of ports such as "50054-50117"')
SECONDS = Kind("SECONDS", _number, (int, float), "a number of seconds")
NUMBER = Kind("N", _whole, (int,), "a whole number")
SWITCH = Kind("", _switch, (bool,), "true or false")
LOG_FORMAT = choice(*LOG_FORMATS)
