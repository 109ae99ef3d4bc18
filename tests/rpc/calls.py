"""Calls over a real connection, made from the contract's descriptors: a method is named, its fields are keywords."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable, Iterator
from typing import Any, cast

import grpc
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from support import PATIENCE, Reader

from madang.v1 import agent_service_pb2, channel_service_pb2, heartbeat_service_pb2, lobby_service_pb2
from madang.v1 import channel_service_pb2 as pb

FILES: tuple[FileDescriptor, ...] = (
    agent_service_pb2.DESCRIPTOR,
    heartbeat_service_pb2.DESCRIPTOR,
    lobby_service_pb2.DESCRIPTOR,
    channel_service_pb2.DESCRIPTOR,
)
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
"""Every client has a connection of its own, as clients in processes of their own have."""

OK = "OK"


def _methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.services_by_name.values():
            yield from service.methods


METHODS: dict[str, MethodDescriptor] = {method.name: method for method in _methods()}
"""Every method of the contract; no two services have one of the same name."""


def path_of(method: str) -> str:
    """A method of the contract as gRPC calls it."""
    descriptor = METHODS[method]
    return f"/{descriptor.containing_service.full_name}/{descriptor.name}"


def request_of(method: str, fields: dict[str, Any]) -> Message:
    """The request of a method, with these fields."""
    return GetMessageClass(METHODS[method].input_type)(**fields)


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """How a call ended: the code, and what the details say. `reason` is empty when it is no error of the contract."""

    code: str
    reason: str = ""
    field: str = ""
    retry_after: float | None = None
    facts: dict[str, str] = dataclasses.field(default_factory=dict)
    text: str = ""

    @property
    def what(self) -> tuple[str, str]:
        """The code and the reason."""
        return self.code, self.reason


def refusal_in(status: status_pb2.Status) -> Refusal:
    """What a status says. Every error of the contract has exactly one ErrorInfo."""
    infos, violations, delays = [], [], []
    for detail in status.details:
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            infos.append(info)
        elif detail.Unpack(bad):
            violations += bad.field_violations
        elif detail.Unpack(retry):
            delays.append(retry.retry_delay.ToMilliseconds() / 1000)
    (info,) = infos
    assert info.domain == "madang"
    assert status.message
    return Refusal(
        code_pb2.Code.Name(status.code),
        info.reason,
        violations[0].field if violations else "",
        delays[0] if delays else None,
        dict(info.metadata),
        status.message,
    )


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """What a failed call says."""
    # AioRpcError has what from_call reads; its type does not say so.
    status = rpc_status.from_call(cast("grpc.Call", error))
    return Refusal(error.code().name, text=error.details() or "") if status is None else refusal_in(status)


class Stream:
    """A stream of responses that is read when the test says so."""

    def __init__(self, call: Any) -> None:
        self.call = call

    async def read(self) -> Any:
        """The next response. An end fails the test."""
        async with asyncio.timeout(PATIENCE):
            response = await self.call.read()
        assert response is not grpc.aio.EOF, "the stream ended"
        return response

    async def write(self, **fields: Any) -> None:
        """Send a request, if the stream takes requests."""
        async with asyncio.timeout(PATIENCE):
            await self.call.write(pb.PostRequest(**fields))

    async def ending(self) -> Refusal:
        """Read to the end; how it ended."""
        try:
            async with asyncio.timeout(PATIENCE):
                while await self.call.read() is not grpc.aio.EOF:
                    pass
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        return Refusal((await self.call.code()).name)


class Live:
    """A subscription, applied to a reader by the contract to the letter."""

    def __init__(self, call: Any) -> None:
        self.stream = Stream(call)
        self.reader = Reader()

    async def next(self) -> pb.SubscribeResponse:
        """The next response, applied."""
        return self.reader.take(await self.stream.read())

    async def until(self, condition: Callable[[pb.SubscribeResponse], object]) -> pb.SubscribeResponse:
        """Read on until a response for which the condition holds."""
        while True:
            response = await self.next()
            if condition(response):
                return response

    async def reaches(self, channel_id: int, sequence: int) -> None:
        """Read on until the channel has come through a sequence."""
        while self.reader.positions.get(channel_id, -1) < sequence:
            await self.next()

    async def ending(self) -> Refusal:
        """Read to the end; how it ended."""
        return await self.stream.ending()


class Caller:
    """Someone who calls: with the token of a session, or with none."""

    def __init__(self, channel: grpc.aio.Channel, token: str = "", user_id: int = 0, handle: str = "") -> None:
        self.channel = channel
        self.token = token
        self.user_id = user_id
        self.handle = handle
        self.metadata: tuple[tuple[str, str], ...] = (("authorization", f"Bearer {token}"),) if token else ()

    async def call(self, method: str, /, **fields: Any) -> Any:
        """Call a method that answers once; the answer."""
        return await self.raw(method, request_of(method, fields).SerializeToString())

    async def raw(self, method: str, request: bytes, /) -> Any:
        """The same with a request of any bytes."""
        made = self.channel.unary_unary(path_of(method), lambda raw: raw, self._response(method))
        return await made(request, metadata=self.metadata, timeout=PATIENCE)

    async def refused(self, method: str, /, **fields: Any) -> Refusal:
        """How a call was refused. Also of a stream, which may answer before it ends; an answer of others fails."""
        return await self.refused_raw(method, request_of(method, fields).SerializeToString())

    async def refused_raw(self, method: str, request: bytes, /) -> Refusal:
        """The same with a request of any bytes."""
        if METHODS[method].server_streaming:
            return await self.stream_raw(method, request).ending()
        try:
            answer = await self.raw(method, request)
        except grpc.aio.AioRpcError as error:
            return refusal_of(error)
        raise AssertionError(f"{method} answered {answer}")

    def stream(self, method: str, /, **fields: Any) -> Stream:
        """Open a stream of responses."""
        return self.stream_raw(method, request_of(method, fields).SerializeToString())

    def stream_raw(self, method: str, request: bytes, /) -> Stream:
        """The same with a request of any bytes; for Post it is the only one."""
        if METHODS[method].client_streaming:
            return self.post_raw(request)
        made: Any = self.channel.unary_stream(path_of(method), None, self._response(method))
        return Stream(made(request, metadata=self.metadata))

    def post_raw(self, *requests: bytes) -> Stream:
        """Open a stream of messages that sends these, whatever they are."""
        made: Any = self.channel.stream_stream(path_of("Post"), None, pb.PostResponse.FromString)
        return Stream(made(iter(requests), metadata=self.metadata))

    def post(self) -> Stream:
        """Open a stream of messages."""
        made = self.channel.stream_stream(path_of("Post"), pb.PostRequest.SerializeToString, pb.PostResponse.FromString)
        return Stream(made(metadata=self.metadata))

    def stream_bytes(self, method: str, /, **fields: Any) -> Any:
        """The bare call of a stream, whose responses are bytes."""
        made: Any = self.channel.unary_stream(path_of(method), None, None)
        return made(request_of(method, fields).SerializeToString(), metadata=self.metadata)

    async def subscribe(self, **fields: Any) -> Live:
        """A subscription whose first response was read."""
        live = Live(self.stream_bytes("Subscribe", **fields))
        await live.next()
        return live

    async def say(self, channel_id: int, *texts: str) -> int:
        """Send messages; the sequence of the last."""
        sequence = 0
        for text in texts:
            sequence = (await self.call("Send", channel_id=channel_id, text=text)).message.sequence
        return sequence

    async def texts(self, channel_id: int) -> list[str]:
        """Everything that is written in a channel, in order."""
        page = await self.call(
            "ListMessages", channel_id=channel_id, page_size=500, order=pb.MESSAGE_ORDER_OLDEST_FIRST
        )
        assert not page.next_page_token
        return [message.text for message in page.messages if message.HasField("text")]

    def _response(self, method: str) -> Callable[[bytes], Message]:
        return GetMessageClass(METHODS[method].output_type).FromString


async def sign_in(channel: grpc.aio.Channel, handle: str) -> Caller:
    """A new guest."""
    answer = await Caller(channel).call("SignIn", guest={"handle": handle})
    return Caller(channel, answer.token, answer.user.user_id, answer.user.handle)


def connect(target: str) -> grpc.aio.Channel:
    """A connection of its own."""
    return grpc.aio.insecure_channel(target, options=OPTIONS)


def item(channel_id: int, text: str, request_id: str | None = None) -> pb.SendRequest:
    """A message for Post, with a request_id of its own."""
    return pb.SendRequest(channel_id=channel_id, text=text, request_id=request_id or str(uuid.uuid4()))
