"""What the nodes of a cluster have to agree on: told as hashes, so that a difference has a name and no value. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

_LENGTH = 12


def fingerprint(values: Mapping[str, object]) -> str:
    """The settings by their names, each with the beginning of its value's SHA-256."""
    return ",".join(f"{name}={_hash(str(values[name]))}" for name in sorted(values))


def differences(one: str, other: str) -> list[str]:
    """In which settings two fingerprints differ. What only one of them knows is another version's: no difference."""
    ours, theirs = _parse(one), _parse(other)
    return sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def _parse(text: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)
