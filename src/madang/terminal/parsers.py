"""What the parts of the command line are made of: commands, options that several have, and types of arguments."""

from __future__ import annotations

import argparse
import asyncio
import inspect
from collections.abc import Callable
from enum import Enum
from importlib import import_module
from typing import Any, TypeAlias, TypeVar

from madang.terminal.durations import parse_duration
from madang.terminal.exits import epilog
from madang.terminal.options import add_common, checked
from madang.terminal.records import help_of

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # argparse has no public name for it

Choice = TypeVar("Choice", bound=Enum)


def add_command(commands: Commands, name: str, text: str, target: str, more: str = "") -> argparse.ArgumentParser:
    """Add a command. `target`: the `module:function` of `madang.terminal` that carries it out."""
    parser = add_group(commands, name, text, more)
    parser.set_defaults(func=_runner(target))
    return parser


def add_group(commands: Commands, name: str, text: str, more: str = "") -> argparse.ArgumentParser:
    """Add a command that only has commands of its own."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.{more}",
        epilog=epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_common(parser)
    return parser


def add_json(parser: argparse.ArgumentParser, kind: str) -> None:
    """Add the option that prints records of a kind."""
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line; the fields are below")
    parser.epilog = f"{help_of(kind)}\n\n{parser.epilog}"


def add_user(parser: argparse.ArgumentParser, name: str = "user", what: str = "whom") -> None:
    """Add an argument that names a user."""
    parser.add_argument(name, metavar=name.upper(), type=not_empty, help=f"{what}: a handle, or a number")


def not_empty(text: str) -> str:
    """The text; raises ArgumentTypeError for none."""
    if not text:
        raise argparse.ArgumentTypeError("a name is needed")
    return text


def number(text: str) -> int:
    """A number from 0; raises ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("a number is needed")
    return int(text)


def above_zero(text: str) -> int:
    """A number above 0; raises ArgumentTypeError for anything else."""
    found = number(text)
    if found == 0:
        raise argparse.ArgumentTypeError("a number above 0 is needed")
    return found


duration = checked(parse_duration)
"""A length of time as seconds; raises ArgumentTypeError for anything else."""


def one_of(*choices: Choice) -> Callable[[str], Choice]:
    """A member of an enumeration by its name."""
    names = {choice.name.lower(): choice for choice in choices}

    def convert(text: str) -> Choice:
        try:
            return names[text.lower()]
        except KeyError:
            raise argparse.ArgumentTypeError(f"one of {', '.join(names)} is needed") from None

    return convert


def _runner(target: str) -> Callable[[argparse.Namespace], int]:
    """What runs a command, imported when it is needed. One that asks for passwords does so before a loop runs."""

    def run(arguments: argparse.Namespace) -> int:
        module, _, function = target.partition(":")
        command: Callable[[argparse.Namespace], Any]
        command = getattr(import_module(f"madang.terminal.{module}"), function)
        if inspect.iscoroutinefunction(command):
            return int(asyncio.run(command(arguments)))
        return int(command(arguments))

    return run
