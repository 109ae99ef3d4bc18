"""Messages that are stored: the Channel's reading calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

from madang.client.directory import Directory
from madang.client.known import ChannelRef
from madang.client.paging import pages, patiently
from madang.client.transport import Transport
from madang.core.models import Message
from madang.v1 import channel_service_pb2 as pb
from madang.wire.messages import message_from_pb

PAGE = 500


class History:
    """Reads messages page by page, and moves the read mark."""

    def __init__(self, transport: Transport, directory: Directory) -> None:
        self._transport = transport
        self._directory = directory

    async def message(self, ref: ChannelRef, sequence: int) -> Message:
        """One message. Raises MessageNotFound."""
        request = pb.GetMessageRequest(channel_id=await self._directory.channel_id(ref), sequence=sequence)
        answer = await self._transport.call(self._transport.channel.GetMessage, request)
        return message_from_pb(answer.message)

    async def window(self, ref: ChannelRef, limit: int, before: int, after: int, newest_first: bool) -> list[Message]:
        """Up to `limit` messages between `after` and `before`, oldest first; `newest_first`: from which end."""
        order = pb.MESSAGE_ORDER_NEWEST_FIRST if newest_first else pb.MESSAGE_ORDER_OLDEST_FIRST
        request = pb.ListMessagesRequest(
            channel_id=await self._directory.channel_id(ref), order=order, before=before, after=after
        )
        found: list[Message] = []
        while len(found) < limit:
            request.page_size = min(limit - len(found), PAGE)
            answer = await patiently(self._fetch, request)
            found += map(message_from_pb, answer.messages)
            request.page_token = answer.next_page_token
            if not answer.next_page_token:
                break
        return found[::-1] if newest_first else found

    async def forwards(self, ref: ChannelRef, after: int) -> AsyncIterator[Message]:
        """All messages after a sequence, oldest first, page by page."""
        channel_id = await self._directory.channel_id(ref)

        async def fetch(token: str) -> pb.ListMessagesResponse:
            request = pb.ListMessagesRequest(
                channel_id=channel_id,
                page_size=PAGE,
                page_token=token,
                order=pb.MESSAGE_ORDER_OLDEST_FIRST,
                after=after,
            )
            return await self._fetch(request)

        async for page in pages(fetch):
            for message in page.messages:
                yield message_from_pb(message)

    async def _fetch(self, request: pb.ListMessagesRequest) -> pb.ListMessagesResponse:
        return await self._transport.call(self._transport.channel.ListMessages, request)

    async def mark_read(self, ref: ChannelRef, sequence: int) -> int:
        """Move the read mark; it never goes back. Returns where it is."""
        request = pb.MarkReadRequest(channel_id=await self._directory.channel_id(ref), read_through=sequence)
        answer = await self._transport.call(self._transport.channel.MarkRead, request)
        return answer.read_through

    async def typing(self, ref: ChannelRef) -> None:
        """Tell the others that the user is writing."""
        request = pb.SetTypingRequest(channel_id=await self._directory.channel_id(ref))
        await self._transport.call(self._transport.channel.SetTyping, request)
