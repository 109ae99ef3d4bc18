"""What happens in a channel, as the classic streams tell it: read from the hub like every other subscription."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from madang.classic import client_to_agent_pb2 as pb
from madang.core.errors import SessionRevoked
from madang.core.hosts import limit_key
from madang.rpc.classic.roster import Guest
from madang.rpc.interceptor import Context
from madang.services.channel import ChannelService
from madang.services.limits import Limiter
from madang.services.streams import End, Streams
from madang.services.subscription import Subscription, Wanted
from madang.v1 import channel_service_pb2, resources_pb2

Reply = pb.Chat | pb.StatusReply
Translate = Callable[[resources_pb2.Message], Reply | None]
"""What a stream tells of a message; None: nothing."""


@contextmanager
def open_stream(streams: Streams, limiter: Limiter, guest: Guest, end: End) -> Iterator[None]:
    """While this lasts, `end` is called when the user's session ends.

    The streams of a user that said goodbye end without an error. Raises LimitReached.
    """
    session_id = guest.session.session_id
    try:
        with limiter.stream(guest.session, limit_key(guest.host)), streams.open(session_id, end):
            yield
    except SessionRevoked:
        if not guest.said_goodbye:
            raise


class Relay:
    """Writes a channel's messages, from now on, to a classic stream. Each stream has a cursor of its own."""

    def __init__(self, channel: ChannelService, streams: Streams, limiter: Limiter) -> None:
        self._channel = channel
        self._limiter = limiter
        self._streams = streams

    async def run(
        self, guest: Guest, channel_id: int, context: Context, translate: Translate, greeting: Reply | None = None
    ) -> None:
        """Serve the stream until the user leaves the channel. Raises NotAMember, and what else ends it.

        The greeting goes first. Headers are sent as soon as nothing will be missed, so that a client can wait for that.
        """
        subscription = self._channel.subscribe(guest.index, Wanted(channel_ids=frozenset({channel_id})))
        try:
            with open_stream(self._streams, self._limiter, guest, subscription.end):
                await _write(subscription, context, translate, greeting)
        finally:
            subscription.close()


async def _write(subscription: Subscription, context: Context, translate: Translate, greeting: Reply | None) -> None:
    await subscription.next()  # names the channel; nothing will be missed from here on
    await context.send_initial_metadata(())
    if greeting is not None:
        await context.write(greeting)
    while True:
        response = channel_service_pb2.SubscribeResponse.FromString(await subscription.next())
        for reply in map(translate, _messages(response)):
            if reply is not None:
                await context.write(reply)
        if response.closed:
            return


def _messages(response: channel_service_pb2.SubscribeResponse) -> Iterator[resources_pb2.Message]:
    return (message for batch in response.batches for message in batch.messages)


def others_chat(index: int) -> Translate:
    """The texts of everybody else."""

    def translate(message: resources_pb2.Message) -> pb.Chat | None:
        if message.author_id == index or message.WhichOneof("content") != "text":
            return None
        return pb.Chat(index=message.author_id, text=message.text)

    return translate


def comings_and_goings(message: resources_pb2.Message) -> pb.StatusReply | None:
    """Who joined the channel, and who left it or was removed."""
    index = message.author_id
    match message.WhichOneof("content"):
        case "member_joined":
            status = pb.StatusReply.JOIN_USER
        case "member_left":
            status = pb.StatusReply.LEAVE_USER
        case "member_removed":
            status, index = pb.StatusReply.LEAVE_USER, message.member_removed.user_id
        case _:
            return None
    return pb.StatusReply(status=status, index=index, channel=message.channel_id)
