"""What a backup says about itself: `manifest.json`, written last."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

NAME = "manifest.json"
FORMAT = 1
_LARGEST = 1 << 16


class BackupError(Exception):
    """A backup cannot be made, is not whole, or cannot be put back; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`sha256` and `size`, in bytes, are those of the data file; `created_at` is when the copy began, RFC 3339, UTC."""

    created_at: str
    store_id: str
    schema: str
    version: str
    file: str
    sha256: str
    size: int
    format: int = FORMAT

    def encode(self) -> bytes:
        """The manifest's file."""
        return (json.dumps(asdict(self), indent=2) + "\n").encode()

    @classmethod
    def read(cls, directory: Path) -> Self:
        """The manifest of a backup. Raises BackupError."""
        path = directory / NAME
        try:
            with path.open("rb") as file:
                fields = json.loads(file.read(_LARGEST))
            if fields["format"] != FORMAT:
                raise BackupError(f"{path} is of the format {fields['format']}, which this version does not know")
            manifest = cls(**fields)
        except FileNotFoundError:
            raise BackupError(f"{directory} is not a whole backup: it has no {NAME}") from None
        except OSError as error:
            raise BackupError(f"cannot read {path}: {error.strerror or error}") from None
        except (ValueError, TypeError, KeyError):
            raise BackupError(f"{path} is damaged: it is not what `madang backup` writes") from None
        if any(type(value) is not type(getattr(_LIKE, name)) for name, value in asdict(manifest).items()):
            raise BackupError(f"{path} is damaged: it is not what `madang backup` writes")
        if Path(manifest.file).name != manifest.file or not manifest.file:
            raise BackupError(f"{path} names a file outside of the backup")
        return manifest


_LIKE = Manifest("", "", "", "", "", "", 0)
