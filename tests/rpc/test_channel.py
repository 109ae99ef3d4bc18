"""ChannelService, one message at a time: write, read, mark, type."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from madang.v1 import channel_service_pb2 as pb

from .calls import Caller

NOT_A_MEMBER = ("PERMISSION_DENIED", "NOT_A_MEMBER")
NO_CHANNEL = ("NOT_FOUND", "CHANNEL_NOT_FOUND")
NO_MESSAGE = ("NOT_FOUND", "MESSAGE_NOT_FOUND")
TEXT_NOT_ALLOWED = ("INVALID_ARGUMENT", "TEXT_NOT_ALLOWED")
INVALID_FIELD = ("INVALID_ARGUMENT", "INVALID_FIELD")
MALFORMED = ("INVALID_ARGUMENT", "MALFORMED_REQUEST")
PAGE_TOKEN = ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")

OF_A_CHANNEL: list[tuple[str, dict[str, Any]]] = [
    ("Send", {"text": "hello"}),
    ("GetMessage", {"sequence": 1}),
    ("ListMessages", {}),
    ("MarkRead", {"read_through": 0}),
    ("SetTyping", {}),
]


async def test_send(mina: Caller, kitchen: int) -> None:
    text = "안녕\n\thello \U0001f600 e\u0301"
    message = (await mina.call("Send", channel_id=kitchen, text=text)).message
    assert (message.channel_id, message.sequence, message.author_id) == (kitchen, 2, mina.user_id)
    assert message.text == text
    assert message.HasField("create_time")
    assert (await mina.call("GetMessage", channel_id=kitchen, sequence=2)).message == message
    assert (await mina.call("ListMessages", channel_id=kitchen)).messages[0] == message


@pytest.mark.parametrize(
    "text",
    [" ", "\n\t", "\u3000", "bell\x07", "nul\x00", "esc\x1b[31m", "cr\r\n", "del\x7f", "c1\x9b", "\x0b"],
)
async def test_texts_that_are_not_allowed(mina: Caller, kitchen: int, text: str) -> None:
    assert (await mina.refused("Send", channel_id=kitchen, text=text)).what == TEXT_NOT_ALLOWED
    assert await mina.texts(kitchen) == []


@pytest.mark.parametrize("character", ["x", "é", "한", "\U0001f600"])
async def test_texts_are_measured_in_bytes(mina: Caller, kitchen: int, character: str) -> None:
    size = len(character.encode())
    longest = character * (16384 // size) + "x" * (16384 % size)
    await mina.say(kitchen, longest)
    refusal = await mina.refused("Send", channel_id=kitchen, text=longest + "x")
    assert (refusal.what, refusal.field) == (INVALID_FIELD, "text")
    assert await mina.texts(kitchen) == [longest]


async def test_send_with_a_request_id(mina: Caller, nari: Caller, shared: int) -> None:
    request_id = str(uuid.uuid4())
    first = await mina.call("Send", channel_id=shared, text="once", request_id=request_id)
    again = await mina.call("Send", channel_id=shared, text="once", request_id=request_id.upper())
    assert again == first
    for fields in ({"channel_id": shared, "text": "twice"}, {"channel_id": 1, "text": "once"}):
        refusal = await mina.refused("Send", request_id=request_id, **fields)
        assert refusal.what == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
        assert refusal.facts["request_id"] == request_id
    assert (await nari.call("Send", channel_id=shared, text="hers", request_id=request_id)).message.text == "hers"
    assert await mina.texts(shared) == ["once", "hers"]


async def test_repeat_is_answered_whatever_became_of_the_channel(mina: Caller, kitchen: int) -> None:
    sent: dict[str, Any] = {"channel_id": kitchen, "text": "once", "request_id": str(uuid.uuid4())}
    first = await mina.call("Send", **sent)
    await mina.call("ArchiveChannel", channel_id=kitchen)
    assert await mina.call("Send", **sent) == first
    await mina.call("LeaveChannel", channel_id=kitchen)
    assert await mina.call("Send", **sent) == first


async def test_without_a_request_id_a_repeat_is_a_new_message(mina: Caller, kitchen: int) -> None:
    await mina.say(kitchen, "knock", "knock")
    assert await mina.texts(kitchen) == ["knock", "knock"]


@pytest.mark.parametrize(("method", "fields"), OF_A_CHANNEL, ids=[method for method, _ in OF_A_CHANNEL])
async def test_members_only(nari: Caller, kitchen: int, method: str, fields: dict[str, Any]) -> None:
    refusal = await nari.refused(method, channel_id=kitchen, **fields)
    assert (refusal.what, refusal.facts["channel_id"]) == (NOT_A_MEMBER, str(kitchen))
    for channel_id in (999, 2**63 - 1):
        assert (await nari.refused(method, channel_id=channel_id, **fields)).what == NO_CHANNEL
    await nari.call("JoinChannel", channel_id=kitchen)
    await nari.call(method, channel_id=kitchen, **fields)
    await nari.call("LeaveChannel", channel_id=kitchen)
    assert (await nari.refused(method, channel_id=kitchen, **fields)).what == NOT_A_MEMBER


async def test_get_message(mina: Caller, kitchen: int) -> None:
    assert (await mina.call("GetMessage", channel_id=kitchen, sequence=1)).message.HasField("member_joined")
    for sequence in (2, 2**63 - 1):
        refusal = await mina.refused("GetMessage", channel_id=kitchen, sequence=sequence)
        assert refusal.what == NO_MESSAGE
        assert refusal.facts == {"channel_id": str(kitchen), "sequence": str(sequence)}


async def sequences(caller: Caller, **fields: Any) -> tuple[list[int], str]:
    """The sequences of a page of messages, and the token of the next."""
    page = await caller.call("ListMessages", **fields)
    return [message.sequence for message in page.messages], page.next_page_token


async def test_list_messages(mina: Caller, kitchen: int) -> None:
    await mina.say(kitchen, *"abcdef")  # 2 to 7, after the joining
    newest = {"channel_id": kitchen}
    oldest = {"channel_id": kitchen, "order": pb.MESSAGE_ORDER_OLDEST_FIRST}
    assert await sequences(mina, **newest) == ([7, 6, 5, 4, 3, 2, 1], "")
    assert await sequences(mina, **oldest) == ([1, 2, 3, 4, 5, 6, 7], "")
    assert await sequences(mina, **newest, after=2, before=5) == ([4, 3], "")
    assert await sequences(mina, **oldest, after=2, before=5) == ([3, 4], "")
    assert await sequences(mina, **oldest, after=7) == ([], "")
    assert await sequences(mina, **newest, before=1) == ([], "")
    assert await sequences(mina, **newest, after=2**63 - 1) == ([], "")
    assert (await sequences(mina, **newest, before=2**63 - 1, page_size=2**31 - 1))[0] == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("order", [pb.MESSAGE_ORDER_NEWEST_FIRST, pb.MESSAGE_ORDER_OLDEST_FIRST])
async def test_pages_of_messages(mina: Caller, nari: Caller, shared: int, order: int) -> None:
    await mina.say(shared, *"abcdef")
    query: dict[str, Any] = {"channel_id": shared, "order": order, "after": 1, "before": 8}
    whole, _ = await sequences(mina, **query)
    found, token = await sequences(mina, **query, page_size=4)
    first = token
    await mina.say(shared, "meanwhile")
    while token:
        more, token = await sequences(mina, **query, page_size=4, page_token=token)
        found += more
    assert found == whole
    others: list[dict[str, Any]] = [{"order": 3 - order}, {"after": 0}, {"before": 9}, {"channel_id": 1}]
    for other in others:
        assert (await mina.refused("ListMessages", **{**query, **other}, page_token=first)).what == PAGE_TOKEN
    assert (await nari.refused("ListMessages", **query, page_token=first)).what == PAGE_TOKEN
    assert (await mina.refused("ListMessages", **query, **{"page_token": "nonsense"})).what == PAGE_TOKEN


async def test_pages_have_a_size_of_their_own(mina: Caller, kitchen: int) -> None:
    await mina.say(kitchen, *map(str, range(60)))
    assert len((await sequences(mina, channel_id=kitchen))[0]) == 50


async def test_mark_read(mina: Caller, nari: Caller, shared: int) -> None:
    head = await mina.say(shared, "a", "b", "c")
    assert (await nari.call("MarkRead", channel_id=shared, read_through=head)).read_through == head
    assert (await nari.call("MarkRead", channel_id=shared, read_through=1)).read_through == head, "never goes back"
    assert (await nari.call("GetChannel", channel_id=shared)).self.read_through == head
    assert (await mina.call("GetChannel", channel_id=shared)).self.read_through == 0
    for beyond in (head + 1, 2**63 - 1):
        refusal = await nari.refused("MarkRead", channel_id=shared, read_through=beyond)
        assert refusal.what == ("OUT_OF_RANGE", "POSITION_BEYOND_HEAD")
        assert refusal.facts == {"sequence": str(beyond), "channel_id": str(shared), "head": str(head)}


async def test_mark_read_in_the_lobby(mina: Caller, nari: Caller) -> None:
    head = await mina.say(1, "welcome")
    assert (await nari.call("MarkRead", channel_id=1, read_through=head)).read_through == head
    assert (await nari.call("GetChannel", channel_id=1)).self.read_through == head


async def test_archived_channels_can_be_read(mina: Caller, kitchen: int) -> None:
    head = await mina.say(kitchen, "the last words")
    await mina.call("ArchiveChannel", channel_id=kitchen)
    assert (await mina.call("MarkRead", channel_id=kitchen, read_through=head)).read_through == head
    page = await mina.call("ListMessages", channel_id=kitchen)
    assert page.messages[0].channel_updated.archived
    assert page.messages[1].text == "the last words"
    assert (await mina.subscribe(channel_ids=[kitchen])).reader.open == {kitchen}


@pytest.mark.parametrize("raw", [b"\xff" * 20, b"\x08", b"\x12\x02\xff\xfe", b"\x12\x03\xed\xa0\x80", b"\x12\x7fshort"])
async def test_bytes_that_are_no_request(mina: Caller, kitchen: int, raw: bytes) -> None:
    """Not protobuf, cut off, and text that is not UTF-8: 0xff, a lone surrogate."""
    assert (await mina.refused_raw("Send", raw)).what == MALFORMED
    assert (await mina.refused_raw("CreateChannel", b"\x0a\x02\xff\xfe")).what == MALFORMED
    assert (await mina.refused_raw("Subscribe", b"\x1a\x02\xff\xfe")).what == MALFORMED
    assert (await mina.refused_raw("SignIn", b"\x0a\x04\x0a\x02\xff\xfe")).what == MALFORMED


async def test_fields_of_a_newer_contract_do_no_harm(mina: Caller, kitchen: int) -> None:
    known = pb.SendRequest(channel_id=kitchen, text="hello").SerializeToString()
    assert (await mina.raw("Send", known + b"\xfa\x3f\x03new")).message.text == "hello"
