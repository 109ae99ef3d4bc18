"""Responses of the live stream, and what becomes of them: by example, and against a model of an unreliable stream."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from madang.client.events import (
    ChannelClosed,
    ChannelOpened,
    ChannelReset,
    Event,
    MessageEvent,
    ReadMarkMoved,
    TypingEvent,
    UserChanged,
)
from madang.client.feed import Feed, authors
from madang.client.inbox import Item
from madang.client.known import Known
from madang.client.store import Place
from madang.core.models import Content
from madang.v1 import channel_service_pb2 as pb
from madang.v1 import resources_pb2

STORE = "history-1"


def feed(places: dict[int, Place] | None = None, only: Iterable[int] = ()) -> Feed:
    return Feed(Known(), places or {}, list(only))


def opened(channel_id: int, position: int, read_through: int = 0, *, more: bool = False) -> pb.SubscribeResponse:
    """Opens a channel. `more`: the stream begins with other channels too."""
    channel = resources_pb2.Channel(channel_id=channel_id, name=f"c{channel_id}", sequence=position)
    entry = pb.ChannelOpened(channel=channel, position=position, read_through=read_through)
    return pb.SubscribeResponse(opened=[entry], begun=not more)


def batch(channel_id: int, after: int, through: int, *sequences: int) -> pb.ChannelBatch:
    messages = [
        resources_pb2.Message(channel_id=channel_id, sequence=n, author_id=1, text=str(n))
        for n in sequences or range(after + 1, through + 1)
    ]
    return pb.ChannelBatch(channel_id=channel_id, after=after, through=through, messages=messages)


def events(items: Iterable[Item]) -> list[Event]:
    return [item.event for item in items if item.event is not None]


def told(items: Iterable[Item]) -> list[int]:
    return [event.message.sequence for event in events(items) if isinstance(event, MessageEvent)]


def begun(*channel_ids: int, places: dict[int, Place] | None = None) -> Feed:
    """A feed whose stream has begun, with these channels open at position 0."""
    made = feed(places)
    made.begin(STORE)
    made.request()
    response = pb.SubscribeResponse(begun=True)
    for channel_id in channel_ids:
        response.MergeFrom(opened(channel_id, 0))
    made.take(response)
    return made


def test_a_new_client_begins_where_the_server_says() -> None:
    made = feed()
    assert not made.begin(STORE)
    assert made.request() == pb.SubscribeRequest(store_id=STORE)
    (item,) = made.take(opened(1, 7, read_through=3))
    assert isinstance(item.event, ChannelOpened)
    assert (item.event.position, item.event.read_through) == (7, 3)
    assert (item.channel_id, item.place) == (1, Place(7, STORE))
    assert told(made.take(pb.SubscribeResponse(batches=[batch(1, 7, 9)]))) == [8, 9]


def test_a_restarted_client_goes_on_from_its_places() -> None:
    made = feed({1: Place(5, STORE)})
    assert made.begin(STORE)
    assert list(made.request().positions) == [pb.Position(channel_id=1, sequence=5)]


def test_places_in_a_batch() -> None:
    made = begun(1)
    items = made.take(pb.SubscribeResponse(batches=[batch(1, 0, 9, 4, 2, 5), batch(1, 9, 12, 10), batch(1, 12, 13)]))
    places = [item.place.sequence for item in items if item.place is not None]
    assert places == [4, 4, 9, 12, 13]  # 2 was edited, so that it tells nothing of the position


def test_a_batch_without_messages_moves_the_position() -> None:
    made = begun(1)
    (item,) = made.take(pb.SubscribeResponse(batches=[pb.ChannelBatch(channel_id=1, after=0, through=4)]))
    assert item == Item(None, 1, Place(4, STORE))


def test_repeats_are_ignored_and_a_gap_is_noticed() -> None:
    made = begun(1)
    made.take(pb.SubscribeResponse(batches=[batch(1, 0, 4)]))
    assert not made.take(pb.SubscribeResponse(batches=[batch(1, 0, 4), batch(1, 2, 3)]))
    assert not made.gap
    assert not made.take(pb.SubscribeResponse(batches=[batch(1, 5, 6)]))
    assert made.gap
    assert list(made.request().positions) == [pb.Position(channel_id=1, sequence=4)]
    assert not made.gap


def test_an_open_channel_is_not_opened_again_after_a_break() -> None:
    made = begun(1)
    made.begin(STORE)
    made.request()
    assert not made.take(opened(1, 0))
    made.request()
    (event,) = events(made.take(opened(1, 0, read_through=5)))
    assert isinstance(event, ReadMarkMoved)
    assert event.read_through == 5


def test_channels_that_were_left_during_a_break_are_closed() -> None:
    made = begun(1, 2)
    made.request()
    (item,) = made.take(opened(1, 0))
    assert isinstance(item.event, ChannelClosed)
    assert (item.event.channel.channel_id, item.channel_id, item.place) == (2, 2, None)
    made.request()
    assert not made.take(opened(1, 0))


def test_a_stream_that_begins_with_many_channels_names_them_in_parts() -> None:
    made = begun(1, 2, 3)
    made.request()
    assert not events(made.take(opened(3, 0, more=True)))
    assert not events(made.take(opened(1, 0, more=True)))
    left, joined = events(made.take(opened(4, 6)))
    assert isinstance(left, ChannelClosed), "the second was not named: it was left meanwhile"
    assert isinstance(joined, ChannelOpened)
    (item,) = made.take(pb.SubscribeResponse(closed=[pb.ChannelClosed(channel_id=3)]))
    assert isinstance(item.event, ChannelClosed)


def test_a_filter_leaves_the_places_of_other_channels_alone() -> None:
    made = feed({1: Place(3, STORE), 2: Place(4, STORE), 3: Place(5, STORE)}, only=[1, 3])
    made.begin(STORE)
    request = made.request()
    assert sorted(position.channel_id for position in request.positions) == [1, 3]
    assert list(request.channel_ids) == [1, 3]
    items = list(made.take(opened(1, 3)))
    assert [(item.channel_id, item.place) for item in items] == [(3, None), (1, Place(3, STORE))]


def test_a_channel_that_is_joined_again_begins_anew() -> None:
    made = begun(1, 2)
    made.take(pb.SubscribeResponse(batches=[batch(2, 0, 3)]))
    made.take(pb.SubscribeResponse(closed=[pb.ChannelClosed(channel_id=2)]))
    (event,) = events(made.take(opened(2, 8)))
    assert isinstance(event, ChannelOpened)
    assert told(made.take(pb.SubscribeResponse(batches=[batch(2, 8, 9)]))) == [9]


def test_an_open_channel_that_is_opened_further_on_is_a_gap() -> None:
    made = begun(1, 2)
    made.take(pb.SubscribeResponse(batches=[batch(2, 0, 3)]))
    assert not made.take(opened(2, 3))
    assert not made.take(opened(2, 1))  # a repeat
    assert not made.gap
    assert not made.take(opened(2, 8))
    assert made.gap
    positions = {position.channel_id: position.sequence for position in made.request().positions}
    assert positions == {1: 0, 2: 3}
    response = opened(1, 0)
    response.MergeFrom(opened(2, 3))
    made.take(response)
    assert told(made.take(pb.SubscribeResponse(batches=[batch(2, 3, 9)]))) == [4, 5, 6, 7, 8, 9]
    assert not made.gap


def test_a_channel_that_is_closed_and_opened_further_on_is_no_gap() -> None:
    made = begun(1, 2)
    made.take(pb.SubscribeResponse(closed=[pb.ChannelClosed(channel_id=2)]))
    (item,) = made.take(opened(2, 8))
    assert item.place == Place(8, STORE)
    assert not made.gap


def test_a_reset_by_the_server() -> None:
    made = feed({1: Place(50, STORE), 2: Place(5, STORE)})
    made.begin(STORE)
    made.request()
    response = pb.SubscribeResponse(resets=[pb.ChannelReset(channel_id=1, position=9)])
    response.MergeFrom(opened(1, 9))
    response.MergeFrom(opened(2, 5))
    items = list(made.take(response))
    assert [type(item.event) for item in items] == [ChannelOpened, ChannelReset, ChannelOpened]
    assert [item.place for item in items] == [None, Place(9, STORE), Place(5, STORE)]
    assert told(made.take(pb.SubscribeResponse(batches=[batch(1, 9, 10)]))) == [10]


def test_a_reset_in_mid_stream() -> None:
    made = begun(1)
    (event,) = events(made.take(pb.SubscribeResponse(resets=[pb.ChannelReset(channel_id=1, position=9)])))
    assert isinstance(event, ChannelReset)
    assert told(made.take(pb.SubscribeResponse(batches=[batch(1, 9, 10)]))) == [10]


def test_places_of_another_history_are_reset() -> None:
    made = feed({1: Place(50, "history-0"), 2: Place(5, STORE)})
    made.begin(STORE)
    assert list(made.request().positions) == [pb.Position(channel_id=2, sequence=5)]
    response = opened(1, 3)
    response.MergeFrom(opened(2, 5))
    items = list(made.take(response))
    assert [type(item.event) for item in items] == [ChannelOpened, ChannelReset, ChannelOpened]
    assert items[1].place == Place(3, STORE)


def test_a_history_that_is_replaced_during_a_break() -> None:
    made = begun(1)
    made.take(pb.SubscribeResponse(batches=[batch(1, 0, 5)]))
    assert not made.begin("history-2")
    assert not made.request().positions
    (event,) = events(made.take(opened(1, 2)))
    assert isinstance(event, ChannelReset)
    assert event.position == 2


def test_what_is_told_in_the_conversation_shows_in_the_channel() -> None:
    made = begun(1)
    renamed = resources_pb2.Message(channel_id=1, sequence=1, author_id=1)
    renamed.channel_updated.name = "elsewhere"
    said = resources_pb2.Message(channel_id=1, sequence=2, author_id=1, text="hello")
    news = pb.ChannelBatch(channel_id=1, after=0, through=2, messages=[renamed, said])
    found = [
        event for event in events(made.take(pb.SubscribeResponse(batches=[news]))) if isinstance(event, MessageEvent)
    ]
    assert [event.message.content for event in found] == [Content.RENAMED, Content.TEXT]
    assert [event.channel.name for event in found] == ["elsewhere", "elsewhere"]


def test_an_old_change_read_late_does_not_undo_a_newer_one() -> None:
    made = feed({1: Place(0, STORE)})
    made.begin(STORE)
    made.request()
    response = opened(1, 5)
    response.opened[0].position = 0
    made.take(response)
    old = resources_pb2.Message(channel_id=1, sequence=2, author_id=1)
    old.channel_updated.name = "an-old-name"
    news = pb.ChannelBatch(channel_id=1, after=0, through=2, messages=[old])
    (event,) = events(made.take(pb.SubscribeResponse(batches=[news])))
    assert isinstance(event, MessageEvent)
    assert event.channel.name == "c1"


def test_what_is_not_stored() -> None:
    made = begun(1)
    response = pb.SubscribeResponse(
        typing=[pb.Typing(channel_id=1, user_id=4), pb.Typing(channel_id=99, user_id=4)],
        read_marks=[pb.ReadMark(channel_id=1, read_through=3), pb.ReadMark(channel_id=99, read_through=3)],
        users=[resources_pb2.User(user_id=4, handle="mina")],
    )
    assert authors(response) == {4}
    assert [type(event) for event in events(made.take(response))] == [TypingEvent, ReadMarkMoved, UserChanged]


CUTS = st.lists(st.integers(1, 30), max_size=12).map(lambda cuts: sorted({0, *cuts, 30}))


@given(
    CUTS, st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["send", "send", "send", "repeat", "drop", "break"])))
)
def test_whatever_the_stream_does_everything_comes_once_in_order(cuts: list[int], luck: list[tuple[int, str]]) -> None:
    """The stream loses, repeats and breaks; after it all it behaves. The reader has 1 to 30, once, in order."""
    made = begun(1)
    ranges = list(pairwise(cuts))
    seen: list[int] = []
    place = 0
    for number, fate in [*luck, *((0, "send") for _ in ranges), (0, "break"), *((0, "send") for _ in ranges)]:
        if made.gap or fate == "break":
            (position,) = made.request().positions
            seen += told(made.take(opened(1, position.sequence)))
            place = next(index for index, (after, _) in enumerate([*ranges, (30, 30)]) if after == position.sequence)
        if fate == "repeat" and ranges:
            seen += told(made.take(pb.SubscribeResponse(batches=[batch(1, *ranges[number % len(ranges)])])))
        elif place < len(ranges) and fate in ("send", "drop"):
            if fate == "send":
                seen += told(made.take(pb.SubscribeResponse(batches=[batch(1, *ranges[place])])))
            place += 1
    assert seen == list(range(1, 31))
