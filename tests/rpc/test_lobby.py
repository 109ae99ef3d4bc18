"""LobbyService: channels and people."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from madang.v1 import resources_pb2

from .calls import Caller
from .test_agent import BAD_NAMES

MEMBER_ONLY = ("PERMISSION_DENIED", "NOT_A_MEMBER")
OWNER_ONLY = ("PERMISSION_DENIED", "NOT_PERMITTED")
ARCHIVED = ("FAILED_PRECONDITION", "CHANNEL_ARCHIVED")
LOBBY_IS_FIXED = ("FAILED_PRECONDITION", "LOBBY_IS_FIXED")
NO_CHANNEL = ("NOT_FOUND", "CHANNEL_NOT_FOUND")
NO_USER = ("NOT_FOUND", "USER_NOT_FOUND")
PAGE_TOKEN = ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")

OF_A_CHANNEL = ["ArchiveChannel", "GetChannel", "JoinChannel", "LeaveChannel", "ListMembers", "UnarchiveChannel"]


async def test_create_channel(mina: Caller) -> None:
    made = (await mina.call("CreateChannel", name="Küche", topic="what to eat")).channel
    assert (made.name, made.topic, made.owner_id) == ("Küche", "what to eat", mina.user_id)
    assert (made.kind, made.sequence) == (resources_pb2.CHANNEL_KIND_PUBLIC, 1)
    assert not made.HasField("archive_time")
    found = await mina.call("GetChannel", name="KÜCHE")
    assert found.channel == made
    assert found.self.user_id == mina.user_id


async def test_create_channel_again(mina: Caller, nari: Caller) -> None:
    request_id = str(uuid.uuid4())
    made = await mina.call("CreateChannel", name="kitchen", request_id=request_id)
    assert await mina.call("CreateChannel", name="kitchen", request_id=request_id.upper()) == made
    renamed = await mina.call("UpdateChannel", channel_id=made.channel.channel_id, name="küche")
    again = await mina.call("CreateChannel", name="kitchen", request_id=request_id)
    assert again.channel == renamed.channel, "whatever it is called by now"
    assert (await nari.call("CreateChannel", name="garden", request_id=request_id)).channel.owner_id == nari.user_id


async def test_create_channel_with_a_name_that_is_taken(mina: Caller, nari: Caller, kitchen: int) -> None:
    for name in ("KITCHEN", "lobby"):
        refusal = await nari.refused("CreateChannel", name=name)
        assert refusal.what == ("ALREADY_EXISTS", "CHANNEL_NAME_TAKEN")
        assert refusal.facts["name"] == name


@pytest.mark.parametrize("name", [*BAD_NAMES, "123", "#kitchen"])
async def test_channel_names_that_are_not_allowed(mina: Caller, kitchen: int, name: str) -> None:
    refused = ("INVALID_ARGUMENT", "NAME_NOT_ALLOWED")
    assert (await mina.refused("CreateChannel", name=name)).what == refused
    assert (await mina.refused("UpdateChannel", channel_id=kitchen, name=name)).what == refused


@pytest.mark.parametrize("topic", ["two\nlines", "a\tb", "bell\x07", "\x9b31m", "one\u2028two"])
async def test_topics_that_are_not_allowed(mina: Caller, kitchen: int, topic: str) -> None:
    refused = ("INVALID_ARGUMENT", "TEXT_NOT_ALLOWED")
    assert (await mina.refused("CreateChannel", name="garden", topic=topic)).what == refused
    assert (await mina.refused("UpdateChannel", channel_id=kitchen, topic=topic)).what == refused
    assert (await mina.refused("GetChannel", name="garden")).what == NO_CHANNEL


@pytest.mark.parametrize("method", OF_A_CHANNEL)
async def test_no_such_channel(mina: Caller, method: str) -> None:
    for channel_id in (999, 2**63 - 1):
        refusal = await mina.refused(method, channel_id=channel_id)
        assert refusal.what == NO_CHANNEL
        assert refusal.facts["channel"] == str(channel_id)
    assert (await mina.refused("UpdateChannel", channel_id=999, topic="x")).what == NO_CHANNEL
    assert (await mina.refused("GetChannel", name="nowhere")).what == NO_CHANNEL


async def test_list_channels(mina: Caller, nari: Caller, kitchen: int) -> None:
    garden = (await nari.call("CreateChannel", name="garden")).channel.channel_id
    entries = (await mina.call("ListChannels")).channels
    assert [(entry.channel.channel_id, entry.HasField("self")) for entry in entries] == [
        (1, True),
        (kitchen, True),
        (garden, False),
    ]
    joined = (await mina.call("ListChannels", joined_only=True)).channels
    assert [entry.channel.channel_id for entry in joined] == [1, kitchen]
    await nari.call("ArchiveChannel", channel_id=garden)
    assert [entry.channel.channel_id for entry in (await mina.call("ListChannels")).channels] == [1, kitchen]
    every = (await mina.call("ListChannels", include_archived=True)).channels
    assert every[-1].channel.HasField("archive_time")


async def test_update_channel(mina: Caller, nari: Caller, shared: int) -> None:
    renamed = (await mina.call("UpdateChannel", channel_id=shared, name="küche", topic="")).channel
    assert (renamed.name, renamed.topic) == ("küche", "")
    assert (await mina.refused("GetChannel", name="kitchen")).what == NO_CHANNEL
    assert (await nari.call("UpdateChannel", channel_id=shared, topic="food")).channel.topic == "food"
    refusal = await nari.refused("UpdateChannel", channel_id=shared, name="mine", topic="mine")
    assert refusal.what == OWNER_ONLY
    assert (await mina.call("GetChannel", channel_id=shared)).channel.topic == "food", "all of it or nothing"
    same = await mina.call("UpdateChannel", channel_id=shared, name="küche")
    assert same.channel.sequence == renamed.sequence + 1, "what changes nothing is no change"
    taken = await mina.refused("UpdateChannel", channel_id=shared, topic="x", name="LOBBY")
    assert taken.what == ("ALREADY_EXISTS", "CHANNEL_NAME_TAKEN")


async def test_update_channel_of_others(nari: Caller, kitchen: int) -> None:
    assert (await nari.refused("UpdateChannel", channel_id=kitchen, topic="x")).what == MEMBER_ONLY


async def test_archive_and_bring_back(mina: Caller, nari: Caller, shared: int) -> None:
    assert (await nari.refused("ArchiveChannel", channel_id=shared)).what == OWNER_ONLY
    archived = await mina.call("ArchiveChannel", channel_id=shared)
    assert archived.channel.HasField("archive_time")
    assert (await mina.call("ArchiveChannel", channel_id=shared)).channel == archived.channel
    for method, fields in (
        ("Send", {"text": "hello"}),
        ("SetTyping", {}),
        ("UpdateChannel", {"topic": "x"}),
        ("UpdateChannel", {"name": "x"}),
    ):
        refusal = await mina.refused(method, channel_id=shared, **fields)
        assert (refusal.what, refusal.facts["channel_id"]) == (ARCHIVED, str(shared))
    assert (await nari.call("ListMessages", channel_id=shared)).messages
    await nari.call("LeaveChannel", channel_id=shared)
    assert (await nari.refused("JoinChannel", channel_id=shared)).what == ARCHIVED
    assert (await nari.refused("UnarchiveChannel", channel_id=shared)).what == OWNER_ONLY
    back = await mina.call("UnarchiveChannel", channel_id=shared)
    assert not back.channel.HasField("archive_time")
    assert await mina.call("UnarchiveChannel", channel_id=shared) == back
    assert await mina.say(shared, "back")


async def test_join_and_leave(mina: Caller, nari: Caller, kitchen: int) -> None:
    joined = await nari.call("JoinChannel", channel_id=kitchen)
    assert (joined.self.user_id, joined.self.channel_id) == (nari.user_id, kitchen)
    assert (await nari.call("JoinChannel", channel_id=kitchen)).channel.sequence == joined.channel.sequence
    await nari.call("LeaveChannel", channel_id=kitchen)
    await nari.call("LeaveChannel", channel_id=kitchen)
    assert not (await nari.call("GetChannel", channel_id=kitchen)).HasField("self")
    page = await mina.call("ListMessages", channel_id=kitchen)
    assert [message.WhichOneof("content") for message in page.messages] == [
        "member_left",
        "member_joined",
        "member_joined",
    ]


async def test_the_lobby_is_fixed(mina: Caller) -> None:
    for method in ("ArchiveChannel", "UnarchiveChannel", "LeaveChannel"):
        assert (await mina.refused(method, channel_id=1)).what == LOBBY_IS_FIXED
    assert (await mina.refused("UpdateChannel", channel_id=1, name="hall")).what == LOBBY_IS_FIXED
    assert (await mina.call("UpdateChannel", channel_id=1, topic="welcome")).channel.topic == "welcome"
    assert (await mina.call("JoinChannel", channel_id=1)).self.user_id == mina.user_id


async def test_list_members(mina: Caller, nari: Caller, shared: int) -> None:
    for channel_id in (1, shared):
        page = await mina.call("ListMembers", channel_id=channel_id)
        assert [(entry.member.user_id, entry.user.handle) for entry in page.members] == [
            (mina.user_id, "mina"),
            (nari.user_id, "nari"),
        ]
        assert [entry.member.HasField("join_time") for entry in page.members] == [channel_id != 1] * 2


async def test_users(mina: Caller, nari: Caller) -> None:
    me = (await mina.call("GetMe")).user
    assert (await nari.call("GetUser", user_id=mina.user_id)).user == me
    assert (await nari.call("GetUser", handle="Mina")).user == me
    ids = [nari.user_id, mina.user_id, mina.user_id, 999, -1, 0, 2**63 - 1]
    batch = (await nari.call("BatchGetUsers", user_ids=ids)).users
    assert [user.handle for user in batch] == ["mina", "nari"]
    assert list((await nari.call("ListUsers")).users) == list(batch)
    for wanted in ({"user_id": 999}, {"user_id": 2**63 - 1}, {"handle": "joon"}):
        assert (await nari.refused("GetUser", **wanted)).what == NO_USER


@pytest.mark.parametrize(
    ("method", "fields", "rows"),
    [
        ("ListChannels", {}, "channels"),
        ("ListUsers", {}, "users"),
        ("ListMembers", {"channel_id": 1}, "members"),
    ],
)
async def test_pages(mina: Caller, nari: Caller, kitchen: int, method: str, fields: dict[str, Any], rows: str) -> None:
    whole = list(getattr(await mina.call(method, **fields), rows))
    assert len(whole) == 2
    first = await mina.call(method, **fields, page_size=1)
    second = await mina.call(method, **fields, page_size=1, page_token=first.next_page_token)
    assert [*getattr(first, rows), *getattr(second, rows)] == whole
    if second.next_page_token:
        last = await mina.call(method, **fields, page_size=1, page_token=second.next_page_token)
        assert not getattr(last, rows)
        assert not last.next_page_token
    foreign = [first.next_page_token[:-1], first.next_page_token + "A", "nonsense", "나", " ", "=", "A" * 512]
    for token in foreign:
        assert (await mina.refused(method, **fields, page_token=token)).what == PAGE_TOKEN
    assert (await nari.refused(method, **fields, page_token=first.next_page_token)).what == PAGE_TOKEN
    other = {"ListChannels": "ListUsers", "ListUsers": "ListChannels", "ListMembers": "ListUsers"}[method]
    assert (await mina.refused(other, page_token=first.next_page_token)).what == PAGE_TOKEN
    assert await mina.call(method, **fields, page_size=2**31 - 1)


async def test_page_token_of_the_same_listing_with_another_filter(mina: Caller, kitchen: int) -> None:
    token = (await mina.call("ListChannels", page_size=1)).next_page_token
    assert (await mina.refused("ListChannels", page_token=token, joined_only=True)).what == PAGE_TOKEN
    assert (await mina.refused("ListMembers", channel_id=kitchen, page_token=token)).what == PAGE_TOKEN
