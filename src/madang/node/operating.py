"""`madang cert`, `backup`, `restore`, `move` and `doctor`: their parsers, and what they print."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from madang.node.command import Commands, add_settings, config_of, usage_error
from madang.node.settings import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from madang.node.config import Config
    from madang.ops.doctor import Finding

DEFAULT_DAYS = 365
MOST_DAYS = 36_500
INTERRUPTED = 130

_TOOLS = (
    "which has tools of its own: pg_dump makes a backup, and pg_restore puts it back. How, and what is to be done "
    "after that, is told in docs/operations.md, under Backups"
)

EXITS = """\
exit codes:
  0  done, and all is well
  1  not done, or something is not well: what and why is printed
  2  wrong usage
"""


def add_parsers(commands: Commands) -> None:
    """Add the commands for whoever runs a server to the command line."""
    cert = _add(commands, "cert", "make a self-signed certificate for a private network")
    cert.add_argument("--out", metavar="DIR", help="where cert.pem and key.pem go (default: the data directory)")
    cert.add_argument(
        "--name",
        metavar="HOST",
        dest="hosts",
        action="append",
        help="a host name or IP address that clients use; again for more (default: this machine's name, localhost)",
    )
    cert.add_argument(
        "--days", metavar="N", type=_days, default=DEFAULT_DAYS, help=f"how long it is good (default: {DEFAULT_DAYS})"
    )
    add_settings(cert, "data")
    cert.set_defaults(func=run_cert)

    backup = _add(commands, "backup", "copy a server's data, while it runs or not")
    backup.add_argument("directory", metavar="DIR", type=Path, help="where the backup goes: a new or empty directory")
    add_settings(backup, "data")
    _take_database(backup)
    backup.set_defaults(func=run_backup)

    restore = _add(commands, "restore", "check a backup, or put it into an empty data directory")
    restore.add_argument("directory", metavar="DIR", type=Path, help="the backup")
    restore.add_argument("--check", action="store_true", help="only see whether the backup is whole")
    restore.add_argument(
        "--end-sessions",
        action="store_true",
        help="sign everybody out: no session, token, invite or reset code of then is good any more",
    )
    add_settings(restore, "data")
    _take_database(restore)
    restore.set_defaults(func=run_restore)

    move = _add(commands, "move", "move a server's data from SQLite to PostgreSQL, with every number as it was")
    move.add_argument(
        "source",
        metavar="SOURCE",
        help="sqlite:///PATH, the data file or its directory (sqlite:////PATH from the root); its server is stopped",
    )
    move.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="postgresql://USER@HOST:PORT/NAME, an empty database (default: the "
        "setting `database`: in the environment a password is not seen by others, as it is in a command line)",
    )
    add_settings(move, "database")
    move.set_defaults(func=run_move)

    doctor = _add(commands, "doctor", "see whether a server is set up well and its data is whole")
    add_settings(doctor)
    doctor.add_argument(
        "--json", action="store_true", help="print JSON, one object a line: check, status, text, advice"
    )
    doctor.set_defaults(func=run_doctor)


def run_cert(arguments: argparse.Namespace) -> int:
    """Make a pair; the exit code."""
    import datetime

    from madang.ops.certificates import CertificateError, make

    try:
        directory = Path(arguments.out) if arguments.out else config_of(arguments).data
    except SettingError as error:
        return usage_error(error)
    names = arguments.hosts or [socket.gethostname(), "localhost", "127.0.0.1", "::1"]
    try:
        certificate, key, fingerprint = make(directory, names, arguments.days, datetime.datetime.now(datetime.UTC))
    except CertificateError as error:
        return _failed(error)
    print(f"certificate: {certificate} (for {', '.join(dict.fromkeys(names))}; good for {arguments.days} days)")
    print(f"key:         {key} (keep it secret)")
    print(f"SHA-256:     {fingerprint}")
    print(f"serve with:   madang serve --tls-cert {certificate} --tls-key {key}")
    print(f"connect with: madang console --server {names[0]} --tls-pin {fingerprint}")
    return 0


def run_backup(arguments: argparse.Namespace) -> int:
    """Make a backup; the exit code."""
    from madang.ops.backup import backup
    from madang.ops.manifest import BackupError

    try:
        made = backup(_directory(config_of(arguments), arguments.directory), arguments.directory)
    except SettingError as error:
        return usage_error(error)
    except BackupError as error:
        return _failed(error)
    print(f"{arguments.directory}: {made.size} bytes as of {made.created_at}, SHA-256 {made.sha256}")
    return 0


def run_restore(arguments: argparse.Namespace) -> int:
    """Check a backup, or put it back; the exit code."""
    from madang.ops.manifest import BackupError
    from madang.ops.restore import check, restore

    try:
        if arguments.check:
            made, contents = check(arguments.directory)
            held = f"{contents.messages} messages in {contents.channels} channels of {contents.users} users"
            print(f"{arguments.directory} is whole: {held}, as of {made.created_at}")
            return 0
        data = _directory(config_of(arguments), arguments.directory)
        put = restore(arguments.directory, data, end_sessions=arguments.end_sessions)
    except SettingError as error:
        return usage_error(error)
    except BackupError as error:
        return _failed(error)
    then = put.made.created_at
    print(f"{data} is as it was at {then}, under the new name {put.store_id}: clients start over by themselves.")
    if arguments.end_sessions:
        print(f"{put.ended} sessions, tokens and codes were ended: everybody signs in again. Guests come as new ones.")
        print("Bans that were set after that have to be set again.")
    else:
        print(
            "Sessions and invites that were revoked after that are good again (--end-sessions ends them all), and bans"
        )
        print("that were set after that have to be set again.")
    return 0


def run_move(arguments: argparse.Namespace) -> int:
    """Move the data; the exit code."""
    import asyncio
    import time

    from madang.ops.move import MoveError, move

    try:
        config = config_of(arguments)
        source = _data_file(arguments.source)
        target = _target(arguments.target) if arguments.target is not None else config.values["database"].value
        if target is None:
            raise SettingError("where to? Give TARGET, postgresql://USER@HOST:PORT/NAME, or MADANG_DATABASE")
    except SettingError as error:
        return usage_error(error)
    try:
        moved = asyncio.run(move(source, target, _tell, time.time_ns() // 1000))
    except MoveError as error:
        return _failed(error)
    except KeyboardInterrupt:
        print("madang: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return INTERRUPTED
    if moved.again:
        print("everything was there already")
    else:
        print(f"moved {sum(moved.rows.values())} rows, the same on both sides; the store is {moved.store_id} as before")
    print("start the nodes with --database; the data file stays as it is, and no server starts on it any more")
    return 0


def run_doctor(arguments: argparse.Namespace) -> int:
    """Look at everything; the exit code."""
    from madang.ops.doctor import Status

    worst = 0
    for finding in _findings(arguments):
        worst = max(worst, int(finding.status is Status.FAIL))
        if arguments.json:
            facts = {name: getattr(finding, name) for name in ("check", "text", "advice")}
            print(json.dumps({"status": finding.status.value, **facts}, ensure_ascii=False), flush=True)
        else:
            advice = f". {finding.advice[:1].upper()}{finding.advice[1:]}" if finding.advice else ""
            print(f"{finding.status.value:<4} {finding.check}: {finding.text}{advice}", flush=True)
    return worst


def _findings(arguments: argparse.Namespace) -> Iterator[Finding]:
    from madang.ops.doctor import Patient, examine, fail, ok, warn

    try:
        config = config_of(arguments)
    except SettingError as error:
        yield fail("settings", str(error), "`madang serve --help` and docs/settings.md tell what can be set")
        return
    patient = Patient(config.data, [])
    try:
        settings = config.settings()
    except SettingError as error:
        yield fail("settings", str(error), "`madang config` shows where each value comes from")
    else:
        yield ok("settings", f"good; settings file: {config.file or 'none'}")
        if not settings.is_loopback and settings.tls_cert is None:
            yield warn("settings", "other machines connect in plain text", "use TLS, or see that something encrypts")
        if not settings.is_loopback and settings.serves_classic:
            yield warn(
                "settings", "the classic contract is open to others, in plain text", "switch it off: --no-classic"
            )
        addresses = [(address.host, address.port) for address in settings.addresses]
        files = settings.tls_cert, settings.tls_key, settings.tls_client_ca
        patient = Patient(config.data, addresses, *files, database=settings.database)
    yield from examine(patient)


def _add(commands: Commands, name: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=EXITS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _take_database(parser: argparse.ArgumentParser) -> None:
    """Take --database, which no help tells of: whoever gives it is told what to do instead."""
    parser.add_argument("--database", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _directory(config: Config, named: Path) -> Path:
    """The directory of the data. Raises BackupError where it is in a database, whose own tools know better. `named`:
    the backup's directory, if it is one.
    """
    from madang.ops.manifest import BackupError

    if str(named).startswith(("postgresql:", "postgres:")):
        raise BackupError(f"a directory is needed, for data in SQLite; this is PostgreSQL, {_TOOLS}")
    if config.values["database"].value is not None:
        raise BackupError(f"this server's data is in PostgreSQL ({config.values['database'].source}), {_TOOLS}")
    return config.data


def _target(url: str) -> str:
    """The database to move to. Raises SettingError."""
    from madang.node.kinds import DATABASE

    try:
        return str(DATABASE.read(url))
    except SettingError as error:
        raise SettingError(f"TARGET: {error}") from None


def _data_file(url: str) -> Path:
    """The data file of `sqlite:///PATH`, which may be its directory. Raises SettingError."""
    from madang.storage.store import FILE_NAME

    scheme, separator, path = url.partition(":///")
    if scheme != "sqlite" or not separator or not path:
        wanted = "SOURCE: the data file is needed as sqlite:///PATH, or sqlite:////PATH for a path from the root"
        if url.startswith("sqlite://"):
            raise SettingError(f"{wanted}. This has too few slashes, or no path")
        if "://" in url:  # it may hold a password
            raise SettingError(f"{wanted}. This is a URL of something else; SOURCE comes first, then TARGET")
        raise SettingError(f"{wanted}. Is sqlite:///{url} meant?")
    found = Path(path).expanduser()
    return found / FILE_NAME if found.is_dir() else found


def _tell(line: str) -> None:
    print(line, flush=True)


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= MOST_DAYS):
        raise argparse.ArgumentTypeError(f"a number of days from 1 to {MOST_DAYS} is needed")
    return int(text)


def _failed(error: Exception) -> int:
    print(f"madang: {error}", file=sys.stderr)
    return 1
