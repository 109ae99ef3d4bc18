"""Changes as joined bytes: they are what protobuf itself would have made of the whole."""

from __future__ import annotations

from google.protobuf.internal.encoder import _VarintBytes as reference_varint  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st

from madang.core.models import Changes, Content, Message
from madang.v1 import channel_service_pb2 as pb
from madang.v1 import resources_pb2
from madang.wire.batches import MAX_SEGMENT_BYTES, encode_batch, encode_changes, encode_segment, encode_varint
from madang.wire.messages import message_to_pb

COMMITS = st.lists(
    st.lists(
        st.tuples(st.sampled_from([Content.TEXT, Content.RENAMED, Content.MEMBER_JOINED]), st.text(max_size=200)),
        min_size=1,
        max_size=4,
    ),
    max_size=6,
)
CHANNEL = st.integers(1, 2**63 - 1)
START = st.integers(0, 2**62)


def commits(channel_id: int, after: int, written: list[list[tuple[Content, str]]]) -> list[list[Message]]:
    """Messages in the groups in which they were stored."""
    sequence, groups = after, []
    for group in written:
        messages = []
        for content, text in group:
            sequence += 1
            kept = "" if content is Content.MEMBER_JOINED else text
            messages.append(Message(channel_id, sequence, sequence, 7, 1_000_000 + sequence % 999, content, kept))
        groups.append(messages)
    return groups


@given(channel_id=CHANNEL, after=START, written=COMMITS)
def test_joined_segments_are_the_same_as_one_message(
    channel_id: int, after: int, written: list[list[tuple[Content, str]]]
) -> None:
    groups = commits(channel_id, after, written)
    everything = [message for group in groups for message in group]
    through = after + len(everything)
    joined = encode_batch(channel_id, after, through, [encode_segment(group) for group in groups])
    expected = pb.SubscribeResponse()
    expected.batches.add(
        channel_id=channel_id, after=after, through=through, messages=[message_to_pb(one) for one in everything]
    )
    assert pb.SubscribeResponse.FromString(joined) == expected


@given(st.lists(st.tuples(CHANNEL, START, COMMITS), max_size=5))
def test_joined_responses_are_one_response(
    channels: list[tuple[int, int, list[list[tuple[Content, str]]]]],
) -> None:
    """Batches of many channels, and notices that were encoded by protobuf, one after the other."""
    notices = pb.SubscribeResponse(typing=[pb.Typing(channel_id=1, user_id=2)])
    parts, expected = [notices.SerializeToString()], pb.SubscribeResponse()
    expected.CopyFrom(notices)
    for channel_id, after, written in channels:
        groups = commits(channel_id, after, written)
        through = after + sum(map(len, groups))
        part = encode_batch(channel_id, after, through, [encode_segment(group) for group in groups])
        parts.append(part)
        expected.batches.extend(pb.SubscribeResponse.FromString(part).batches)
    assert pb.SubscribeResponse.FromString(b"".join(parts)) == expected
    assert len(expected.batches) == len(channels)


@given(st.integers(0, 2**64 - 1) | st.sampled_from([0, 127, 128, 2**14 - 1, 2**14, 2**32, 2**63]))
def test_varints_are_protobufs(value: int) -> None:
    assert encode_varint(value) == reference_varint(value)


def test_an_empty_range_is_a_batch_without_messages() -> None:
    response = pb.SubscribeResponse.FromString(encode_batch(3, 5, 9, []))
    assert response.batches == [pb.ChannelBatch(channel_id=3, after=5, through=9)]


@given(
    after=START,
    sizes=st.lists(st.sampled_from([1, 100, 16_384]), min_size=1, max_size=60),
    beyond=st.integers(0, 3),
)
def test_a_large_commit_is_cut_into_ranges_that_follow_each_other(after: int, sizes: list[int], beyond: int) -> None:
    """None of them is too large for a client with gRPC's own limits, whatever the characters weigh."""
    stored = [
        Message(7, after + number, after + number, 1, 0, Content.TEXT, "🏡" * (size // 4) or "x")
        for number, size in enumerate(sizes, 1)
    ]
    through = after + len(stored) + beyond
    events = list(encode_changes(Changes(7, after, through, stored)))
    assert [event.after for event in events] == [after, *(event.through for event in events[:-1])]
    assert events[-1].through == through
    found: list[resources_pb2.Message] = []
    for event in events:
        assert len(event.segment) < 4 * MAX_SEGMENT_BYTES + 20_000
        batch = pb.ChannelBatch.FromString(event.segment)
        assert all(event.after < message.sequence <= event.through for message in batch.messages)
        found += batch.messages
    assert found == [message_to_pb(message) for message in stored]
