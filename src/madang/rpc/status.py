"""Our errors as gRPC statuses. The only place that knows which status code goes with which error."""

from __future__ import annotations

from typing import NoReturn

import grpc
from google.protobuf import any_pb2, message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from madang.core import errors

DOMAIN = "madang"

_CODES: dict[type[errors.MadangError], code_pb2.Code.ValueType] = {
    errors.InvalidArgument: code_pb2.INVALID_ARGUMENT,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.PermissionDenied: code_pb2.PERMISSION_DENIED,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.FailedPrecondition: code_pb2.FAILED_PRECONDITION,
    errors.AlreadyExists: code_pb2.ALREADY_EXISTS,
    errors.OutOfRange: code_pb2.OUT_OF_RANGE,
    errors.Unavailable: code_pb2.UNAVAILABLE,
    errors.ResourceExhausted: code_pb2.RESOURCE_EXHAUSTED,
}


def to_status(error: errors.MadangError) -> status_pb2.Status:
    """The status of an error: its code, its text, and ErrorInfo, BadRequest, RetryInfo as they apply."""
    details: list[message.Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason, domain=DOMAIN, metadata={name: str(value) for name, value in error.facts.items()}
        )
    ]
    if isinstance(error, errors.InvalidField):
        bad = error_details_pb2.BadRequest()
        bad.field_violations.add(field=str(error.facts["field"]), description=str(error.facts["rule"]))
        details.append(bad)
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_after * 1000))
        details.append(retry)
    return status_pb2.Status(code=_code(error), message=str(error), details=[_packed(detail) for detail in details])


async def abort(context: grpc.aio.ServicerContext[object, object], error: errors.MadangError) -> NoReturn:
    """End the call with the error. Raises grpc's own AbortError."""
    status = rpc_status.to_status(to_status(error))
    await context.abort(status.code, status.details, status.trailing_metadata)


def code_of(error: errors.MadangError) -> str:
    """The name of an error's status code."""
    return str(code_pb2.Code.Name(_code(error)))


def _code(error: errors.MadangError) -> code_pb2.Code.ValueType:
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), code_pb2.INTERNAL)


def _packed(detail: message.Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
