"""The state directory: what of a client survives its process. Its lock, its credentials, its outbox and positions."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from asyncio import to_thread
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from madang.client.keyring import Keyring, KeyringError
from madang.client.store import FileStore, MemoryStore, StateError, Store

__all__ = ["Credentials", "Home", "StateError", "StateInUse", "read_credentials"]

_FILE = "credentials.json"


class StateInUse(StateError):
    """Another client uses the state directory."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A session that can be gone on with, and the server that it is good for. The token is a secret.

    `kind`: of the account, as `madang.UserKind` names it. `keyring`: the entry of the system's keyring that holds the
    token; empty where the file itself does.
    """

    target: str
    store_id: str
    user_id: int
    handle: str
    token: str
    kind: str = "guest"
    keyring: str = ""

    def __repr__(self) -> str:
        return f"<Credentials of {self.handle} at {self.target}>"


class Home:
    """Where a client keeps its state: a directory that it alone uses, or nowhere."""

    def __init__(self, store: Store, path: Path | None = None, lock: int = -1, keyring: Keyring | None = None) -> None:
        self.store = store
        self._path = path
        self._lock = lock
        self._keyring = keyring
        self._kept: Credentials | None = None

    @classmethod
    async def open(cls, state: str | os.PathLike[str] | None, keyring: Keyring | None = None) -> Home:
        """Open (or make, mode 0700) and lock the directory; None: memory only. `keyring`: where tokens go from now on.

        Raises StateInUse while another client uses it, StateError when it holds something else, and OSError.
        """
        if state is None:
            return cls(MemoryStore())
        path = _at(state)
        lock = await to_thread(_lock, path)
        try:
            return cls(await FileStore.open(path / "state.db"), path, lock, keyring)
        except BaseException:
            os.close(lock)
            raise

    async def credentials(self, *, needs_token: bool = True) -> Credentials | None:
        """The session to go on with; None when there is none. Its token is empty where the keyring has lost it.

        Raises StateError when the file is not ours, or (unless the token is not needed) the keyring does not answer.
        """
        if self._path is None:
            return None
        self._kept = await read_credentials(self._path, self._keyring, needs_token=needs_token)
        return self._kept

    async def keep(self, credentials: Credentials) -> None:
        """Keep the session: the token in the keyring where one works, the rest readable by its owner only."""
        if self._path is None:
            return
        before, keyring = self._kept, self._keyring
        if before is not None and before.keyring and before.token == credentials.token:
            entry: str | None = before.keyring
        else:
            entry = (
                await keyring.put(f"{credentials.handle} at {credentials.target}", credentials.token)
                if keyring
                else None
            )
        self._kept = replace(credentials, keyring=entry or "")
        await to_thread(_write, self._path / _FILE, self._kept)
        if before is not None and before.keyring not in ("", entry):
            await (keyring or Keyring()).drop(before.keyring)

    async def forget(self) -> None:
        """Drop the session, the outbox and the positions."""
        await self.store.forget()
        if self._path is not None:
            await to_thread((self._path / _FILE).unlink, missing_ok=True)
        if self._kept is not None and self._kept.keyring:
            await (self._keyring or Keyring()).drop(self._kept.keyring)

    async def close(self) -> None:
        """Let others use the directory."""
        await self.store.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


async def read_credentials(path: Path, keyring: Keyring | None, *, needs_token: bool = True) -> Credentials | None:
    """What is kept in a state directory, whoever uses it now; None when that is nothing.

    Raises StateError when the file is not ours, or (unless the token is not needed) the keyring does not answer.
    """
    found = await to_thread(_read, path / _FILE)
    if found is None or not found.keyring:
        return found
    try:
        return replace(found, token=await (keyring or Keyring()).get(found.keyring) or "")
    except KeyringError as error:
        if not needs_token:
            return found
        raise StateError(f"{error}, and it holds the session of {found.handle}; unlock it, or sign in again") from None


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
        return Credentials(**{"token": ""} | fields)
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
        fields = asdict(credentials)
        del fields["token" if credentials.keyring else "keyring"]
        json.dump(fields, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
