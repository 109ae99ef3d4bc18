"""What every classic call passes through: decode, and turn errors into statuses, as for `madang.v1`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from madang.core.errors import Internal, MadangError, MalformedRequest
from madang.rpc.interceptor import Context, Handler
from madang.rpc.status import abort

Q = TypeVar("Q")
R = TypeVar("R")

PREFIXES = ("/Agent/", "/Heartbeat/", "/Lobby/", "/Channel/")
_log = logging.getLogger("madang.rpc.classic")


class ClassicInterceptor(grpc.aio.ServerInterceptor):
    """Without state, so that the servers of all channels can share one. Other services pass through untouched."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Q, R] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Q, R] | None:
        """The handler of a classic method, wrapped."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(PREFIXES):
            return handler
        return _wrap(handler_call_details.method, handler)


def _wrap(method: str, handler: Handler) -> Handler:
    """The handler without its decoder: what cannot be decoded is then our error, and not grpc's INTERNAL."""
    if handler.unary_unary is not None:
        guarded = _guard(method, handler.request_deserializer, handler.unary_unary)
        return grpc.unary_unary_rpc_method_handler(guarded, None, handler.response_serializer)
    guarded = _guard(method, handler.request_deserializer, handler.unary_stream)
    return grpc.unary_stream_rpc_method_handler(guarded, None, handler.response_serializer)


def _guard(
    method: str, decode: Callable[[bytes], Any] | None, call: Callable[[Any, Any], Any] | None
) -> Callable[[Any, Context], Any]:
    if decode is None or call is None:
        raise TypeError(f"{method} has a shape that the contract does not use")

    async def guarded(raw: bytes, context: Context) -> Any:
        try:
            return await call(_decoded(decode, raw), context)
        except MadangError as error:
            if isinstance(error, Internal):
                _log.error("%s failed", method, exc_info=error.__cause__ or error)
            await abort(context, error)
        except (grpc.aio.AbortError, asyncio.CancelledError):
            raise
        except Exception:
            if not context.done():
                _log.exception("%s failed", method)
            await abort(context, Internal())

    return guarded


def _decoded(decode: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return decode(raw)
    except DecodeError:
        raise MalformedRequest from None
