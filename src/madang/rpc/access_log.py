"""The access log: one line for each call that has ended. Off by default.

It tells the method, how the call ended, whose it was, from where, and how long it took; and of the request the numbers
and switches. Words and bytes are left out, whatever they are, and so is every field that the contract marks as a secret
(`debug_redact`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

_CODES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}
_WORDS = (FieldDescriptor.CPPTYPE_STRING, FieldDescriptor.CPPTYPE_MESSAGE)
_log = logging.getLogger("madang.access")

Call = Callable[[Any, Any], Awaitable[Any]]
Facts = dict[str, Any]


def logged(method: str, call: Call, who: Callable[[Any], Facts]) -> Call:
    """The same call, logged when it ends. `method`: `Service/Method`. `who`: what is known of the caller by then, asked
    with the call's context; the facts `reason`, `user_id`, `session_id` and `address`, as far as they are known.
    """

    async def wrapped(request: Any, context: Any) -> Any:
        began, status = time.perf_counter(), "OK"
        try:
            return await call(request, context)
        except BaseException as error:
            status = _ended_with(error, context)
            raise
        finally:
            _write(method, status, time.perf_counter() - began, who(context), numbers_of(request))

    return wrapped


def numbers_of(request: object) -> Facts:
    """The numbers and switches that are set in a request, but for what the contract marks as a secret."""
    if not isinstance(request, Message):
        return {}
    return {field.name: getattr(request, field.name) for field in _told(request.DESCRIPTOR) if _is_set(request, field)}


@cache
def _told(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    return tuple(
        field
        for field in descriptor.fields
        if field.cpp_type not in _WORDS and not field.is_repeated and not field.GetOptions().debug_redact
    )


def _is_set(request: Message, field: FieldDescriptor) -> bool:
    return request.HasField(field.name) if field.has_presence else bool(getattr(request, field.name))


def _ended_with(error: BaseException, context: Any) -> str:
    """The name of the status with which a call ends that raises this."""
    if isinstance(error, asyncio.CancelledError):
        return "CANCELLED"
    if not isinstance(error, grpc.aio.AbortError):
        return "UNKNOWN"
    code = context.code()
    return str(code.name) if isinstance(code, grpc.StatusCode) else _CODES.get(code, "UNKNOWN")


def _write(method: str, status: str, seconds: float, caller: Facts, request: Facts) -> None:
    facts: Facts = {"method": method, "status": status} | caller | {"seconds": round(seconds, 6)}
    if request:
        facts["request"] = request
    told = " ".join(f"{name}={value}" for name, value in (*caller.items(), *request.items()))
    _log.info("%s %s %.1f ms %s", method, status, seconds * 1000, told, extra={"facts": facts})
