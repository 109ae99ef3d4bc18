"""By what a server is known: kept when somebody signs in there with options of TLS, so that later commands need none.

What is kept belongs to the server, not to the user. Plain text is never kept: whoever wants that says so each time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from madang.terminal.exits import CommandError, Exit
from madang.terminal.places import server_folder

if TYPE_CHECKING:
    from madang.client.tls import Tls

_FILE = ".tls"  # no folder of a name begins with a dot
_PARTS = ("ca", "pin", "cert", "key")


def remember_trust(base: Path, server: str, tls: Tls | bool | None) -> None:
    """Somebody signed in with these options. `False`, plain text, forgets what was kept; None leaves it as it is."""
    path = server_folder(base, server) / _FILE
    if tls is False:
        path.unlink(missing_ok=True)
    elif tls is not None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f"{_FILE}.{os.getpid()}")
        with os.fdopen(os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            json.dump({} if tls is True else _parts_of(tls), file)
        aside.replace(path)


def remembered_trust(base: Path, server: str) -> Tls | bool | None:
    """What was kept, as `madang.connect` takes it; None where nothing was. Raises CommandError for a broken file."""
    path = server_folder(base, server) / _FILE
    try:
        text = path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}", Exit.FAILED) from None
    return trust_of(_read(path, text)) or True


def trust_of(parts: Mapping[str, str | None]) -> Tls | None:
    """The parts of a Tls that are given; None where none is. Raises CommandError for parts that do not go together."""
    if not any(parts.values()):
        return None
    from madang.client.tls import Tls  # the command line's help comes without it

    try:
        return Tls(parts.get("ca"), parts.get("pin") or "", parts.get("cert"), parts.get("key"))
    except ValueError as error:
        raise CommandError(str(error), Exit.USAGE) from None


def _parts_of(tls: Tls) -> dict[str, str]:
    files = {name: getattr(tls, name) for name in _PARTS if name != "pin" and getattr(tls, name) is not None}
    paths = {name: str(Path(file).expanduser().absolute()) for name, file in files.items()}
    return paths | ({"pin": tls.pin} if tls.pin else {})


def _read(path: Path, text: str) -> dict[str, str | None]:
    try:
        parts = json.loads(text)
        return {name: str(parts[name]) for name in _PARTS if parts.get(name)}
    except (ValueError, AttributeError) as error:
        raise CommandError(f"{path} does not say how a server is trusted: {error}", Exit.FAILED) from None
