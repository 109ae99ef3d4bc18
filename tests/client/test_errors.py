"""Statuses as they come over the wire, and the tree that they turn into."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped, unused-ignore]

from madang.client.errors import from_rpc, from_status, is_passing
from madang.core import errors


def status(code: int, *details: message.Message, text: str = "as the server puts it") -> status_pb2.Status:
    packed = [any_pb2.Any() for _ in details]
    for box, detail in zip(packed, details, strict=True):
        box.Pack(detail)
    return status_pb2.Status(code=code, message=text, details=packed)


def info(reason: str, **facts: str) -> message.Message:
    found: message.Message = error_details_pb2.ErrorInfo(domain="madang", reason=reason, metadata=facts)
    return found


@pytest.mark.parametrize("reason", sorted(errors.BY_REASON))
def test_every_reason_is_its_class(reason: str) -> None:
    assert type(from_status(status(13, info(reason)))) is errors.BY_REASON[reason]


def test_facts_make_the_text() -> None:
    error = from_status(status(7, info("NOT_A_MEMBER", channel_id="7")))
    assert error.facts == {"channel_id": 7}
    assert str(error) == "you are not a member of channel 7; join it first"


def test_bad_request_names_field_and_rule() -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="text", description="must be at least 1 character")
    error = from_status(status(3, info("INVALID_FIELD"), bad))
    assert isinstance(error, errors.InvalidField)
    assert str(error) == "text: must be at least 1 character"


def test_retry_info_is_seconds() -> None:
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    error = from_status(status(14, info("SERVER_DRAINING", retry_after="1.5"), retry))
    assert error.retry_after == 1.5
    assert is_passing(error)


def test_a_reason_of_a_newer_server_keeps_its_place_in_the_tree() -> None:
    error = from_status(status(7, info("TOO_LATE_AT_NIGHT", hour="3")))
    assert isinstance(error, errors.PermissionDenied)
    assert (error.reason, str(error)) == ("TOO_LATE_AT_NIGHT", "as the server puts it")


def test_a_status_without_our_details() -> None:
    error = from_status(status(5, text="{no} such thing"))
    assert isinstance(error, errors.NotFound)
    assert str(error) == "{no} such thing"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.ServerUnreachable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.ServerUnreachable),
        (grpc.StatusCode.UNIMPLEMENTED, errors.ServerUnreachable),
        (grpc.StatusCode.INTERNAL, errors.ServerUnreachable),
        (grpc.StatusCode.CANCELLED, errors.ServerUnreachable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.Overloaded),
        (grpc.StatusCode.UNAUTHENTICATED, errors.TokenInvalid),
        (grpc.StatusCode.INVALID_ARGUMENT, errors.MalformedRequest),
    ],
)
def test_what_the_way_to_the_server_says(code: grpc.StatusCode, kind: type[errors.MadangError]) -> None:
    error = from_rpc(grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "refused"), "host:1")
    assert type(error) is kind


def test_the_details_in_the_trailers_win() -> None:
    packed = status(16, info("SESSION_REVOKED")).SerializeToString()
    trailers = grpc.aio.Metadata(("grpc-status-details-bin", packed))
    error = from_rpc(grpc.aio.AioRpcError(grpc.StatusCode.UNAUTHENTICATED, grpc.aio.Metadata(), trailers), "host:1")
    assert type(error) is errors.SessionRevoked
