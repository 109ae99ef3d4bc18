"""Changes as bytes that are made once and joined for each reader.

Protobuf lets serialised messages be joined: two byte strings that hold fields of the same message, one after the
other, hold all of them. So a *segment* (the messages of one commit, as fields of a ChannelBatch) is encoded once; a
*batch* for a reader is a header, the range, followed by the segments in it; and a response is one batch after the
other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from madang.core.events import ChannelChanged
from madang.core.models import Changes, Message
from madang.v1 import channel_service_pb2 as pb
from madang.wire.messages import fill_message

MAX_SEGMENT_BYTES = 128 * 1024
"""About how many characters go into a segment; gRPC clients refuse messages of more than 4 MiB by default."""

_BYTES_BESIDE = 24
_BATCHES_TAG = bytes([pb.SubscribeResponse.BATCHES_FIELD_NUMBER << 3 | 2])


def encode_segment(messages: Iterable[Message]) -> bytes:
    """The messages as the `messages` field of a ChannelBatch."""
    batch = pb.ChannelBatch()
    add = batch.messages.add
    for message in messages:
        fill_message(add, message)
    return batch.SerializeToString()


def encode_changes(changes: Changes) -> Iterator[ChannelChanged]:
    """The changes as events with encoded segments: one after the other they cover the range, none of them is large.

    A segment is never split, so what a reader takes at once is bounded by the largest segment.
    """
    after, start, size = changes.after, 0, 0
    for number, message in enumerate(changes.messages, 1):
        size += len(message.text) + _BYTES_BESIDE
        last = number == len(changes.messages)
        if last or size >= MAX_SEGMENT_BYTES:
            through = changes.through if last else message.version
            segment = encode_segment(changes.messages[start:number])
            yield ChannelChanged(changes.channel_id, after, through, segment, changes.trace)
            after, start, size = through, number, 0


def encode_batch(channel_id: int, after: int, through: int, segments: Sequence[bytes]) -> bytes:
    """A SubscribeResponse that holds one batch, `(after, through]`, of the joined segments.

    The result can be joined to other encoded responses: together they are one response.
    """
    header = pb.ChannelBatch(channel_id=channel_id, after=after, through=through).SerializeToString()
    size = len(header) + sum(map(len, segments))
    return b"".join((_BATCHES_TAG, encode_varint(size), header, *segments))


def encode_varint(value: int) -> bytes:
    """A non-negative integer as protobuf's base-128 varint."""
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
