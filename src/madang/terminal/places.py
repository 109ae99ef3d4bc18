"""Who the user is and where that is kept, when the command line does not say."""

from __future__ import annotations

import getpass
import re
from pathlib import Path
from urllib.parse import quote

import platformdirs

DEFAULT_SERVER = "localhost:50050"
_DEFAULT_PORT = "50050"
_HANDLE_LENGTH = 32
_SIGNED_IN = ".signed-in"  # no folder of a name begins with a dot
_HANDLE = re.compile(rf"[\w.-]{{1,{_HANDLE_LENGTH}}}")
_UNFIT = re.compile(r"[^\w.@+=,-]")
_SERVER = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s:\[\]/]+)(?::(?P<port>\d{1,5}))?")


def server_address(text: str) -> str:
    """`HOST:PORT`, or several with commas between; with the default port where none is given. Raises ValueError."""
    return ",".join(dict.fromkeys(_address(part.strip()) for part in text.split(",")))


def _address(text: str) -> str:
    match = _SERVER.fullmatch(text)
    port = (match and match["port"]) or _DEFAULT_PORT
    if match is None or not 0 < int(port) < 65_536:
        raise ValueError("a server is written HOST:PORT, for example chat.example.org:50050")
    return f"{match['host']}:{port}"


def checked_handle(text: str) -> str:
    """The handle as it is; raises ValueError where the contract does not allow it."""
    if not _HANDLE.fullmatch(text):
        raise ValueError(f"a name is 1 to {_HANDLE_LENGTH} letters, digits, '-', '_' and '.'")
    return text


def is_numbered(handle: str, name: str) -> bool:
    """Whether the handle is what the server makes of a name that is taken: the name with a number after it."""
    start, _, number = handle.casefold().rpartition("-")
    wanted = name.casefold()
    cut = len(handle) == _HANDLE_LENGTH and wanted.startswith(start)
    return number.isdecimal() and handle.casefold() != wanted and (start == wanted or cut)


def handle_from(system_name: str) -> str:
    """A name of the operating system as a handle: what is not allowed in one becomes `-`."""
    allowed = re.sub(r"[^\w.-]+", "-", system_name).strip("-.")[:_HANDLE_LENGTH]
    return allowed or "guest"


def system_handle() -> str:
    """The handle of the user at this computer."""
    try:
        return handle_from(getpass.getuser())
    except (OSError, KeyError, ImportError):  # nobody has this user id
        return "guest"


def state_base() -> Path:
    """Where state is kept by default."""
    return platformdirs.user_state_path("madang", appauthor=False)


def server_folder(base: Path, server: str) -> Path:
    """The folder of one server. Of several addresses, that of the first under which something is kept."""
    homes = [base / _folder(address) for address in server.split(",")]
    return next((home for home in homes if home.exists()), homes[0])


def state_folder(base: Path, server: str, name: str) -> Path:
    """The folder of one user of one server."""
    return server_folder(base, server) / _folder(name)


def signed_in_name(base: Path, server: str) -> str | None:
    """Who signed in last at a server on this computer, and has not signed out; None where nobody did."""
    try:
        return checked_handle((server_folder(base, server) / _SIGNED_IN).read_text("utf-8").strip())
    except (OSError, ValueError):
        return None


def remember_signed_in(base: Path, server: str, name: str) -> None:
    """Somebody signed in: whoever gives no name is this one from now on."""
    path = server_folder(base, server) / _SIGNED_IN
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(f"{name}\n", "utf-8")


def forget_signed_in(base: Path, server: str, name: str) -> None:
    """Somebody signed out; nothing happens where another one signed in since."""
    known = signed_in_name(base, server)
    if known is not None and known.casefold() == name.casefold():
        (server_folder(base, server) / _SIGNED_IN).unlink(missing_ok=True)


def _folder(text: str) -> str:
    """A text as a name of a folder: one for each text, whatever is in it, on every file system."""
    quoted = _UNFIT.sub(lambda match: quote(match.group(), safe=""), text.casefold())
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted
