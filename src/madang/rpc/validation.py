"""Holds messages against the rules that the contract declares."""

from __future__ import annotations

from google.protobuf.message import Message
from protovalidate import Validator, Violation

from madang.core.errors import InvalidField


class Contract:
    """The rules of `madang.v1`. Rules are compiled when a message type is first seen; `warm` does that early."""

    def __init__(self) -> None:
        self._validator = Validator()

    def warm(self, *messages: Message) -> None:
        """Compile the rules of these messages' types."""
        for message in messages:
            self._validator.collect_violations(message)

    def check(self, message: Message) -> None:
        """Raise InvalidField for the first field that breaks a rule."""
        violations = self._validator.collect_violations(message, fail_fast=True)
        if violations:
            raise _error(violations[0])

    def check_items(self, message: Message) -> dict[int, InvalidField]:
        """What is wrong with the items of the message's one list, by index. Raises InvalidField for anything else."""
        errors: dict[int, InvalidField] = {}
        for violation in self._validator.collect_violations(message):
            index = _index(violation)
            if index is None:
                raise _error(violation)
            errors.setdefault(index, _error(violation, skip=1))
        return errors


def _index(violation: Violation) -> int | None:
    """Which item of a list the violation is in; None for one of the list itself or of another field."""
    path = violation.proto.field
    if path is None or len(path.elements) < 2:
        return None
    subscript = path.elements[0].subscript
    return subscript.value if subscript is not None and subscript.field == "index" else None


def _error(violation: Violation, skip: int = 0) -> InvalidField:
    """The violation as our error; the path of the field without its first `skip` parts."""
    proto = violation.proto
    names = [element.field_name for element in proto.field.elements[skip:]] if proto.field is not None else []
    return InvalidField(field=".".join(names) or "request", rule=proto.message)
