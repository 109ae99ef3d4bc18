"""The load client's view of the wire: whatever the pieces that bytes come in, frames and ranges are the same."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from benchmarks import http2
from benchmarks.messages import BatchWalker, MessageError, MessageReader, prefixed, read_varint, varint
from madang.v1.channel_service_pb2 import ChannelBatch, ChannelOpened, SubscribeResponse, Typing
from madang.v1.resources_pb2 import Channel, Message


class Walked(BatchWalker):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[int, int, int]] = []
        self.others: list[bytes] = []

    def batch(self, channel_id: int, after: int, through: int) -> None:
        self.batches.append((channel_id, after, through))

    def field(self, encoded: bytes) -> None:
        self.others.append(encoded)


class Whole(MessageReader):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[bytes] = []

    def message(self, message: bytes) -> None:
        self.messages.append(message)


def cut(data: bytes, rng: random.Random, longest: int) -> list[memoryview]:
    """Cut bytes at random places."""
    places = [0]
    while places[-1] < len(data):
        places.append(min(len(data), places[-1] + rng.randint(1, longest)))
    return [memoryview(data)[begin:end] for begin, end in pairwise(places)]


def responses() -> list[SubscribeResponse]:
    """Responses of every shape: opening, empty, small, large, several channels, other fields around the batches."""

    def batch(channel: int, after: int, through: int, text: str = "words") -> ChannelBatch:
        messages = [Message(channel_id=channel, sequence=each, text=text) for each in range(after + 1, through + 1)]
        return ChannelBatch(channel_id=channel, after=after, through=through, messages=messages)

    return [
        SubscribeResponse(opened=[ChannelOpened(channel=Channel(channel_id=7, name="x" * 64), position=3)], begun=True),
        SubscribeResponse(),
        SubscribeResponse(batches=[batch(7, 0, 1)]),
        SubscribeResponse(batches=[batch(7, 1, 2), batch(8, 300, 302)], typing=[Typing(channel_id=7, user_id=9)]),
        SubscribeResponse(batches=[batch(2**40, 2**50, 2**50 + 50, "y" * 400)]),
        SubscribeResponse(batches=[ChannelBatch(channel_id=7, after=2, through=90)]),
    ]


@pytest.mark.parametrize("longest", [1, 3, 40, 1000, 100_000])
def test_walker_reads_every_range_whatever_the_pieces(longest: int) -> None:
    rng = random.Random(longest)
    stream = b"".join(prefixed(response.SerializeToString()) for response in responses())
    walked, whole = Walked(), Whole()
    for piece in cut(stream, rng, longest):
        walked.feed(piece)
        whole.feed(piece)
    expected = [(each.channel_id, each.after, each.through) for r in responses() for each in r.batches]
    assert walked.batches == expected
    others = SubscribeResponse.FromString(b"".join(walked.others))
    assert len(others.opened) == 1
    assert others.opened[0].position == 3
    assert len(others.typing) == 1
    assert whole.messages == [response.SerializeToString() for response in responses()]


def test_walker_refuses_what_it_does_not_know() -> None:
    with pytest.raises(MessageError, match="compressed"):
        Walked().feed(memoryview(b"\x01\x00\x00\x00\x01x"))
    reordered = b"\x1a\x04\x22\x00\x18\x01"
    with pytest.raises(MessageError, match="range"):
        Walked().feed(memoryview(prefixed(reordered)))


@pytest.mark.parametrize("longest", [1, 5, 30, 10_000])
def test_frames_are_the_same_whatever_the_pieces(longest: int) -> None:
    sent = [
        http2.settings({http2.SETTINGS_INITIAL_WINDOW_SIZE: 1 << 24}),
        http2.frame(http2.DATA, 0, 1, b"a" * 3000),
        http2.frame(http2.PING, 0, 0, b"12345678"),
        http2.frame(http2.DATA, 0, 3, b""),
        http2.frame(http2.DATA, 0, 1, b"b" * 70_000),
        http2.frame(http2.DATA, http2.END_STREAM, 3, b"c"),
        http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 1, b"block"),
    ]
    data: dict[int, bytes] = {}
    frames: list[tuple[int, int, int, bytes]] = []

    def on_data(stream_id: int, piece: memoryview) -> None:
        data[stream_id] = data.get(stream_id, b"") + piece

    reader = http2.FrameReader(on_data, lambda *frame: frames.append(frame))
    for piece in cut(b"".join(sent), random.Random(longest), longest):
        reader.feed(piece)
    assert data == {1: b"a" * 3000 + b"b" * 70_000, 3: b"c"}
    assert [kind for kind, *_ in frames] == [http2.SETTINGS, http2.PING, http2.DATA, http2.HEADERS]
    assert http2.read_settings(frames[0][3]) == {http2.SETTINGS_INITIAL_WINDOW_SIZE: 1 << 24}
    assert frames[2] == (http2.DATA, http2.END_STREAM, 3, b"")
    assert frames[3][2:] == (1, b"block")


def test_headers_are_read_by_a_real_decoder() -> None:
    hpack = pytest.importorskip("hpack")
    encoder, decoder = http2.HeaderEncoder(), hpack.Decoder()
    sizes = []
    for number in range(60):
        headers = [
            (":method", "POST"),
            (":path", "/madang.v1.ChannelService/Send"),
            ("te", "trailers"),
            ("authorization", f"Bearer {number // 20}" + "x" * 200),
            ("x-other", f"{number}" * 100),
        ]
        block = encoder.encode(headers)
        sizes.append(len(block))
        assert [(str(name), str(value)) for name, value in decoder.decode(block)] == headers
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**62])
def test_varint(value: int) -> None:
    encoded = varint(value)
    assert read_varint(memoryview(encoded), 0) == (value, len(encoded))
