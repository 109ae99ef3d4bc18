"""What every call of `madang.v1` passes through: decode, authenticate, ask who may call it, validate; and turn errors
into statuses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from madang.core import rights
from madang.core.errors import Internal, MadangError, MalformedRequest, TokenMissing
from madang.core.models import Actor, Session
from madang.rpc.address import address_of
from madang.rpc.status import abort
from madang.rpc.validation import Contract
from madang.services.agent import AgentService

Q = TypeVar("Q")
R = TypeVar("R")
# As strings: these classes are generic for the type checker alone.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

PREFIX = "/madang.v1."
OPEN_METHODS = frozenset(PREFIX + method for method, rule in rights.RULES.items() if rule.role is None)
"""What can be called without a session."""

VALIDATED_BY_SERVICER = frozenset({"/madang.v1.ChannelService/Post"})
"""Streams of requests: their servicer holds each request against the contract, so that one bad item fails alone."""

_BEARER = "Bearer "
_session: ContextVar[Session] = ContextVar("session")
_address: ContextVar[str] = ContextVar("address")
_log = logging.getLogger("madang.rpc")


def caller() -> Session:
    """The session of the call that is being served."""
    return _session.get()


def actor() -> Actor:
    """Who makes the call that is being served, and from where. Not for methods that need no session."""
    session = _session.get()
    return Actor(session.user_id, session.session_id, session.role, _address.get())


def caller_address() -> str:
    """From which network address the call comes that is being served; empty when that is not known."""
    return _address.get()


class _Malformed:
    """Stands for a request that could not be decoded."""


class ContractInterceptor(grpc.aio.ServerInterceptor):
    """One for each listener. Other services (health, reflection, classic) pass through untouched."""

    def __init__(self, agent: AgentService, contract: Contract) -> None:
        self._agent = agent
        self._contract = contract
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Q, R] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Q, R] | None:
        """The handler of our own methods, wrapped once each."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None or not method.startswith(PREFIX):
                return handler
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        decode = _decoder(handler.request_deserializer)
        encode = _encoder(handler.response_serializer)
        if handler.unary_unary is not None:
            guarded = self._guard(method, handler.unary_unary)
            return grpc.unary_unary_rpc_method_handler(guarded, decode, encode)
        if handler.unary_stream is not None:
            guarded = self._guard(method, handler.unary_stream)
            return grpc.unary_stream_rpc_method_handler(guarded, decode, encode)
        guarded = self._guard(method, handler.stream_stream)
        return grpc.stream_stream_rpc_method_handler(guarded, decode, encode)

    def _guard(self, method: str, call: Callable[[Any, Any], Any] | None) -> Callable[[Any, Context], Any]:
        if call is None:
            raise TypeError(f"{method} has a shape that the contract does not use")
        needs_session = method not in OPEN_METHODS
        validates = method not in VALIDATED_BY_SERVICER
        name = method.removeprefix(PREFIX)

        async def guarded(request: Any, context: Context) -> Any:
            try:
                address = address_of(context)
                _address.set(address)
                if needs_session:
                    session = await self._authenticate(context, address)
                    rights.require(name, session.role, session.scopes)
                    _session.set(session)
                if validates:
                    self._check(request)
                return await call(request, context)
            except MadangError as error:
                if isinstance(error, Internal):
                    _log.error("%s failed", method, exc_info=error.__cause__ or error)
                await abort(context, error)
            except (grpc.aio.AbortError, asyncio.CancelledError):
                raise
            except grpc.aio.InternalError as error:
                # gRPC could not write: the client has gone. It says so by a cancellation, a moment earlier or later.
                raise asyncio.CancelledError from error
            except Exception:
                if not context.done():
                    _log.exception("%s failed", method)
                await abort(context, Internal())

        return guarded

    def _check(self, request: object) -> None:
        if not isinstance(request, Message):
            raise MalformedRequest
        self._contract.check(request)

    async def _authenticate(self, context: Context, address: str) -> Session:
        for key, value in context.invocation_metadata() or ():
            if key == "authorization":
                text = value if isinstance(value, str) else value.decode(errors="replace")
                token = text.removeprefix(_BEARER)
                return self._agent.known(token, address) or await self._agent.authenticate(token, address)
        raise TokenMissing


def _decoder(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """The decoder, but for bytes that cannot be decoded, which are then our error and not grpc's INTERNAL."""
    if decode is None:
        raise TypeError("a method of the contract without a decoder")

    def safely(raw: bytes) -> Any:
        try:
            return decode(raw)
        except DecodeError:
            return _Malformed()

    return safely


def _encoder(encode: Callable[[Any], bytes] | None) -> Callable[[Any], bytes]:
    """The encoder, but for what is encoded already: the hub encodes a change once for all of its readers."""
    if encode is None:
        raise TypeError("a method of the contract without an encoder")

    def unless_encoded(response: Any) -> bytes:
        return response if type(response) is bytes else encode(response)

    return unless_encoded
