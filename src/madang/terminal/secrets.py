"""Passwords: asked for at the terminal without an echo, or read from a file. Never taken from the command line, where
every user of the computer could read them.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from madang.terminal.exits import CommandError, Exit

_TRIES = 3
_FILE_AT_MOST = 10_000


def add_password_file(parser: argparse.ArgumentParser, lines: str = "the password") -> None:
    """Add the option that reads passwords from a file; `lines` says what its lines hold."""
    parser.add_argument(
        "--password-file", metavar="FILE|-", help=f"do not ask; the file (-: standard input) holds {lines}"
    )


def one_password(arguments: argparse.Namespace, prompt: str) -> str:
    """The password; raises CommandError where there is none."""
    if arguments.password_file is not None:
        return _from_file(arguments.password_file, 1)[0]
    return ask(prompt)


def new_password(arguments: argparse.Namespace, prompt: str) -> str:
    """A password that is to be set: asked for twice. Raises CommandError where there is none."""
    if arguments.password_file is not None:
        return _from_file(arguments.password_file, 1)[0]
    return ask_twice(prompt)


def old_and_new_password(arguments: argparse.Namespace) -> tuple[str, str]:
    """The password as it is, and the new one; in a file, each on a line of its own."""
    if arguments.password_file is not None:
        old, new = _from_file(arguments.password_file, 2)
        return old, new
    return ask("The password as it is: "), ask_twice("The new password: ")


def ask(prompt: str) -> str:
    """Ask for a password without an echo. Raises CommandError where nobody sits at a terminal, or nothing is typed."""
    _need_a_terminal()
    try:
        password = getpass.getpass(prompt)
    except EOFError:
        password = ""
    if not password:
        raise CommandError("no password was given", Exit.USAGE)
    return password


def ask_twice(prompt: str) -> str:
    """Ask for a new password, and once more until both are the same."""
    for _ in range(_TRIES):
        password = ask(prompt)
        if ask("The same once more: ") == password:
            return password
        sys.stderr.write("These two are not the same.\n")
    raise CommandError("no password was given twice", Exit.USAGE)


def ask_line(prompt: str) -> str:
    """Ask for something that is no secret; empty where nothing is typed."""
    _need_a_terminal()
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def is_terminal() -> bool:
    """Whether somebody sits there who can be asked."""
    return sys.stdin.isatty()


def _need_a_terminal() -> None:
    if not is_terminal():
        text = "a password is asked for at a terminal only; --password-file FILE, or - for standard input, gives it"
        raise CommandError(text, Exit.USAGE)


def _from_file(name: str, count: int) -> list[str]:
    """The first lines of a file, without their ends."""
    if name == "-":
        raw = sys.stdin.buffer.read(_FILE_AT_MOST)
    else:
        with Path(name).open("rb") as file:
            raw = file.read(_FILE_AT_MOST)
    try:
        found = raw.decode().splitlines()[:count]
    except UnicodeDecodeError:
        raise CommandError("the password is not UTF-8", Exit.USAGE) from None
    if len(found) < count or not all(found):
        what = "a password" if count == 1 else "two lines, the password as it is and the new one"
        raise CommandError(f"{'standard input' if name == '-' else name} does not hold {what}", Exit.USAGE)
    return found
