"""ChannelService.Post: many messages over one stream."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from madang.v1 import channel_service_pb2 as pb

from .calls import OK, Caller, Refusal, Stream, item, refusal_in

INVALID_FIELD = ("INVALID_ARGUMENT", "INVALID_FIELD")
MALFORMED = ("INVALID_ARGUMENT", "MALFORMED_REQUEST")


def outcomes(response: pb.PostResponse) -> list[int | Refusal]:
    """Of each message the sequence, or why it was refused."""
    return [
        result.stored.sequence if result.HasField("stored") else refusal_in(result.error) for result in response.results
    ]


async def test_post(mina: Caller, kitchen: int) -> None:
    post = mina.post()
    for number in range(0, 30, 10):
        sends = [item(kitchen, str(text)) for text in range(number, number + 10)]
        await post.write(sends=sends)
        response = await post.read()
        assert [result.request_id for result in response.results] == [send.request_id for send in sends]
        assert outcomes(response) == list(range(number + 2, number + 12))
        assert all(result.stored.channel_id == kitchen for result in response.results)
        assert all(result.stored.HasField("create_time") for result in response.results)
    await post.call.done_writing()
    assert (await post.ending()).code == OK
    assert await mina.texts(kitchen) == [str(text) for text in range(30)]


async def results_of(post: Stream, count: int) -> list[pb.PostResult]:
    """The next so many results, whatever answers they come in."""
    found: list[pb.PostResult] = []
    while len(found) < count:
        found += (await post.read()).results
    assert len(found) == count
    return found


async def test_answers_come_in_the_order_of_the_lists(mina: Caller, kitchen: int) -> None:
    post = mina.post()
    sent = []
    for size in (1, 200, 3, 50):
        sends = [item(kitchen, "hello") for _ in range(size)]
        sent += [send.request_id for send in sends]
        await post.write(sends=sends)
    await post.call.done_writing()
    results = await results_of(post, len(sent))
    assert [result.request_id for result in results] == sent
    assert [result.stored.sequence for result in results] == list(range(2, 256))


async def test_a_bad_item_fails_alone(mina: Caller, nari: Caller, kitchen: int) -> None:
    hers = (await nari.call("CreateChannel", name="garden")).channel.channel_id
    archived = (await mina.call("CreateChannel", name="attic")).channel.channel_id
    await mina.call("ArchiveChannel", channel_id=archived)
    used = item(kitchen, "first")
    bad: list[tuple[pb.SendRequest, tuple[str, str], str]] = [
        (item(kitchen, ""), INVALID_FIELD, "text"),
        (item(kitchen, "x" * 16385), INVALID_FIELD, "text"),
        (item(kitchen, " \n "), ("INVALID_ARGUMENT", "TEXT_NOT_ALLOWED"), ""),
        (item(kitchen, "bell\x07"), ("INVALID_ARGUMENT", "TEXT_NOT_ALLOWED"), ""),
        (item(0, "hello"), INVALID_FIELD, "channel_id"),
        (item(-1, "hello"), INVALID_FIELD, "channel_id"),
        (item(999, "hello"), ("NOT_FOUND", "CHANNEL_NOT_FOUND"), ""),
        (item(hers, "hello"), ("PERMISSION_DENIED", "NOT_A_MEMBER"), ""),
        (item(archived, "hello"), ("FAILED_PRECONDITION", "CHANNEL_ARCHIVED"), ""),
        (item(kitchen, "hello", "not a uuid"), INVALID_FIELD, "request_id"),
        (item(kitchen, "hello", "g" * 36), INVALID_FIELD, "request_id"),
        (pb.SendRequest(channel_id=kitchen, text="hello"), INVALID_FIELD, "request_id"),
        (item(kitchen, "second", used.request_id), ("ALREADY_EXISTS", "REQUEST_ID_REUSED"), ""),
    ]
    sends = [used]
    for send, _, _ in bad:
        sends += [send, item(kitchen, f"after {len(sends)}")]
    post = mina.post()
    await post.write(sends=sends)
    response = await post.read()
    assert [result.request_id for result in response.results] == [send.request_id for send in sends]
    told = outcomes(response)
    assert told[::2] == list(range(2, len(bad) + 3)), "the others are stored, in order, without a hole"
    for (send, what, field), refusal in zip(bad, told[1::2], strict=True):
        assert isinstance(refusal, Refusal), send
        assert (refusal.what, refusal.field) == (what, field)
        if not refusal.field and refusal.reason != "REQUEST_ID_REUSED":  # the same as the status of a failed Send
            assert await mina.refused("Send", channel_id=send.channel_id, text=send.text) == refusal
    await post.write(sends=[item(kitchen, "the stream goes on")])
    assert outcomes(await post.read()) == [len(bad) + 3]
    assert await mina.texts(kitchen) == [*(send.text for send in sends[::2]), "the stream goes on"]


async def test_repeats_are_answered_with_the_first_result(mina: Caller, kitchen: int) -> None:
    sends = [item(kitchen, text) for text in "abc"]
    by_send = await mina.call("Send", channel_id=kitchen, text="x", request_id=sends[0].request_id.upper())
    first, second = mina.post(), mina.post()
    for post in (first, second):
        await post.write(sends=[*sends[1:], *sends[1:]])
        assert outcomes(await post.read()) == [3, 4, 3, 4]
    await first.write(sends=sends[:1])
    (refusal,) = outcomes(await first.read())
    assert isinstance(refusal, Refusal)
    assert refusal.what == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    await second.write(sends=[item(kitchen, "x", sends[0].request_id)])
    assert outcomes(await second.read()) == [by_send.message.sequence]
    assert await mina.texts(kitchen) == ["x", "b", "c"]


@pytest.mark.parametrize(
    ("fields", "rule"),
    [({}, "at least 1"), ({"sends": [{"channel_id": 1, "text": "x", "request_id": "x"}] * 1001}, "no more than 1000")],
    ids=["empty", "too-many"],
)
async def test_lists_of_a_wrong_length_end_the_stream(
    mina: Caller, kitchen: int, fields: dict[str, Any], rule: str
) -> None:
    post = mina.post()
    await post.write(sends=[item(kitchen, "before")])
    await post.write(**fields)
    assert outcomes(await post.read()) == [2], "what came before is answered"
    ending = await post.ending()
    assert (ending.what, ending.field) == (INVALID_FIELD, "sends")
    assert rule in ending.text


async def test_the_longest_list(mina: Caller, kitchen: int) -> None:
    post = mina.post()
    await post.write(sends=[item(kitchen, "hello") for _ in range(1000)])
    assert outcomes(await post.read()) == list(range(2, 1002))


@pytest.mark.parametrize("raw", [b"\xff" * 20, b"\x0a\x04\x12\x02\xff\xfe"], ids=["no-protobuf", "no-utf8"])
async def test_bytes_that_are_no_request_end_the_stream(mina: Caller, kitchen: int, raw: bytes) -> None:
    good = pb.PostRequest(sends=[item(kitchen, "before")]).SerializeToString()
    post = mina.post_raw(good, raw, good)
    assert outcomes(await post.read()) == [2], "what came before is answered"
    assert (await post.ending()).what == MALFORMED
    assert await mina.texts(kitchen) == ["before"]


async def test_nothing_said(mina: Caller) -> None:
    post = mina.post()
    await post.call.done_writing()
    assert (await post.ending()).code == OK


async def test_rights_are_checked_at_every_message(mina: Caller, nari: Caller, shared: int) -> None:
    post = nari.post()
    await post.write(sends=[item(shared, "hello")])
    (sequence,) = outcomes(await post.read())
    await nari.call("LeaveChannel", channel_id=shared)
    await post.write(sends=[item(shared, "am I still there?"), item(1, "here I am")])
    refused, stored = outcomes(await post.read())
    assert isinstance(refused, Refusal)
    assert refused.what == ("PERMISSION_DENIED", "NOT_A_MEMBER")
    assert stored == 1
    assert sequence == 3


async def test_many_streams_at_once(mina: Caller, nari: Caller, shared: int) -> None:
    posts = [mina.post(), nari.post(), mina.post(), nari.post()]
    for _ in range(5):
        for number, post in enumerate(posts):
            await post.write(sends=[item(shared, f"{number}") for _ in range(20)])
    places: list[list[int]] = []
    for post in posts:
        results = await results_of(post, 100)
        places.append([result.stored.sequence for result in results])
    assert all(own == sorted(own) for own in places), "everyone's own order is kept"
    assert sorted(place for own in places for place in own) == list(range(3, 403))


async def test_request_ids_of_every_writing(mina: Caller, kitchen: int) -> None:
    request_id = str(uuid.UUID(int=0xABCDEF))
    post = mina.post()
    await post.write(sends=[item(kitchen, "x", request_id), item(kitchen, "x", request_id.upper())])
    response = await post.read()
    assert [result.request_id for result in response.results] == [request_id, request_id.upper()]
    assert outcomes(response) == [2, 2]
