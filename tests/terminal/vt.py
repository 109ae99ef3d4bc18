"""A terminal in memory, as far as prompt_toolkit needs one: what a user would see of what a program writes.

It answers where the cursor is when it is asked to, as a real terminal does. What it does not know, it refuses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_TOKEN = re.compile(
    r"\x1b\[(?P<private>\?)?(?P<numbers>[\d;]*)(?P<final>[A-Za-z])|\x1b\](?P<title>[^\x07]*)\x07|(?P<text>.)", re.DOTALL
)
_UNFINISHED = re.compile(r"\x1b(\[\??[\d;]*|\][^\x07]*)?\Z")
_WIDE_FILLER = ""


class Terminal:
    """A screen with a scrollback. `answer` is called with what the terminal itself types."""

    def __init__(self, rows: int, columns: int, answer: Callable[[str], object]) -> None:
        self._rows, self._columns, self._answer = rows, columns, answer
        self._grid: list[list[str]] = [self._blank() for _ in range(rows)]
        self._row = self._column = 0
        self._rest = ""
        self.scrolled: list[str] = []
        """The lines that left the screen at its top."""

    @property
    def lines(self) -> list[str]:
        """Everything that can be seen, by scrolling too; without blank lines at the end."""
        shown = [*self.scrolled, *("".join(row).rstrip() for row in self._grid)]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    @property
    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.lines)

    def feed(self, data: str) -> None:
        """Take what a program writes."""
        data = self._rest + data
        unfinished = _UNFINISHED.search(data)  # a sequence may come in two pieces
        end = unfinished.start() if unfinished else len(data)
        self._rest = data[end:]
        for match in _TOKEN.finditer(data[:end]):
            if match["text"] is not None:
                self._put(match["text"])
            elif match["final"] is not None:
                numbers = [int(number or 0) for number in match["numbers"].split(";")]
                self._control(match["final"], numbers, private=match["private"] is not None)

    def _put(self, character: str) -> None:
        match character:
            case "\r":
                self._column = 0
            case "\n":
                self._line_feed()
            case "\b":
                self._column = max(0, self._column - 1)
            case "\x07":
                pass
            case _ if unicodedata.category(character) == "Cc":
                raise AssertionError(f"the terminal was sent the control character {character!r}")
            case _:
                self._print(character)

    def _print(self, character: str) -> None:
        wide = unicodedata.east_asian_width(character) in "WF"
        if self._column + wide >= self._columns:
            self._column = 0
            self._line_feed()
        self._grid[self._row][self._column] = character
        self._column += 1
        if wide:
            self._grid[self._row][self._column] = _WIDE_FILLER
            self._column += 1

    def _line_feed(self) -> None:
        if self._row < self._rows - 1:
            self._row += 1
            return
        self.scrolled.append("".join(self._grid.pop(0)).rstrip())
        self._grid.append(self._blank())

    def _control(self, final: str, numbers: list[int], *, private: bool) -> None:
        first = numbers[0]
        match final:
            case "m" | "h" | "l" if private or final == "m":
                pass  # colours and modes are not seen
            case "A":
                self._row = max(0, self._row - max(1, first))
            case "B":
                self._row = min(self._rows - 1, self._row + max(1, first))
            case "C":
                self._column = min(self._columns - 1, self._column + max(1, first))
            case "D":
                self._column = max(0, self._column - max(1, first))
            case "H":
                self._row, self._column = max(1, first) - 1, max(1, numbers[-1] if len(numbers) > 1 else 1) - 1
            case "J":
                self._erase(whole=first == 2)
            case "K":
                self._grid[self._row][self._column :] = [" "] * (self._columns - self._column)
            case "n" if first == 6:
                self._answer(f"\x1b[{self._row + 1};{self._column + 1}R")
            case _:
                raise AssertionError(f"the terminal was sent an unknown sequence: {numbers} {final}")

    def _erase(self, *, whole: bool) -> None:
        start = 0 if whole else self._row + 1
        for row in range(start, self._rows):
            self._grid[row] = self._blank()
        if not whole:
            self._grid[self._row][self._column :] = [" "] * (self._columns - self._column)

    def _blank(self) -> list[str]:
        return [" "] * self._columns
