"""What a typed line means."""

from __future__ import annotations

import pytest

from madang.terminal.commands import Command, Invoke, Misread, Say, help_rows, parse
from madang.terminal.completion import candidates

TABLE = [
    Command("join", "NAME|ID", "join a channel", "join", goes=(1,)),
    Command("leave", "[NAME]", "leave a channel", "leave", goes=(0,)),
    Command("topic", "[TEXT]", "set the topic", "topic", free=True),
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
        ("/topic two words", "topic", "two words"),
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
        ("/join two words", "write /join NAME|ID: join a channel"),
        ("/help me", "write /help: this list"),
        ("/", "There is no command /."),
        ("/ join", "There is no command /."),
    ],
)
def test_misread(line: str, part: str) -> None:
    read = parse(line, TABLE)
    assert isinstance(read, Misread)
    assert part in read.hint


@pytest.mark.parametrize(
    ("line", "meant"),
    [("/jion dev", "/jion"), ("/join", "/join"), ("/join a b", "/join"), ("/hlep", ""), ("/xyzzy", "")],
)
def test_what_may_have_been_meant_to_go_elsewhere(line: str, meant: str) -> None:
    read = parse(line, TABLE)
    assert isinstance(read, Misread)
    assert read.meant == meant


def test_what_goes_to_another_channel() -> None:
    goes = {
        line: read.command.goes_with(read.argument)
        for line in ("/join a", "/leave", "/leave a", "/topic a b")
        if isinstance(read := parse(line, TABLE), Invoke)
    }
    assert goes == {"/join a": True, "/leave": True, "/leave a": False, "/topic a b": False}


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
        ("/", ["/help ", "/join ", "/leave ", "/topic "]),
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
