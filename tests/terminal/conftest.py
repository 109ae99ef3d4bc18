"""A real server in a process of its own, and the real command against it: as a subprocess, or in a terminal."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest
from parts.ports import free_port

from madang.terminal.places import state_folder

from .vt import Terminal

PATIENCE = 20.0
"""Seconds in which whatever is waited for has to happen."""
PASSWORD = "the cat sat on the mat"  # noqa: S105


def environment(state: Path, server: str, name: str) -> dict[str, str]:
    """The environment of a command: nothing of the computer's own settings, times in UTC."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MADANG_")}
    return kept | {
        "MADANG_SERVER": server,
        "MADANG_STATE": str(state),
        "MADANG_NAME": name,
        "MADANG_KEYRING": "off",
        "TZ": "UTC",
        "TERM": "xterm",
        "PYTHONWARNINGS": "error",
        "PYTHONUNBUFFERED": "1",
    }


@dataclass
class ServerProcess:
    """`madang serve` in a process of its own, that can be stopped and started again on the same data."""

    data: Path
    port: int = field(default_factory=free_port)
    said: Path = Path()
    process: subprocess.Popen[bytes] | None = None
    more: tuple[str, ...] = ()
    """More options."""

    @property
    def target(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        options = ["--data", str(self.data), "--listen", self.target, "--no-classic", "--no-limits"]
        options += ["--registration", "open", *self.more]
        self.said = self.data.with_name(f"{self.data.name}.out")
        with self.said.open("wb") as out:
            self.process = subprocess.Popen([sys.executable, "-m", "madang", "serve", *options], stdout=out)
        eventually(self._listens, "the server listens")

    def first_invite(self) -> str:
        """The code that makes an owner, as the administrator reads it when the server starts."""
        told = re.compile(r"--invite (\S+)")
        eventually(lambda: told.search(self.said.read_text()), "it is told")
        return str(told.findall(self.said.read_text())[0])

    def stop(self) -> None:
        """End it as an administrator would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(PATIENCE) == 0
            self.process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(PATIENCE)
            self.process = None

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"this did not happen: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server for the tests of a module."""
    process = ServerProcess(tmp_path_factory.mktemp("server"))
    process.start()
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own: it may be stopped, and its first owner is yet to come."""
    server = ServerProcess(tmp_path / "data")
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it printed, as lines."""
        return self.out.splitlines()


class Running:
    """A command with pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    def write(self, text: str) -> None:
        """Write to its standard input."""
        self.stdin.write(text.encode())
        self.stdin.flush()

    def read_line(self) -> str:
        """The next line of its output, without the line end."""
        return self.stdout.readline().decode().removesuffix("\n")

    def end(self) -> Done:
        """Wait for its end."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return Done(self.process.returncode, out.decode(), err.decode())

    def end_unread(self) -> Done:
        """Stop reading its output, and wait for its end."""
        self.stdout.close()
        code = self.process.wait(PATIENCE)
        return Done(code, "", self.stderr.read().decode())


class Person:
    """Somebody with a computer of their own: a name and a state directory."""

    def __init__(self, name: str, state: Path, target: str) -> None:
        self.name = name
        self.folder = state_folder(state, target, name)
        self.target = target
        self.environment = environment(state, target, name)

    def has_account(self, invite: str = "") -> Person:
        """Register, unless this person did before, and stay signed in. In a process of its own: where gRPC was used, no
        terminal can be forked any more.
        """
        if not self.folder.exists():
            done = self.run("register", "--invite", invite, "--password-file", "-", stdin=PASSWORD)
            assert done.code == 0, done.err
        return self

    def run(self, *arguments: str, stdin: str | bytes = "", **variables: str) -> Done:
        """Run a command to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "madang", *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            timeout=60,
            env=self.environment | variables,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def start(self, *arguments: str) -> Iterator[Running]:
        """Start a command with pipes; it has to have ended at the end of the block."""
        command = [sys.executable, "-m", "madang", *arguments]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=self.environment) as process:
            try:
                yield Running(process)
                process.wait(PATIENCE)
            finally:
                process.kill()

    @contextmanager
    def terminal(self, command: str, *arguments: str) -> Iterator[Window]:
        """A command in a terminal."""
        window = Window(self, *arguments, command=command)
        try:
            yield window
        finally:
            window.close()

    @contextmanager
    def console(self, *arguments: str) -> Iterator[Window]:
        """A console in a terminal."""
        window = Window(self, *arguments)
        try:
            window.sees("#lobby>")
            yield window
        finally:
            window.close()


class Window:
    """A terminal window with a program in it: what is typed, and what is seen."""

    def __init__(
        self, person: Person, *arguments: str, command: str = "console", rows: int = 24, columns: int = 80
    ) -> None:
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "madang", command, *arguments],
            env=person.environment,
            dimensions=(rows, columns),
            encoding="utf-8",
            echo=False,
        )
        self._child.delaybeforesend = None
        self._terminal = Terminal(rows, columns, self._child.send)
        self.person = person

    @property
    def lines(self) -> list[str]:
        """What can be seen."""
        return self._terminal.lines

    @property
    def text(self) -> str:
        """The same as one text."""
        return self._terminal.text

    def untaken(self) -> int:
        """How many bytes the program has written that the window has not taken yet."""
        return int.from_bytes(fcntl.ioctl(self._child.child_fd, termios.FIONREAD, bytes(4)), sys.byteorder)

    def is_raw(self) -> bool:
        """Whether every key goes to the program as it is, and the kernel echoes none."""
        return not termios.tcgetattr(self._child.child_fd)[3] & (termios.ISIG | termios.ICANON | termios.ECHO)

    def type(self, text: str) -> None:
        """Press keys; `\\r` is the enter key."""
        self._child.send(text)

    def sees(self, *parts: str) -> None:
        """Wait until all the parts can be seen."""
        self.waits(lambda: all(part in self._terminal.text for part in parts), f"{parts} can be seen")

    def waits(self, condition: Callable[[], object], what: str) -> None:
        """Wait until a condition on what can be seen holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not so: {what}; seen was\n{self._terminal.text}"
            self._read()

    def sends_nothing(self) -> None:
        """Wait until everything is stored."""
        self.waits(lambda: self.count("sending") == 0, "nothing is being sent")

    def count(self, part: str) -> int:
        """In how many lines something can be seen."""
        return sum(part in line for line in self.lines)

    def leaves(self) -> int:
        """Wait for the program's end, and return its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"the console does not end; seen was\n{self._terminal.text}"
        self._child.close()
        return int(self._child.exitstatus if self._child.exitstatus is not None else -(self._child.signalstatus or 0))

    def close(self) -> None:
        """Close the window."""
        self._child.close(force=True)

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self._child.kill(number)

    def _read(self) -> bool:
        try:
            self._terminal.feed(self._child.read_nonblocking(65_536, timeout=0.1))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the people of a module keep who they are: the same name is the same user in all of its tests."""
    return tmp_path_factory.mktemp("state")


@pytest.fixture
def person(server: ServerProcess, state: Path) -> Callable[[str], Person]:
    """Makes people with an account at the server, who are signed in."""
    return lambda name: Person(name, state, server.target).has_account()


@pytest.fixture
def guest(server: ServerProcess, state: Path) -> Callable[[str], Person]:
    """Makes people without an account."""
    return lambda name: Person(name, state, server.target)


@pytest.fixture
def channel() -> str:
    """A name for a channel that no other test uses."""
    return f"room-{uuid.uuid4().hex[:8]}"


def stored(person: Person, channel: str) -> list[str]:
    """The texts of a channel, in order."""
    done = person.run("tail", channel, "--no-follow", "--json", "--after", "0")
    assert done.code == 0, done.err
    records = [json.loads(line) for line in done.lines]
    assert [record["sequence"] for record in records] == sorted({record["sequence"] for record in records})
    return [record["text"] for record in records if record["content"] == "text"]
