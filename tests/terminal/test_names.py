"""Whom a one-shot command speaks for: a name that is asked for, free or taken."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .conftest import Person, ServerProcess, stored

Maker = Callable[[str], Person]


def test_a_name_that_is_taken(server: ServerProcess, tmp_path: Path, channel: str) -> None:
    name = channel
    first, second = (Person(name, tmp_path / place, server.target) for place in ("one", "two"))
    assert first.run("send", "lobby", "hello").err == ""
    for command in (("send", "lobby", f"as {name}"), ("tail", "lobby", "--no-follow"), ("send", "lobby", f"as {name}")):
        done = second.run(*command)
        assert (done.code, done.out) == (7, "")
        assert done.err == (
            f"madang: {name} is taken: if that is you, madang signin --server {server.target} --handle {name}; "
            "else take another --name\n"
        )
    assert f"as {name}" not in stored(first, "lobby")
    assert f"{name}-" not in first.run("users").out, "and nobody is left behind"
    third = Person(name, tmp_path / "three", server.target)
    assert f"{name} is taken; you are {name}-2." in third.run("console", stdin="/quit\n").lines
    assert f" {name}-2 ✓ hello" in third.run("send", "lobby", "hello").out, "as it was told to be in the console"


def test_a_name_that_nobody_has_chosen_gets_a_number(server: ServerProcess, tmp_path: Path, channel: str) -> None:
    first, second = (Person(channel, tmp_path / place, server.target) for place in ("one", "two"))
    assert first.run("send", "lobby", "hello").err == ""
    second.environment |= {"LOGNAME": channel, "USER": channel}
    del second.environment["MADANG_NAME"]
    done = second.run("send", "lobby", "hello")
    assert done.code == 0
    assert done.err.startswith(f"madang: {channel} is taken; you are a new guest, {channel}-2 (if {channel} is you: ")
    assert second.run("send", "lobby", "hello").err == "", "it is told once"


@contextmanager
def cutting(target: str, word: bytes) -> Iterator[str]:
    """The address of a way to a server that breaks each connection in which somebody says the word."""
    host, _, port = target.rpartition(":")
    ends: set[socket.socket] = set()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while (chunk := source.recv(65_536)) and word not in chunk:
                sink.sendall(chunk)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def take(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                server = socket.create_connection((host, int(port)))
                ends.update((client, server))
                for link in ((client, server), (server, client)):
                    pumps.submit(pump, *link)

    with ExitStack() as closing:
        pumps = closing.enter_context(ThreadPoolExecutor(32))
        listening = closing.enter_context(socket.create_server(("127.0.0.1", 0)))
        pumps.submit(take, listening)
        try:
            yield "127.0.0.1:{1}".format(*listening.getsockname())
        finally:
            for end in (listening, *ends):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            pumps.shutdown()
            for end in ends:
                end.close()


def test_a_name_that_is_taken_stays_an_error(server: ServerProcess, tmp_path: Path, channel: str) -> None:
    """Also where the guest that nobody wanted could not be taken away again: its session is not the name's."""
    name = channel
    assert Person(name, tmp_path / "one", server.target).run("send", "lobby", "hello").code == 0
    with cutting(server.target, b"DeleteMe") as target:
        second = Person(name, tmp_path / "two", target)
        for _ in range(2):
            done = second.run("send", "lobby", f"as {name}")
            assert (done.code, done.out) == (7, "")
            assert f"{name} is taken: " in done.err
        assert not (second.folder / "credentials.json").exists()
    assert f"{name}-2" in second.run("users", "--ephemeral", MADANG_SERVER=server.target).out, "it was cut"


def test_a_name_that_is_free_is_kept(server: ServerProcess, tmp_path: Path, channel: str) -> None:
    """By scripts that run at the same time, too."""
    mina = Person(channel, tmp_path, server.target)
    with ExitStack() as stack:
        scripts = [stack.enter_context(mina.start("send", "lobby", f"{number}")) for number in range(3)]
        ended = [script.end() for script in scripts]
    assert [(done.code, done.err) for done in ended] == [(0, "")] * 3
    assert all(f" {channel} ✓ " in done.out for done in ended)
    assert f" {channel} ✓ again" in mina.run("send", "lobby", "again").out
