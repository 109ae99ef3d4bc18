"""The tree of errors: one class per reason of the contract, and a text that is made of facts."""

from __future__ import annotations

import string

import pytest

import madang
from madang.core import errors
from madang.core.errors import BY_REASON, MadangError
from madang.v1 import errors_pb2

PREFIX = "ERROR_REASON_"
CONTRACT = {name.removeprefix(PREFIX) for name in errors_pb2.ErrorReason.DESCRIPTOR.values_by_name} - {"UNSPECIFIED"}
CLASSES = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MadangError)]
LEAVES = [kind for kind in CLASSES if not kind.__subclasses__()]


def fields(kind: type[MadangError]) -> set[str]:
    """The facts that a class's text is made of."""
    return {name for _, name, _, _ in string.Formatter().parse(kind.text) if name}


def test_every_reason_of_the_contract_has_a_class() -> None:
    assert set(BY_REASON) - {"SERVER_UNREACHABLE"} == CONTRACT


def test_every_class_has_a_reason_of_its_own() -> None:
    assert sorted(kind.reason for kind in LEAVES) == sorted(BY_REASON)
    assert all(BY_REASON[kind.reason] is kind for kind in LEAVES)


def test_the_client_alone_knows_an_unreachable_server() -> None:
    assert "SERVER_UNREACHABLE" not in CONTRACT
    assert issubclass(errors.ServerUnreachable, errors.Unavailable)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.reason)
def test_text_is_rendered_from_facts(kind: type[MadangError]) -> None:
    facts: dict[str, errors.Fact] = {name: f"<{name}>" for name in fields(kind)}
    text = str(kind(**facts))
    assert "{" not in text
    assert all(f"<{name}>" in text for name in facts)


@pytest.mark.parametrize("kind", LEAVES, ids=lambda kind: kind.reason)
def test_text_survives_missing_facts(kind: type[MadangError]) -> None:
    assert str(kind()) == kind.text


def test_facts_that_look_like_templates_are_only_text() -> None:
    error = errors.NameNotAllowed(name="{problem} {0} {__class__}", problem="{name}")
    assert str(error) == "the name '{problem} {0} {__class__}' {name}"


def test_errors_show_their_facts_in_logs() -> None:
    assert repr(errors.ChannelNotFound(channel="kitchen")) == "ChannelNotFound(channel='kitchen')"


@pytest.mark.parametrize("raw", [1.5, "1.5"])
def test_retry_after_is_seconds_whether_it_came_over_the_wire_or_not(raw: str | float) -> None:
    assert errors.ServerDraining(retry_after=raw).retry_after == 1.5


def test_most_errors_do_not_say_when_to_retry() -> None:
    assert errors.ChannelNotFound(channel=7).retry_after is None


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_error_is_public(kind: type[MadangError]) -> None:
    assert getattr(madang, kind.__name__) is kind


@pytest.mark.parametrize(
    ("reason", "family"),
    [
        (PREFIX + reason, errors.__dict__[comment])
        for comment, reasons in {
            "InvalidArgument": ["INVALID_FIELD", "MALFORMED_REQUEST", "TEXT_NOT_ALLOWED", "PAGE_TOKEN_INVALID"],
            "Unauthenticated": ["TOKEN_MISSING", "TOKEN_INVALID", "SESSION_EXPIRED", "SESSION_REVOKED"],
            "PermissionDenied": ["NOT_A_MEMBER", "NOT_PERMITTED", "FOREIGN_INDEX"],
            "NotFound": ["CHANNEL_NOT_FOUND", "USER_NOT_FOUND", "MESSAGE_NOT_FOUND"],
            "FailedPrecondition": ["CHANNEL_ARCHIVED", "LOBBY_IS_FIXED"],
            "AlreadyExists": ["HANDLE_TAKEN", "CHANNEL_NAME_TAKEN", "REQUEST_ID_REUSED"],
            "OutOfRange": ["POSITION_BEYOND_HEAD"],
            "Unavailable": ["STORAGE_UNAVAILABLE", "SERVER_DRAINING"],
            "ResourceExhausted": ["OVERLOADED"],
        }.items()
        for reason in reasons
    ],
)
def test_reasons_are_in_the_family_of_their_status(reason: str, family: type[MadangError]) -> None:
    assert issubclass(BY_REASON[reason.removeprefix(PREFIX)], family)
