"""What every resource of the contract is made of: times, request ids and enums."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Generic, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

Core = TypeVar("Core", bound=Enum)
Contract = TypeVar("Contract", bound=int)


class Names(Generic[Core, Contract]):
    """An enum of the core and its twin in the contract: `Kind.X` here is `KIND_X` there.

    A member that has no twin is found out when the table is made, which is when the module is imported.
    """

    def __init__(self, members: Iterable[Core], prefix: str, value_of: Callable[[str], Contract]) -> None:
        """`members`: the core's enum; `prefix`: what the contract's names begin with; `value_of`: its `Value`."""
        self._there = {member: value_of(f"{prefix}_{member.name}") for member in members}
        self._back = {value: member for member, value in self._there.items()}

    def contract(self, member: Core) -> Contract:
        """The value as the contract has it."""
        return self._there[member]

    def core(self, value: Contract) -> Core:
        """The value as the core has it. Raises KeyError for one that is unspecified or not known here."""
        return self._back[value]

    def core_or(self, value: Contract, otherwise: Core) -> Core:
        """The value as the core has it; `otherwise` for one that is unspecified or not known here."""
        return self._back.get(value, otherwise)


def set_time(target: Timestamp, micros: int) -> None:
    """Write microseconds since the epoch into a Timestamp."""
    target.seconds, rest = divmod(micros, 1_000_000)
    target.nanos = rest * 1000


def micros(stamp: Timestamp) -> int:
    """A Timestamp as microseconds since the epoch."""
    return stamp.seconds * 1_000_000 + stamp.nanos // 1000


def request_id_bytes(text: str) -> bytes | None:
    """The 16 bytes of a UUID in the form that the contract allows; None for the empty string.

    The contract's validator has checked the shape, so this is the cheap way, not `uuid.UUID`.
    """
    return bytes.fromhex(text.replace("-", "")) if text else None


def request_id_text(raw: bytes) -> str:
    """The usual form of a UUID's 16 bytes."""
    return str(uuid.UUID(bytes=raw))
