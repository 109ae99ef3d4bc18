"""Keyrings as the library `keyring` takes them, for processes of the tests: PYTHON_KEYRING_BACKEND names one."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError, PasswordSetError


class Working(KeyringBackend):
    """Keeps its entries in the file that KEYRING_FILE names."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._path = Path(os.environ["KEYRING_FILE"])

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write(self._entries() | {f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(f"{service}/{username}", None) is None:
            raise PasswordDeleteError(username)
        self._write(entries)

    def _entries(self) -> dict[str, str]:
        return dict(json.loads(self._path.read_text())) if self._path.exists() else {}

    def _write(self, entries: dict[str, str]) -> None:
        self._path.write_text(json.dumps(entries))


class Failing(Working):
    """Cannot keep anything."""

    def set_password(self, service: str, username: str, password: str) -> None:
        raise PasswordSetError(f"no place for {password}")

    def get_password(self, service: str, username: str) -> str | None:
        raise PasswordSetError("locked")


class Hanging(Working):
    """Waits for somebody to unlock it, for ever."""

    def set_password(self, service: str, username: str, password: str) -> None:
        threading.Event().wait()

    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return None
