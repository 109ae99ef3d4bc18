"""What every call of `madang.v1` passes through: decode, authenticate, ask who may call it, pay, validate; and turn
errors into statuses.

A call without a good token is refused at its headers: nobody waits for the rest of it. The few that need no session are
read within a time and a size; those of a session are paid from its budgets (`madang.services.limits`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from madang.core import rights
from madang.core.errors import Internal, LimitReached, MadangError, MalformedRequest, Overloaded, TokenMissing
from madang.core.hosts import limit_key
from madang.core.limits import MAX_BYTES_BEFORE_SIGN_IN, MAX_SECONDS_BEFORE_SIGN_IN
from madang.core.models import Actor, Session
from madang.rpc.access_log import logged
from madang.rpc.address import Network, address_of
from madang.rpc.counting import CallCounts
from madang.rpc.status import abort
from madang.rpc.validation import Contract
from madang.services.agent import AgentService
from madang.services.limits import Limiter
from madang.v1 import agent_service_pb2 as agent_pb2

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
_reason: ContextVar[str] = ContextVar("reason")
"""Why the call was refused, for the access log."""
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


class _TooLarge:
    """Stands for a request of a call without a session that was not decoded for its size."""


class ContractInterceptor(grpc.aio.ServerInterceptor):
    """One for each listener. Other services (health, reflection, classic) pass through untouched."""

    def __init__(
        self,
        agent: AgentService,
        contract: Contract,
        limiter: Limiter,
        trusted_proxies: Sequence[Network] = (),
        *,
        counts: CallCounts | None = None,
        access_log: bool = False,
    ) -> None:
        """`counts`: where calls are counted; a node has one for all of its listeners. `access_log`: whether a line is
        logged for each call.
        """
        self._access_log = access_log
        self._agent = agent
        self._contract = contract
        self._limiter = limiter
        self._trusted_proxies = trusted_proxies
        self._counts = counts or CallCounts()
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
        if method not in OPEN_METHODS:
            try:
                await self._authenticate(handler_call_details.invocation_metadata)
            except MadangError as error:
                self._counts.turned_away(method.removeprefix(PREFIX), error)
                return self._refusing(method.removeprefix(PREFIX), error)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        opens = method in OPEN_METHODS
        decode = _decoder(handler.request_deserializer, MAX_BYTES_BEFORE_SIGN_IN if opens else None)
        encode = _encoder(handler.response_serializer)
        if handler.unary_unary is not None:
            guarded = self._guard(method, handler.unary_unary)
            if opens:
                return grpc.stream_unary_rpc_method_handler(_in_time(guarded), decode, encode)
            return grpc.unary_unary_rpc_method_handler(guarded, decode, encode)
        if handler.unary_stream is not None:
            guarded = self._guard(method, handler.unary_stream, streams=True)
            return grpc.unary_stream_rpc_method_handler(guarded, decode, encode)
        guarded = self._guard(method, handler.stream_stream, streams=True)
        return grpc.stream_stream_rpc_method_handler(guarded, decode, encode)

    def _guard(
        self, method: str, call: Callable[[Any, Any], Any] | None, *, streams: bool = False
    ) -> Callable[[Any, Context], Any]:
        if call is None:
            raise TypeError(f"{method} has a shape that the contract does not use")
        needs_session = method not in OPEN_METHODS
        validates = method not in VALIDATED_BY_SERVICER
        name = method.removeprefix(PREFIX)
        limiter = self._limiter

        async def guarded(request: Any, context: Context) -> Any:
            try:
                address = address_of(context, self._trusted_proxies)
                _address.set(address)
                if not needs_session:
                    limiter.pay_open_call(limit_key(address))
                    self._check(request)
                    with _entering(limiter, request, limit_key(address)):
                        return await call(request, context)
                session = await self._authenticate(context.invocation_metadata(), address)
                rights.require(name, session.role, session.scopes)
                _session.set(session)
                await limiter.pay(name, session)
                if validates:
                    self._check(request)
                with limiter.stream(session, limit_key(address)) if streams else limiter.under_way(session):
                    return await call(request, context)
            except MadangError as error:
                self._counts.refused(name, error)
                _reason.set(error.reason)
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

        counted = self._counts.counted(name, guarded, streams=streams)
        return logged(name, counted, self._who) if self._access_log else counted

    def _refusing(self, name: str, error: MadangError) -> Handler:
        """A handler that refuses a call, whatever its shape, before anything is read of it."""

        async def refuse(requests: object, context: Context) -> None:
            _reason.set(error.reason)
            await abort(context, error)

        refusing = logged(name, refuse, self._who) if self._access_log else refuse
        return grpc.stream_stream_rpc_method_handler(refusing)

    def _who(self, context: Context) -> dict[str, Any]:
        """What the access log tells of the caller."""
        reason, session = _reason.get(""), _session.get(None)
        known = {"user_id": session.user_id, "session_id": session.session_id} if session is not None else {}
        address = address_of(context, self._trusted_proxies)
        return ({"reason": reason} if reason else {}) | known | {"address": address}

    def _check(self, request: object) -> None:
        if isinstance(request, _TooLarge):
            raise LimitReached(what="bytes in a request before signing in", limit=MAX_BYTES_BEFORE_SIGN_IN)
        if not isinstance(request, Message):
            raise MalformedRequest
        self._contract.check(request)

    async def _authenticate(self, metadata: Any, address: str = "") -> Session:
        """The session of a call's metadata. Raises TokenMissing, and what `AgentService.authenticate` raises."""
        for key, value in metadata or ():
            if key == "authorization":
                text = value if isinstance(value, str) else value.decode(errors="replace")
                token = text.removeprefix(_BEARER)
                return self._agent.known(token, address) or await self._agent.authenticate(token, address)
        raise TokenMissing


def _entering(limiter: Limiter, request: object, address: str) -> AbstractContextManager[None]:
    """Around a call without a session: new guests and new accounts are counted by address. Raises RateLimited."""
    if isinstance(request, agent_pb2.RegisterRequest):
        return limiter.registration(address)
    if isinstance(request, agent_pb2.SignInRequest) and request.WhichOneof("credential") == "guest":
        limiter.pay_guest(address)
    return nullcontext()


def _in_time(call: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[AsyncIterator[Any], Context], Awaitable[Any]]:
    """Read the one request of a call, and serve it, within the time that there is before signing in.

    gRPC reads a unary request by itself, for as long as it takes; a stream's is for us to read.
    """

    async def served(requests: AsyncIterator[Any], context: Context) -> Any:
        try:
            async with asyncio.timeout(MAX_SECONDS_BEFORE_SIGN_IN):
                request = await anext(aiter(requests), _Malformed())
                return await call(request, context)
        except TimeoutError:
            return await abort(context, Overloaded(problem="this took too long", retry_after=1))

    return served


def _decoder(decode: Callable[[bytes], Any] | None, most: int | None = None) -> Callable[[bytes], Any]:
    """The decoder, but for bytes that cannot be decoded, which are then our error and not grpc's INTERNAL.

    Nor are more than `most` bytes decoded.
    """
    if decode is None:
        raise TypeError("a method of the contract without a decoder")

    def safely(raw: bytes) -> Any:
        if most is not None and len(raw) > most:
            return _TooLarge()
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
