"""One call with any bytes as its request, and what is held against its answer."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import strategies as st

from madang.classic import client_to_agent_pb2 as classic
from madang.rpc.agent import AgentServicer
from madang.rpc.lobby import LobbyServicer
from madang.v1 import (
    agent_service_pb2,
    channel_service_pb2,
    errors_pb2,
    heartbeat_service_pb2,
    lobby_service_pb2,
)
from madang.v1.agent_service_pb2_grpc import AgentServiceServicer
from madang.v1.lobby_service_pb2_grpc import LobbyServiceServicer

from .values import request

OURS = (agent_service_pb2, heartbeat_service_pb2, lobby_service_pb2, channel_service_pb2)
REASONS = frozenset(name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()[1:])
LEAKS = re.compile(rb"Traceback|File \"|\.py\b|site-packages|object at 0x|sqlite3|sqlalchemy|grpc\.aio|/src/madang")
"""What only the server's insides look like."""

PATIENCE = 30.0
"""Seconds in which a call is answered, on a shared machine."""
GLANCE = 0.15
"""For how long a stream is read that says nothing, seconds."""


class Bad(AssertionError):
    """The server did what it must not do."""


class Input(NamedTuple):
    """A call: the path of the method, who makes it, and the bodies of its requests."""

    path: str
    who: str
    bodies: list[bytes]


def _all_methods(*files: FileDescriptor) -> Iterator[MethodDescriptor]:
    for file in files:
        for service in file.services_by_name.values():
            yield from service.methods


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _is_served(method: MethodDescriptor) -> bool:
    """Whether the port has the method: a generated servicer raises for what nobody has written yet."""
    if method.containing_service.full_name == "Channel":  # of the classic contract: on ports of their own
        return False
    for ours, generated in ((AgentServicer, AgentServiceServicer), (LobbyServicer, LobbyServiceServicer)):
        if hasattr(generated, method.name):
            return getattr(ours, method.name) is not getattr(generated, method.name)
    return True


METHODS = {
    _path(method): method
    for method in filter(_is_served, _all_methods(*(module.DESCRIPTOR for module in (*OURS, classic))))
}
"""By path: everything that is served, but for grpc's own services."""

POST = "/madang.v1.ChannelService/Post"
CUT_OFF = "Internal error from Core"
"""What gRPC's own client says, in place of the server's status, when a stream ends while it writes."""

ELSEWHERE = (
    "/Channel/TryChatSend",
    "/madang.v1.ChannelService/Nothing",
    "/madang.v2.ChannelService/Send",
    "/x/y",
    "//",
    "/",
)
WHO = ("guest", "guest", "member", "member", "owner", "owner", "bot", "other", "nobody", "stranger", "noise")


def _input(path: str) -> st.SearchStrategy[Input]:
    method = METHODS.get(path)
    if method is None:
        bodies: st.SearchStrategy[list[bytes]] = st.lists(st.binary(max_size=20), min_size=1, max_size=1)
    else:
        most = 3 if method.client_streaming else 1
        bodies = st.lists(request(method.input_type), min_size=1, max_size=most)
    return st.builds(Input, st.just(path), st.sampled_from(WHO), bodies)


inputs = st.sampled_from([*METHODS, *METHODS, *METHODS, *ELSEWHERE]).flatmap(_input)


class Judge:
    """Counts what came back, and raises Bad for what must not."""

    def __init__(self, secrets: list[bytes]) -> None:
        """`secrets`: what no answer may hold, such as the names of the server's directories."""
        self.outcomes: Counter[str] = Counter()
        self.by_method: Counter[str] = Counter()
        self._secrets = secrets

    def answer(self, given: Input, answer: bytes) -> None:
        """An answer: a message of the contract."""
        method = METHODS.get(given.path)
        if method is None:
            raise Bad(f"{given}: a method that is not there answers")
        GetMessageClass(method.output_type).FromString(answer)
        self._look_for_leaks(given, answer)
        self._count(given, "OK")

    def refusal(self, given: Input, error: grpc.aio.AioRpcError) -> str:
        """An error: one of the contract, with exactly one reason; the reason, or gRPC's own code."""
        code = error.code().name
        trailers = b" ".join(
            value if isinstance(value, bytes) else value.encode() for _, value in error.trailing_metadata() or ()
        )
        self._look_for_leaks(given, (error.details() or "").encode() + trailers)
        status = rpc_status.from_call(cast("grpc.Call", error))
        if status is None:
            if METHODS.get(given.path) is METHODS[POST] and error.details() == CUT_OFF:
                self._count(given, "(ended while more was being sent)")
                return code
            if not (code == "UNIMPLEMENTED" and given.path not in METHODS):
                raise Bad(f"{given}: {code} without a reason: {error.details()}")
            self._count(given, code)
            return code
        reasons: list[str] = [info.reason for info in _infos(status)]
        if len(reasons) != 1 or reasons[0] not in REASONS or reasons[0] == "INTERNAL":
            raise Bad(f"{given}: {code} with the reasons {reasons}: {status.message}")
        self._count(given, reasons[0])
        return reasons[0]

    def silence(self, given: Input) -> None:
        """A stream that is open, and has nothing to say."""
        self._count(given, "(open stream)")

    def _count(self, given: Input, outcome: str) -> None:
        self.outcomes[outcome] += 1
        self.by_method[given.path if given.path in METHODS else "(unknown methods)"] += 1

    def _look_for_leaks(self, given: Input, said: bytes) -> None:
        found = LEAKS.search(said)
        if found is not None and found.group() not in b"".join(given.bodies):
            raise Bad(f"{given}: the answer says {said!r}")
        if any(secret in said for secret in self._secrets):
            raise Bad(f"{given}: the answer tells of the server's directories: {said!r}")


def _infos(status: Any) -> list[Any]:
    found = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "madang":
            found.append(info)
    return found


async def make(channel: grpc.aio.Channel, given: Input, token: str, judge: Judge) -> str:
    """Make the call; the reason of its refusal, or nothing."""
    method = METHODS.get(given.path)
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        async with asyncio.timeout(PATIENCE):
            if method is not None and method.server_streaming:
                await _stream(channel, given, metadata, method.client_streaming, judge)
            else:
                made: Any = channel.unary_unary(given.path, None, None)
                judge.answer(given, await made(given.bodies[0], metadata=metadata))
    except grpc.aio.AioRpcError as error:
        return judge.refusal(given, error)
    except TimeoutError:
        raise Bad(f"{given}: no answer within {PATIENCE:g} s") from None
    return ""


async def _stream(channel: grpc.aio.Channel, given: Input, metadata: Any, sends_many: bool, judge: Judge) -> None:
    many: Any = channel.stream_stream(given.path, None, None)
    one: Any = channel.unary_stream(given.path, None, None)
    call = many(iter(given.bodies), metadata=metadata) if sends_many else one(given.bodies[0], metadata=metadata)
    try:
        heard = False
        while True:
            try:
                async with asyncio.timeout(PATIENCE if sends_many else GLANCE):
                    answer = await call.read()
            except TimeoutError:
                if sends_many:
                    raise
                if not heard:
                    judge.silence(given)
                return
            if answer is grpc.aio.EOF:
                await _ended(call)
                return
            judge.answer(given, answer)
            heard = True
            if not sends_many:
                return
    finally:
        call.cancel()


async def _ended(call: Any) -> None:
    """Raise what a stream ended with, if it was an error."""
    code = await call.code()
    if code is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            code, await call.initial_metadata(), await call.trailing_metadata(), await call.details()
        )
