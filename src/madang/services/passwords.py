"""Passwords: Argon2id, off the event loop, two at a time."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from madang.core.errors import Overloaded
from madang.core.passwords import prepared

T = TypeVar("T")

AT_ONCE = 2
"""How many passwords are hashed at once: each takes a core, and as much memory as `Cost` says."""
MAX_WAITING = 100
"""How many may wait for their turn before more are refused."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash costs: passes over the memory, KiB of memory, lanes. The default is RFC 9106's second choice."""

    time: int = 3
    memory: int = 64 * 1024
    parallelism: int = 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password is right; `rehashed`: what to store from now on, when the cost has changed since."""

    right: bool
    rehashed: str | None = None


class Passwords:
    """Hashes and verifies. Whether there is a hash to verify against makes no difference in time."""

    def __init__(self, cost: Cost) -> None:
        self._hasher = PasswordHasher(cost.time, cost.memory, cost.parallelism)
        self._nobodys = _nobodys_hash(self._hasher)
        self._free = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash of a password that was checked and prepared. Raises Overloaded."""
        return await self._run(partial(self._hasher.hash, password))

    async def verify(self, password_hash: str | None, password: str) -> Verdict:
        """Whether the password is the one of the hash; never for None. Raises Overloaded."""
        return await self._run(partial(self._verify, password_hash, password))

    def _verify(self, password_hash: str | None, password: str) -> Verdict:
        found = prepared(password)
        try:
            self._hasher.verify(password_hash or self._nobodys, found if found is not None else password)
        except (VerificationError, InvalidHashError):
            return Verdict(False)
        if password_hash is None or found is None:
            return Verdict(False)
        changed = self._hasher.check_needs_rehash(password_hash)
        return Verdict(True, self._hasher.hash(found) if changed else None)

    async def _run(self, work: Callable[[], T]) -> T:
        """Run in a thread. A place is taken until the work is done, also when its caller has gone."""
        if self._waiting >= MAX_WAITING:
            raise Overloaded(problem="many sign in at once", retry_after=2)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        done = asyncio.get_running_loop().run_in_executor(None, work)
        done.add_done_callback(lambda _: self._free.release())
        return await asyncio.shield(done)


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """A hash that costs as much to verify against as any other, and that no password has."""
    salt, tag = (base64.b64encode(bytes(size)).rstrip(b"=").decode() for size in (hasher.salt_len, hasher.hash_len))
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}${salt}${tag}"
