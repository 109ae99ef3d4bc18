"""What a typed line means. Pure: the table of commands is an argument, and nothing is carried out here."""

from __future__ import annotations

import difflib
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Handler = TypeVar("Handler")


@dataclass(frozen=True, slots=True)
class Command(Generic[Handler]):
    """One row of the table of commands."""

    name: str
    """What is typed after the `/`."""
    arguments: str
    """How the help shows the arguments: `NAME [TOPIC]`. Those in brackets may be left out."""
    help: str
    """What it does, in a few words."""
    handler: Handler
    """What carries it out."""
    aliases: tuple[str, ...] = ()
    """Other names."""
    offline: bool = False
    """Whether it works without a connection."""
    goes: Container[int] = ()
    """With how many words after its name it takes the chat to another channel."""
    free: bool = False
    """Whether its last argument is all the rest of the line."""

    @property
    def usage(self) -> str:
        """How it is typed."""
        return f"/{self.name} {self.arguments}".rstrip()

    @property
    def needs_argument(self) -> bool:
        """Whether it makes no sense alone."""
        return bool(self.arguments) and not self.arguments.startswith("[")

    def goes_with(self, argument: str) -> bool:
        """Whether chat goes to another channel after it."""
        return len(argument.split()) in self.goes

    def takes(self, argument: str) -> bool:
        """Whether these are no more words than it has arguments: to leave one out in silence could mislead."""
        return self.free or len(argument.split()) <= len(self.arguments.split())


@dataclass(frozen=True, slots=True)
class Say:
    """Chat for the current channel."""

    text: str


@dataclass(frozen=True, slots=True)
class Invoke(Generic[Handler]):
    """A command with its argument: all that follows the name, without the blanks around it."""

    command: Command[Handler]
    argument: str


@dataclass(frozen=True, slots=True)
class Misread:
    """A line that makes no sense, and what to tell the user."""

    hint: str
    meant: str = ""
    """The command that the user may have meant to go to another channel with; empty where it was none of these."""


def parse(line: str, table: Sequence[Command[Handler]]) -> Say | Invoke[Handler] | Misread | None:
    """Say what a typed line means; None for an empty one.

    A line that begins with `/` is a command, and one that begins with `//` is a text that begins with `/`.
    """
    if not line.strip():
        return None
    if line.startswith("//"):
        return Say(line[1:])
    if not line.startswith("/"):
        return Say(line)
    name, argument = _split(line[1:])
    command = find(name, table)
    if command is None:
        return _unknown(name, table)
    if not command.takes(argument) or (command.needs_argument and not argument):
        return Misread(f"write {command.usage}: {command.help}", f"/{name}" if command.goes else "")
    return Invoke(command, argument)


def find(name: str, table: Sequence[Command[Handler]]) -> Command[Handler] | None:
    """The command of that name or alias; case does not matter."""
    wanted = name.casefold()
    return next((command for command in table if wanted == command.name or wanted in command.aliases), None)


def help_rows(table: Sequence[Command[Handler]]) -> list[tuple[str, str]]:
    """How each command is typed, and what it does."""
    return [(command.usage, command.help) for command in table]


def _split(text: str) -> tuple[str, str]:
    name, *rest = text.split(maxsplit=1) or [""]
    if text[:1].isspace():  # "/ text" names no command
        return "", text.strip()
    return name, rest[0].strip() if rest else ""


def _unknown(name: str, table: Sequence[Command[Handler]]) -> Misread:
    names = [known for command in table for known in (command.name, *command.aliases)]
    close = difflib.get_close_matches(name.casefold(), names, n=1, cutoff=0.6)
    guess = f" Did you mean /{close[0]}?" if close else ""
    meant = find(close[0], table) if close else None
    hint = f"There is no command /{name}.{guess} /help lists them; a text that begins with / is written //{name}"
    return Misread(hint, f"/{name}" if meant is not None and meant.goes else "")
