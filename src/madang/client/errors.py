"""Errors that come over the wire, turned into the tree of `madang.core.errors`: the one place that knows both."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped, unused-ignore]

from madang.core import errors
from madang.core.errors import Fact, MadangError

_DOMAIN = "madang"
_DETAILS_KEY = "grpc-status-details-bin"
_SILENCE = re.compile(r"time ?out|timed out|in time", re.IGNORECASE)
"""What is in gRPC's words, and in ours, for a connection over which nothing came: 'keepalive watchdog timeout', say."""
_NUMBERS = frozenset(
    {
        *("channel_id", "head", "index", "invite_id", "limit", "report_id", "sequence", "session_id", "until"),
        "user_id",
    }
)
_GROUPS: dict[int, type[MadangError]] = {
    3: errors.InvalidArgument,
    5: errors.NotFound,
    6: errors.AlreadyExists,
    7: errors.PermissionDenied,
    8: errors.ResourceExhausted,
    9: errors.FailedPrecondition,
    11: errors.OutOfRange,
    14: errors.Unavailable,
    16: errors.Unauthenticated,
}


class ClientClosed(RuntimeError):
    """The client was closed before this was done. With a state directory, its next client goes on with the outbox."""


def from_rpc(error: grpc.aio.AioRpcError, target: str) -> MadangError:
    """What a failed call means. `target`: whom the call was for, `host:port`.

    Without the server's own details it did not come from the server's code, but from the way there.
    """
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            return from_status(status_pb2.Status.FromString(value))
    return _from_transport(error.code(), error.details() or "no answer", target)


def from_status(status: status_pb2.Status) -> MadangError:
    """What a status of the server means: the class of its ErrorInfo's reason, with the facts of all its details."""
    info = error_details_pb2.ErrorInfo()
    if not _unpack(status, info) or info.domain != _DOMAIN:
        return _newer("", status.code)(problem=status.message)
    facts: dict[str, Fact] = {name: _fact(name, value) for name, value in info.metadata.items()}
    facts.update(_more_facts(status))
    known = errors.BY_REASON.get(info.reason)
    if known is None:
        return _newer(info.reason, status.code)(**(facts | {"problem": status.message}))
    return known(**facts)


def is_passing(error: MadangError) -> bool:
    """Whether the same call may succeed later, just so."""
    passing = isinstance(error, errors.Unavailable | errors.ResourceExhausted)
    return passing and not isinstance(error, errors.LimitReached)


def was_silent(error: MadangError | None) -> bool:
    """Whether nothing came back in time: the server may be gone, or only be slow. Who is refused, or whose connection
    the other side closes, knows better.
    """
    return isinstance(error, errors.ServerUnreachable) and bool(_SILENCE.search(str(error.facts.get("problem", ""))))


def _from_transport(code: grpc.StatusCode, problem: str, target: str) -> MadangError:
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT:
            return errors.MalformedRequest()
        case grpc.StatusCode.UNAUTHENTICATED:
            return errors.TokenInvalid()
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return errors.Overloaded(problem=problem, retry_after=1.0)
        case grpc.StatusCode.UNAVAILABLE:
            return errors.ServerUnreachable(target=target, problem=problem)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return errors.ServerUnreachable(target=target, problem="no answer in time")
    return errors.ServerUnreachable(target=target, problem=f"{code.name}: {problem}")


def _unpack(status: status_pb2.Status, into: error_details_pb2.ErrorInfo) -> bool:
    return any(detail.Is(into.DESCRIPTOR) and detail.Unpack(into) for detail in status.details)


def _more_facts(status: status_pb2.Status) -> Iterable[tuple[str, Fact]]:
    bad, retry = error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Is(retry.DESCRIPTOR) and detail.Unpack(retry):
            yield "retry_after", retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        elif detail.Is(bad.DESCRIPTOR) and detail.Unpack(bad) and bad.field_violations:
            yield "field", bad.field_violations[0].field
            yield "rule", bad.field_violations[0].description


def _fact(name: str, value: str) -> Fact:
    return int(value) if name in _NUMBERS and value.lstrip("-").isdecimal() else value


@cache
def _newer(reason: str, code: int) -> type[MadangError]:
    """A class for a reason that only a newer server knows, where its status code puts it in the tree."""
    group = _GROUPS.get(code, errors.Internal)
    members = {"reason": reason or group.reason, "text": "{problem}", "__doc__": group.__doc__}
    return type(group.__name__, (group,), members)
