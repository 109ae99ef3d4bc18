"""The state directory: what of a client survives its process. Its lock, its credentials, its outbox and positions."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from asyncio import to_thread
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from madang.client.store import FileStore, MemoryStore, StateError, Store

__all__ = ["Credentials", "Home", "StateError", "StateInUse"]


class StateInUse(StateError):
    """Another client uses the state directory."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A session that can be gone on with, and the server that it is good for. The token is a secret."""

    target: str
    store_id: str
    user_id: int
    handle: str
    token: str

    def __repr__(self) -> str:
        return f"<Credentials of {self.handle} at {self.target}>"


class Home:
    """Where a client keeps its state: a directory that it alone uses, or nowhere."""

    def __init__(self, store: Store, path: Path | None = None, lock: int = -1) -> None:
        self.store = store
        self._path = path
        self._lock = lock

    @classmethod
    async def open(cls, state: str | os.PathLike[str] | None) -> Home:
        """Open (or make, mode 0700) and lock the directory; None: memory only.

        Raises StateInUse while another client uses it, StateError when it holds something else, and OSError.
        """
        if state is None:
            return cls(MemoryStore())
        path = _at(state)
        lock = await to_thread(_lock, path)
        try:
            return cls(await FileStore.open(path / "state.db"), path, lock)
        except BaseException:
            os.close(lock)
            raise

    async def credentials(self) -> Credentials | None:
        """The session to go on with; None when there is none. Raises StateError when the file is not ours."""
        return None if self._path is None else await to_thread(_read, self._path / "credentials.json")

    async def keep(self, credentials: Credentials) -> None:
        """Keep the session, readable by its owner only."""
        if self._path is not None:
            await to_thread(_write, self._path / "credentials.json", credentials)

    async def forget(self) -> None:
        """Drop the session, the outbox and the positions."""
        await self.store.forget()
        if self._path is not None:
            await to_thread((self._path / "credentials.json").unlink, missing_ok=True)

    async def close(self) -> None:
        """Let others use the directory."""
        await self.store.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _at(state: str | os.PathLike[str]) -> Path:
    return Path(state).expanduser()


def _lock(path: Path) -> int:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            raise StateInUse(f"another client uses the state directory {path}") from None
        raise
    return lock


def _read(path: Path) -> Credentials | None:
    try:
        fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Credentials(**fields)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StateError(f"{path} does not hold credentials: {error}") from None


def _write(path: Path, credentials: Credentials) -> None:
    # Written aside and renamed: a crash leaves the old file or the new one, never half of one.
    aside = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        aside.unlink()
    with os.fdopen(os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(credentials), file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
