"""Standard output and standard error of the one-shot commands."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from madang.terminal.lines import Line, plain
from madang.terminal.records import Record, encode
from madang.terminal.safe import safe_line


def print_lines(lines: Iterable[Line]) -> None:
    """Print lines at once, so that whoever reads the pipe has them."""
    print_texts(plain(line) for line in lines)


def print_texts(texts: Iterable[str]) -> None:
    """Print lines of text at once."""
    sys.stdout.write("".join(f"{text}\n" for text in texts))
    sys.stdout.flush()


def print_record(record: Record) -> None:
    """Print a record as one line of JSON at once."""
    print_texts([encode(record)])


def print_error(sentence: str) -> None:
    """Tell the user, beside the output."""
    sys.stderr.write(f"madang: {safe_line(sentence)}\n")
    sys.stderr.flush()


def set_up() -> None:
    """What the output's encoding cannot show is shown as an escape, instead of ending the command. And what gRPC has to
    say of itself is not for this screen.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def give_up_stdout() -> None:
    """Nobody reads the output any more: let what is still buffered go nowhere, without a complaint at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def ends_with_its_reader() -> Iterator[None]:
    """Where standard output is a pipe, end the block when nobody reads that any more, also while nothing is printed:
    `madang tail lobby | grep -m1 deployed` ends when grep does.
    """
    fd = sys.stdout.fileno()
    task = asyncio.current_task()
    if task is None or not stat.S_ISFIFO(os.fstat(fd).st_mode):
        yield
        return
    loop = asyncio.get_running_loop()
    gone: list[bool] = []

    def end() -> None:
        loop.remove_reader(fd)
        gone.append(True)
        task.cancel()

    loop.add_reader(fd, end)  # the writing end of a pipe becomes "readable" with an error, when its reader goes
    try:
        yield
    except asyncio.CancelledError:
        if not gone or task.uncancel():
            raise
    finally:
        loop.remove_reader(fd)
