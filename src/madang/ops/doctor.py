"""`madang doctor`: one look at each thing that keeps servers from working, or from being safe."""

from __future__ import annotations

import asyncio
import datetime
import os
import resource
import shutil
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from madang.ops import certificates
from madang.ops.certificates import CertificateError
from madang.ops.listening import Answer, ask
from madang.ops.reading import reading
from madang.ops.verify import verify
from madang.storage import marks, migrate
from madang.storage.errors import StoreError
from madang.storage.store import FILE_NAME

EXPIRES_SOON = datetime.timedelta(days=21)
LITTLE_SPACE = 1 << 30
NO_SPACE = 100 << 20
FEW_FILES = 4096
CLOCK_SLACK = 300.0
"""How far ahead of the clock a time may be, seconds."""
RELEASED = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
"""No clock that is right shows an earlier time than this."""


class Status(Enum):
    """How something is."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do where that is not OK."""

    check: str
    status: Status
    text: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What there is to look at: the data directory, addresses that are listened on, and the TLS files if there are.

    `database`: the address of the PostgreSQL database that the data is in; None: it is in the directory.
    """

    data: Path
    addresses: Sequence[tuple[str, int]]
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    database: str | None = None


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, Status.OK, text)


def warn(check: str, text: str, advice: str) -> Finding:
    """Works, for now."""
    return Finding(check, Status.WARN, text, advice)


def fail(check: str, text: str, advice: str) -> Finding:
    """Does not work, or is not safe."""
    return Finding(check, Status.FAIL, text, advice)


def examine(patient: Patient) -> Iterator[Finding]:
    """Look at everything; each thing is told when it has been looked at. Changes nothing."""
    checks: list[Callable[[Patient], Iterator[Finding]]] = [
        _permissions,
        _certificate,
        _space,
        _clock,
        _database if patient.database is None else _shared_database,
        _open_files,
        _ports,
    ]
    for look in checks:
        try:
            yield from look(patient)
        except OSError as error:
            name = look.__name__.strip("_").replace("_", " ")
            yield fail(name, f"cannot look: {error}", "run this as the user that the server runs as")


def _permissions(patient: Patient) -> Iterator[Finding]:
    data = patient.data
    if not data.exists():
        yield ok("data directory", f"{data} is not there yet; the server makes it")
        return
    if not data.is_dir():
        yield fail("data directory", f"{data} is not a directory", "choose another with --data")
        return
    secret = [data, *(path for path in sorted(data.iterdir()) if path.name.startswith("madang.db"))]
    if patient.tls_key is not None and patient.tls_key.exists():
        secret.append(patient.tls_key)
    bad = False
    for path in secret:
        facts = path.stat()
        if stat.S_IMODE(facts.st_mode) & 0o077:
            bad = True
            right = "700" if path.is_dir() else "600"
            yield fail("permissions", f"others on this machine can open {path}", f"chmod {right} {path}")
        if facts.st_uid != os.geteuid():
            bad = True
            advice = "run this as the user that the server runs as, or give the files to that user with chown"
            yield warn("permissions", f"{path} belongs to another user (uid {facts.st_uid})", advice)
    if not bad:
        yield ok("permissions", f"{data} and what is secret in it are its owner's alone")


def _certificate(patient: Patient) -> Iterator[Finding]:
    check = "certificate"
    if patient.tls_cert is None or patient.tls_key is None:
        yield ok(check, "none: the server speaks plain text")
        return
    try:
        pair = certificates.load(patient.tls_cert, patient.tls_key)
        if patient.tls_client_ca is not None:
            certificates.load_authorities(patient.tls_client_ca)
    except CertificateError as error:
        yield fail(check, str(error), "`madang cert` makes a pair; see docs/hosting.md")
        return
    now = datetime.datetime.now(datetime.UTC)
    until = f"{pair.not_after:%Y-%m-%d %H:%M} UTC"
    renew = "renew it; a running server takes the new pair by itself"
    if pair.not_after <= now:
        yield fail(check, f"{patient.tls_cert} has expired, on {until}", renew)
    elif pair.not_before > now:
        yield fail(
            check, f"{patient.tls_cert} is not good before {pair.not_before:%Y-%m-%d %H:%M} UTC", "set the clock"
        )
    elif pair.not_after - now < EXPIRES_SOON:
        yield warn(check, f"{patient.tls_cert} expires on {until}", renew)
    else:
        yield ok(check, f"good until {until} for {', '.join(pair.names) or 'no name'}; SHA-256 {pair.fingerprint}")


def _space(patient: Patient) -> Iterator[Finding]:
    place = next(path for path in (patient.data, *patient.data.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    told = f"{free / (1 << 30):.1f} GiB free where the data is"
    database = patient.data / FILE_NAME
    size = database.stat().st_size if database.exists() else 0
    if free < NO_SPACE:
        yield fail("disk space", told, "make room: without it nobody can send")
    elif free < max(LITTLE_SPACE, size):
        yield warn("disk space", told, "make room: an upgrade and a backup need as much as the data again")
    else:
        yield ok("disk space", told)


def _clock(patient: Patient) -> Iterator[Finding]:
    now = time.time()
    advice = "set the clock, and keep it right with NTP"
    if now < RELEASED.timestamp():
        yield fail("clock", f"it shows {time.strftime('%Y-%m-%d', time.gmtime(now))}, which is long past", advice)
        return
    times = {"the newest message": _newest_message(patient.data / FILE_NAME)}
    if patient.data.is_dir():
        times |= {str(path): path.stat().st_mtime for path in patient.data.iterdir()}
    ahead = {name: then - now for name, then in times.items() if then - now > CLOCK_SLACK}
    if ahead:
        name = max(ahead, key=ahead.__getitem__)
        yield warn("clock", f"{name} is from {ahead[name] / 60:.0f} minutes in the future", advice)
    else:
        yield ok("clock", "nothing is from the future")


def _newest_message(path: Path) -> float:
    """When the newest message was stored, seconds since the epoch; 0 where there is none, or no file that says so."""
    try:
        if migrate.check_file(path) is None:
            return 0.0
        # The newest of each channel: an index leads there, where max(created_at) would read every message.
        query = """SELECT max(m.created_at) FROM channels c
                   JOIN messages m ON m.channel_id = c.channel_id AND m.version = c.sequence"""
        with reading(path) as connection:
            (newest,) = connection.execute(query).fetchone()
    except (StoreError, sqlite3.Error):
        return 0.0  # told by the look at the database
    return (newest or 0) / 1_000_000


def _database(patient: Patient) -> Iterator[Finding]:
    path = patient.data / FILE_NAME
    damaged = "stop the server, keep a copy of the directory, and restore the newest good backup"
    try:
        revision = migrate.check_file(path)
        if revision is None:
            yield ok("database", f"{path} is not there yet; the server makes it")
            return
        contents = verify(path, quick=True)
        with reading(path) as connection:
            told = dict(connection.execute("SELECT key, value FROM store_info"))
    except (StoreError, sqlite3.Error) as error:
        yield fail("database", str(error), damaged)
        return
    for problem in contents.problems:
        yield fail("database", problem, damaged)
    if marks.MOVED in told:
        advice = "start the server with --database; docs/operations.md says how to go back"
        yield fail("database", f"the data of {path} has moved to {told[marks.MOVED]}: no server starts on it", advice)
    elif not contents.problems:
        held = f"{contents.messages} messages in {contents.channels} channels of {contents.users} users"
        yield ok("database", f"whole: {held}; schema {revision}")


def _shared_database(patient: Patient) -> Iterator[Finding]:
    from madang.storage.shared import look_at

    if patient.database is None:
        return
    try:
        found, revision = asyncio.run(look_at(patient.database))
    except StoreError as error:
        yield fail("database", str(error), "see docs/operations.md")
        return
    if revision is None:
        yield ok("database", f"{found} is empty; the server makes its tables")
    elif revision != migrate.HEAD:
        yield ok("database", f"{found} has the schema {revision}; the server brings it to {migrate.HEAD}")
    else:
        yield ok("database", f"{found} can be written; schema {revision}")


def _open_files(_: Patient) -> Iterator[Finding]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # the server raises its soft limit to the hard one
    if hard != resource.RLIM_INFINITY and hard < FEW_FILES:
        yield warn("open files", f"at most {hard}: each connection is one", "raise it: ulimit -Hn, or LimitNOFILE=")
    else:
        yield ok("open files", "no limit" if hard == resource.RLIM_INFINITY else f"up to {hard}")


def _ports(patient: Patient) -> Iterator[Finding]:
    for host, number in patient.addresses:
        if number == 0:
            continue
        where = f"{host}:{number}"
        match ask(host, number, patient.tls_cert):
            case Answer.FREE:
                yield ok("port", f"{where} is free")
            case Answer.SERVING:
                yield ok("port", f"a healthy Madang answers on {where}")
            case Answer.TLS_REFUSED:
                advice = "if that is this server: restart it, or see whether it asks for client certificates"
                yield warn("port", f"something on {where} refuses TLS with this certificate", advice)
            case Answer.UNBINDABLE:
                yield fail(
                    "port", f"{where} cannot be listened on", "choose an address of this machine, or a higher port"
                )
            case Answer.OTHER:
                yield fail("port", f"another program has {where}", "stop it, or choose another port with --listen")
