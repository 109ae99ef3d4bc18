"""What every command takes: which server, who one is, where state is kept, how long to wait.

The options may stand before or after the name of the command; the environment stands in for those that are not given.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from madang.terminal.exits import CommandError, Exit
from madang.terminal.places import (
    DEFAULT_SERVER,
    checked_handle,
    server_address,
    signed_in_name,
    state_base,
    state_folder,
    system_handle,
)
from madang.terminal.trust import remembered_trust, trust_of

if TYPE_CHECKING:
    from madang.client.tls import Tls

T = TypeVar("T")
_YES_AND_NO = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
DEFAULT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """The common options, complete and checked."""

    server: str
    """`host:port`; with commas between them where these are several nodes of it."""
    name: str
    """The handle to be known by; where it is taken, the server gives another one."""
    folder: Path | None
    """Where this user of this server is kept; None: nowhere, everything ends with the command."""
    timeout: float
    """Seconds to wait for the server's answer."""
    tls: Tls | bool | None = None
    """As `madang.connect` takes it."""
    base: Path = Path()
    """Where all users of all servers are kept."""
    token: str | None = field(default=None, repr=False)
    """A token from the environment, for bots and scripts: it is used in place of what is kept."""
    keyring: bool = True
    """Whether tokens may go to the system's keyring."""
    named: bool = False
    """Whether the user has said the name, for this command or in the environment."""


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the common options to a parser."""
    group = parser.add_argument_group("options for every command")
    absent = argparse.SUPPRESS  # so that an option before the command is not overwritten by a default after it
    group.add_argument(
        "--server",
        metavar="HOST:PORT,…",
        type=checked(server_address),
        default=absent,
        help=f"the server, or some of its nodes; environment: MADANG_SERVER; default: {DEFAULT_SERVER}",
    )
    group.add_argument(
        "--name",
        metavar="HANDLE",
        type=checked(checked_handle),
        default=absent,
        help="who you are; somebody else's name is an error, but in the console; environment: MADANG_NAME; "
        "default: who signed in last, else your name on this computer",
    )
    group.add_argument(
        "--state",
        metavar="DIR",
        type=Path,
        default=absent,
        help="where to keep who you are and what is not sent yet, in a folder per server and name; "
        "environment: MADANG_STATE; default: the system's place for such files",
    )
    group.add_argument(
        "--ephemeral", action="store_true", default=absent, help="come as a new guest; keep nothing on this computer"
    )
    group.add_argument(
        "--tls",
        action=argparse.BooleanOptionalAction,
        default=absent,
        help="use TLS, or plain text; environment: MADANG_TLS; default: as you signed in at this server, "
        "else TLS, but plain text to this machine",
    )
    group.add_argument(
        "--tls-ca",
        metavar="FILE",
        default=absent,
        help="the authorities to trust, or the server's own certificate, PEM; environment: MADANG_TLS_CA",
    )
    group.add_argument(
        "--tls-pin",
        metavar="SHA256",
        type=checked(pin),
        default=absent,
        help="trust the certificate with this SHA-256 and no other; environment: MADANG_TLS_PIN",
    )
    group.add_argument(
        "--client-cert", metavar="FILE", default=absent, help="your certificate, PEM; environment: MADANG_CLIENT_CERT"
    )
    group.add_argument(
        "--client-key", metavar="FILE", default=absent, help="its key, PEM; environment: MADANG_CLIENT_KEY"
    )
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=checked(_seconds),
        default=absent,
        help=f"how long to wait for an answer; default: {DEFAULT_TIMEOUT:g}",
    )


def read_options(arguments: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Options:
    """The common options: from the command line, else the environment, else the defaults.

    MADANG_TOKEN is a secret, and so has no option: a command line can be read by every user of the computer.
    """
    given = vars(arguments)
    server = given.get("server") or _from(environment, "MADANG_SERVER", server_address) or DEFAULT_SERVER
    base = (given.get("state") or _from(environment, "MADANG_STATE", Path) or state_base()).expanduser()
    said = given.get("name") or _from(environment, "MADANG_NAME", checked_handle)
    name = said or signed_in_name(base, server) or system_handle()
    tls = _read_tls(given, environment)
    return Options(
        server,
        name,
        folder=None if given.get("ephemeral") else state_folder(base, server, name),
        timeout=given.get("timeout", DEFAULT_TIMEOUT),
        base=base,
        token=environment.get("MADANG_TOKEN") or None,
        keyring=_from(environment, "MADANG_KEYRING", _yes) is not False,
        tls=tls if tls is not None else remembered_trust(base, server),
        named=bool(said),
    )


def as_name(options: Options, name: str) -> Options:
    """The options of another user of the same server. Raises CommandError where there is no place to keep it."""
    if options.folder is None:
        raise CommandError("with --ephemeral nothing is kept, so nobody can sign in", Exit.USAGE)
    return replace(options, name=name, folder=state_folder(options.base, options.server, name), token=None)


def _read_tls(given: Mapping[str, Any], environment: Mapping[str, str]) -> Tls | bool | None:
    """How the server is to be trusted; None where nothing says so. What belongs to TLS switches it on."""
    use: bool | None = given.get("tls", _from(environment, "MADANG_TLS", _yes))
    names = {"ca": "tls_ca", "pin": "tls_pin", "cert": "client_cert", "key": "client_key"}
    chosen = {}
    for part, name in names.items():
        read = pin if part == "pin" else str
        chosen[part] = given.get(name) or _from(environment, f"MADANG_{name.upper()}", read)
    return use if use is False else trust_of(chosen) or use


def _from(environment: Mapping[str, str], variable: str, read: Callable[[str], T]) -> T | None:
    text = environment.get(variable)
    if not text:
        return None
    try:
        return read(text)
    except ValueError as error:
        raise CommandError(f"the environment variable {variable} is not right: {error}", Exit.USAGE) from None


def pin(text: str) -> str:
    """A certificate's SHA-256 as hexadecimal digits; raises ValueError where it is none."""
    digits = text.replace(":", "").strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise ValueError("the SHA-256 of a certificate is 64 hexadecimal digits")
    return digits


def _yes(text: str) -> bool:
    word = text.lower()
    if word not in _YES_AND_NO:
        raise ValueError("true or false is needed")
    return _YES_AND_NO[word]


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise ValueError("a number of seconds above 0 is needed")
    return seconds


def checked(read: Callable[[str], T]) -> Callable[[str], T]:
    """`read` as argparse wants it: with the reason in the error message."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert
