"""The screen on a terminal: lines scroll above a prompt that is never torn.

One prompt runs for the whole session. An accepted line goes into a queue and leaves the prompt empty; what is printed
gathers for a moment, so that a burst costs one redraw.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.renderer import print_formatted_text

from madang.terminal.commands import Command
from madang.terminal.completion import candidates
from madang.terminal.lines import Line, note, wrap
from madang.terminal.style import STYLE
from madang.terminal.titles import shown
from madang.terminal.view import View

_GATHER = 0.03
"""Seconds between two prints: what comes meanwhile is printed together."""
_WAITING_AT_MOST = 2_000
"""So many lines wait for the screen before those who print wait too."""


class PromptScreen:
    """A terminal with someone in front of it."""

    interactive = True

    def __init__(self, view: View, table: Sequence[Command[Any]]) -> None:
        self._view = view
        self._typed: asyncio.Queue[str | None] = asyncio.Queue()
        self._waiting: list[Line] = []
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._live = False
        self._session = self._make_session(table)

    def _make_session(self, table: Sequence[Command[Any]]) -> PromptSession[str]:
        completer = _Completer(self._view, table)
        session: PromptSession[str] = PromptSession(
            message=self._prompt,
            bottom_toolbar=self._toolbar,
            completer=completer,
            complete_while_typing=False,
            key_bindings=_bindings(completer, self._hint),
            style=STYLE,
            enable_suspend=True,
            erase_when_done=True,
            refresh_interval=1.0,
        )
        session.default_buffer.accept_handler = self._accept
        return session

    async def show(self, lines: Sequence[Line]) -> None:
        """Print lines above the prompt, soon; at once while there is no prompt."""
        await self._room.wait()
        self._waiting += lines
        self._news.set()
        if not self._live:
            self._flush()
        elif len(self._waiting) > _WAITING_AT_MOST:
            self._room.clear()

    def refresh(self) -> None:
        """Draw the prompt, the unsent messages and the status again."""
        self._session.app.invalidate()

    async def typed(self) -> AsyncGenerator[str, None]:
        """The lines that are typed at the prompt. The prompt is there while this is iterated."""
        self._live = True
        with patch_stdout():
            prompt = asyncio.create_task(self._run())
            printer = asyncio.create_task(self._print())
            try:
                while (line := await self._typed.get()) is not None:
                    yield line
            finally:
                printer.cancel()
                await asyncio.wait([printer])
                self.close()
                await asyncio.wait([prompt])
                self._live = False
                self._flush()
        prompt.result()

    def close(self) -> None:
        """Take the prompt away; or do not begin with it."""
        self._typed.put_nowait(None)
        if self._session.app.is_running and not self._session.app.is_done:
            self._session.app.exit(exception=EOFError())

    async def _run(self) -> None:
        try:
            with suppress(EOFError):
                await self._session.prompt_async()
        finally:
            self._typed.put_nowait(None)

    async def _print(self) -> None:
        while True:
            await self._news.wait()
            # An answer that is still to come tells where the prompt was; it must not be taken for where it will be.
            await self._session.app.renderer.wait_for_cpr_responses()
            self._print_above()
            await asyncio.sleep(_GATHER)

    def _print_above(self) -> None:
        """Print what waits, with the prompt taken away and drawn again.

        Unlike `run_in_terminal`, this leaves the terminal in raw mode: with the kernel's own echo and keys switched on
        even for a millisecond, what is typed in it is torn or lost.
        """
        app = self._session.app
        if not app.is_running or app.is_done:
            return self._flush()
        app.renderer.erase()
        self._flush()
        if not app.key_processor.input_queue:
            app.renderer.request_absolute_cursor_position()
        return app.invalidate()

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        self._news.clear()
        self._room.set()
        if lines:
            _write(lines, self._session)

    def _accept(self, buffer: Buffer) -> bool:
        self._typed.put_nowait(buffer.text)
        return False  # the line is taken: leave the prompt empty

    def _hint(self) -> None:
        self._waiting.append(note("Ctrl-D or /quit leaves."))
        self._news.set()

    def _prompt(self) -> FormattedText:
        region = self._view.region(self._session.output.get_size().columns - 1, time.time())
        above = [fragment for line in region for fragment in (*line, ("", "\n"))]
        return FormattedText([*above, ("class:prompt", f"{shown(self._view.current.name)}> ")])

    def _toolbar(self) -> FormattedText:
        return FormattedText(self._view.status(time.time()))


class _Completer(Completer):
    """Offers what `candidates` finds."""

    def __init__(self, view: View, table: Sequence[Command[Any]]) -> None:
        self._view = view
        self._table = table

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Whatever could stand where the cursor is."""
        found, length = self.offers(document)
        return [Completion(text, start_position=-length) for text in found]

    def offers(self, document: Document) -> tuple[list[str], int]:
        """The same as plain texts, and how many characters before the cursor they replace."""
        before = document.text_before_cursor
        return candidates(before, self._table, self._view.channel_names, self._view.handles.values())


def _write(lines: Sequence[Line], session: PromptSession[str]) -> None:
    columns = session.output.get_size().columns
    rows = [row for line in lines for row in wrap(line, columns)]
    fragments = [fragment for row in rows for fragment in (*row, ("", "\n"))]
    print_formatted_text(session.output, FormattedText(fragments), STYLE)


def _bindings(completer: _Completer, hint: Callable[[], None]) -> KeyBindings:
    """Tab completes; Ctrl-C clears the line; Alt-Enter begins a new one; a signal from outside ends the console."""
    bindings = KeyBindings()

    @bindings.add("tab")
    def _complete(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        found, length = completer.offers(buffer.document)
        if buffer.complete_state is not None:
            buffer.complete_next()
        elif len(found) == 1:  # at once, where prompt_toolkit's own way would lose a race against the next key
            buffer.delete_before_cursor(length)
            buffer.insert_text(found[0])
        else:
            buffer.start_completion(insert_common_part=True)

    @bindings.add("c-c")
    def _clear(event: KeyPressEvent) -> None:
        if not event.current_buffer.text:
            hint()
        event.current_buffer.reset()

    @bindings.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @bindings.add("<sigint>")
    def _leave(event: KeyPressEvent) -> None:
        event.app.exit(exception=EOFError())

    return bindings
