"""ChannelService on the wire."""

from __future__ import annotations

from functools import partial

from madang.core.errors import InvalidField
from madang.rpc.counting import CallCounts
from madang.rpc.interceptor import Context, caller
from madang.rpc.post import PostStream
from madang.rpc.streaming import ending
from madang.rpc.validation import Contract
from madang.services.channel import ChannelService
from madang.services.heartbeat import HeartbeatService
from madang.services.limits import Limiter
from madang.services.streams import Streams
from madang.services.subscription import Wanted
from madang.v1 import channel_service_pb2 as pb
from madang.v1.channel_service_pb2_grpc import ChannelServiceServicer
from madang.wire.messages import message_to_pb
from madang.wire.values import request_id_bytes


class ChannelServicer(ChannelServiceServicer):
    """Decode, call, encode; what each method does is said in the contract."""

    def __init__(
        self,
        channel: ChannelService,
        heartbeat: HeartbeatService,
        streams: Streams,
        contract: Contract,
        limiter: Limiter,
        counts: CallCounts | None = None,
    ) -> None:
        """`counts`: where it is counted what is refused of a list of messages."""
        self._refused = partial((counts or CallCounts()).refused, "ChannelService/Post")
        self._channel = channel
        self._heartbeat = heartbeat
        self._streams = streams
        self._contract = contract
        self._limiter = limiter

    async def Send(self, request: pb.SendRequest, context: Context) -> pb.SendResponse:
        """See the contract."""
        request_id = request_id_bytes(request.request_id)
        message = await self._channel.send(caller().user_id, request.channel_id, request.text, request_id)
        return pb.SendResponse(message=message_to_pb(message))

    async def Post(  # type: ignore[override]  # a coroutine that reads and writes, as grpc.aio allows
        self, request_iterator: object, context: Context
    ) -> None:
        """See the contract."""
        budget = await self._limiter.messages(caller())
        stream = PostStream(self._channel, self._contract, caller().user_id, context, budget, self._refused)
        with ending(self._streams, caller().session_id, stream.end):
            await stream.run()

    async def GetMessage(self, request: pb.GetMessageRequest, context: Context) -> pb.GetMessageResponse:
        """See the contract."""
        message = await self._channel.get(caller().user_id, request.channel_id, request.sequence)
        return pb.GetMessageResponse(message=message_to_pb(message))

    async def ListMessages(self, request: pb.ListMessagesRequest, context: Context) -> pb.ListMessagesResponse:
        """See the contract."""
        found, token = await self._channel.page(
            caller().user_id,
            request.channel_id,
            request.page_size,
            request.page_token,
            request.order != pb.MESSAGE_ORDER_OLDEST_FIRST,
            request.after,
            request.before,
        )
        return pb.ListMessagesResponse(messages=map(message_to_pb, found), next_page_token=token)

    async def MarkRead(self, request: pb.MarkReadRequest, context: Context) -> pb.MarkReadResponse:
        """See the contract."""
        read_through = await self._channel.mark_read(caller().user_id, request.channel_id, request.read_through)
        return pb.MarkReadResponse(read_through=read_through)

    async def SetTyping(self, request: pb.SetTypingRequest, context: Context) -> pb.SetTypingResponse:
        """See the contract."""
        await self._channel.set_typing(caller().user_id, request.channel_id)
        return pb.SetTypingResponse()

    async def Subscribe(  # type: ignore[override]  # a coroutine that writes, as grpc.aio allows
        self, request: pb.SubscribeRequest, context: Context
    ) -> None:
        """See the contract."""
        session = caller()
        subscription = self._channel.subscribe(session.user_id, _wanted(request))
        try:
            with (
                ending(self._streams, session.session_id, subscription.end),
                self._heartbeat.held(session.user_id, session.session_id),
            ):
                while True:
                    await context.write(await subscription.next())
        finally:
            subscription.close()


def _wanted(request: pb.SubscribeRequest) -> Wanted:
    positions = {position.channel_id: position.sequence for position in request.positions}
    if len(positions) != len(request.positions):
        raise InvalidField(field="positions", rule="names a channel twice")
    return Wanted(positions, frozenset(request.channel_ids), request.store_id)
