"""What the tab key offers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from madang.terminal.commands import Command

_CHANNELS = "NAME|ID"


def candidates(
    before: str, table: Sequence[Command[Any]], channels: Iterable[str], handles: Iterable[str]
) -> tuple[list[str], int]:
    """What could stand at the end of the text `before` the cursor, and how many characters of it that replaces."""
    if before.startswith("/") and not before.startswith("//") and " " not in before:
        return _matching(before, [f"/{command.name} " for command in table])
    word = before.rpartition(" ")[2].rpartition("\n")[2]
    if before.startswith(("/join ", "/leave ", "/switch ")):
        return _matching(word.removeprefix("#"), channels)
    if word.startswith("#"):
        return _matching(word, [f"#{name}" for name in channels if not name.startswith("@")])
    if word.startswith("@"):
        return _matching(word, [f"@{handle} " for handle in handles])
    if not word:
        return [], 0
    end = ": " if word == before else " "
    return _matching(word, [f"{handle}{end}" for handle in handles])


def _matching(word: str, known: Iterable[str]) -> tuple[list[str], int]:
    start = word.casefold()
    return sorted({name for name in known if name.casefold().startswith(start)}, key=str.casefold), len(word)
