"""What a typed line means."""

from __future__ import annotations

import pytest

from madang.terminal.commands import Command, Invoke, Misread, Say, help_rows, parse
from madang.terminal.completion import candidates

TABLE = [
    Command("join", "NAME|ID", "join a channel", "join"),
    Command("leave", "[NAME]", "leave a channel", "leave"),
    Command("help", "", "this list", "help", aliases=("?",)),
]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("hello", "hello"),
        ("//usr/bin", "/usr/bin"),
        ("//", "/"),
        ("  spaced ", "  spaced "),
        ("a\n/join b", "a\n/join b"),
    ],
)
def test_chat(line: str, text: str) -> None:
    assert parse(line, TABLE) == Say(text)


@pytest.mark.parametrize("line", ["", "   ", "\n\t"])
def test_nothing(line: str) -> None:
    assert parse(line, TABLE) is None


@pytest.mark.parametrize(
    ("line", "handler", "argument"),
    [
        ("/join dev", "join", "dev"),
        ("/JOIN   dev  ", "join", "dev"),
        ("/join two words", "join", "two words"),
        ("/leave", "leave", ""),
        ("/?", "help", ""),
        ("/join\tdev", "join", "dev"),
    ],
)
def test_commands(line: str, handler: str, argument: str) -> None:
    read = parse(line, TABLE)
    assert isinstance(read, Invoke)
    assert (read.command.handler, read.argument) == (handler, argument)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("/jion dev", "Did you mean /join?"),
        ("/usr/bin/env", "written //usr/bin/env"),
        ("/join", "write /join NAME|ID: join a channel"),
        ("/", "There is no command /."),
        ("/ join", "There is no command /."),
    ],
)
def test_misread(line: str, part: str) -> None:
    read = parse(line, TABLE)
    assert isinstance(read, Misread)
    assert part in read.hint


def test_no_guess_where_nothing_is_close() -> None:
    read = parse("/xyzzy", TABLE)
    assert isinstance(read, Misread)
    assert "Did you mean" not in read.hint


def test_help() -> None:
    assert help_rows(TABLE)[0] == ("/join NAME|ID", "join a channel")


@pytest.mark.parametrize(
    ("before", "found"),
    [
        ("/j", ["/join "]),
        ("/", ["/help ", "/join ", "/leave "]),
        ("/join d", ["design", "Dev"]),
        ("/join #d", ["design", "Dev"]),
        ("mi", ["mina: "]),
        ("hello mi", ["mina "]),
        ("see #d", ["#design", "#Dev"]),
        ("//j", []),
        ("hello ", []),
        ("", []),
    ],
)
def test_completion(before: str, found: list[str]) -> None:
    assert candidates(before, TABLE, ["lobby", "Dev", "design"], ["mina", "joon"])[0] == found
