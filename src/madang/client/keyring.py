"""The operating system's keyring as a place for tokens.

It is asked in a thread of its own, and not waited for any longer than a person takes to unlock it: a keyring that
hangs, or has no desktop to ask on, must not hold a client up. What goes wrong with it is told once, by the kind of
the error alone: what a keyring says of itself may hold anything.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

SERVICE = "madang"
"""Under which name the keyring lists its entries."""
PATIENCE = 5.0
"""For how many seconds an answer is waited for."""
_USABLE = 1
"""The priority of a backend that the library `keyring` itself would recommend."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class KeyringError(Exception):
    """The keyring did not do what it was asked for; the text says why."""


class Keyring:
    """Keeps a token in the system's keyring while that works: `madang.connect(state=…, keyring=madang.Keyring())`."""

    def __init__(self, tell: Callable[[str], None] = _log.warning) -> None:
        """`tell` is told in one sentence when the keyring does not work, and a file is used in its place."""
        self._tell = tell
        self._broken = ""
        self._asked = 0

    @property
    def is_asked(self) -> bool:
        """Whether an answer is waited for now: perhaps for somebody to unlock it."""
        return self._asked > 0

    async def put(self, label: str, token: str) -> str | None:
        """Keep a token; returns the name of its entry, or None where there is no keyring that works."""
        entry = f"{label} ({os.urandom(4).hex()})"
        try:
            return entry if await self._ask(lambda: _put(entry, token)) else None
        except KeyringError as error:
            self._tell(f"{error}; the session is kept in a file that only you can read")
            return None

    async def get(self, entry: str) -> str | None:
        """The token of an entry; None where the entry is gone. Raises KeyringError."""
        return await self._ask(lambda: _get(entry))

    async def drop(self, entry: str) -> None:
        """Forget a token, as far as the keyring does what it is told."""
        with suppress(KeyringError):
            await self._ask(lambda: _drop(entry))

    async def _ask(self, question: Callable[[], T]) -> T:
        if self._broken:
            raise KeyringError(self._broken)
        self._asked += 1
        try:
            async with asyncio.timeout(PATIENCE):
                return await _in_a_thread(question)
        except TimeoutError:
            self._broken = "the system's keyring does not answer"
        except Exception as error:  # whatever the many kinds of keyring raise
            self._broken = f"the system's keyring does not work ({type(error).__name__})"
        finally:
            self._asked -= 1
        raise KeyringError(self._broken)


async def _in_a_thread(question: Callable[[], T]) -> T:
    """Unlike asyncio's own threads, one that never ends does not keep the process from ending."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = question()
        except Exception as caught:
            error = caught
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, daemon=True, name="madang keyring").start()
    return await answer


def _put(entry: str, token: str) -> bool:
    import keyring

    if keyring.get_keyring().priority < _USABLE:
        return False
    keyring.set_password(SERVICE, entry, token)
    if keyring.get_password(SERVICE, entry) != token:
        raise RuntimeError("the keyring did not keep it")
    return True


def _get(entry: str) -> str | None:
    import keyring

    return keyring.get_password(SERVICE, entry)


def _drop(entry: str) -> None:
    import keyring

    keyring.delete_password(SERVICE, entry)
