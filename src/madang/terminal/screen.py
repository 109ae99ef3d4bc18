"""Where the console prints and reads: the screen's interface, and the plain one for pipes and files."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from madang.terminal.lines import Line, plain
from madang.terminal.stdin import raw_lines


class Screen(Protocol):
    """What the console needs of a screen."""

    interactive: bool
    """Whether someone sits there: unsent messages have a live region, and typed lines are erased."""

    async def show(self, lines: Sequence[Line]) -> None:
        """Print lines; waits while the screen is far behind."""

    def refresh(self) -> None:
        """Draw again what is live: the prompt, the unsent messages, the status."""

    def typed(self) -> AsyncGenerator[str, None]:
        """The lines that are typed, until the end of the input."""

    def close(self) -> None:
        """End the input, as if the user had."""


class PlainScreen:
    """Standard input and output as lines, for scripts."""

    interactive = False

    async def show(self, lines: Sequence[Line]) -> None:
        """Write the lines to standard output."""
        if lines:
            sys.stdout.write("".join(f"{plain(line)}\n" for line in lines))
            sys.stdout.flush()

    def refresh(self) -> None:
        """Nothing is live here."""

    async def typed(self) -> AsyncGenerator[str, None]:
        """The lines of standard input; what is not UTF-8 is replaced by a sign."""
        async for raw in raw_lines(sys.stdin.fileno()):
            yield raw.decode(errors="replace")

    def close(self) -> None:
        """A signal ends the process here; there is nothing to put back."""
