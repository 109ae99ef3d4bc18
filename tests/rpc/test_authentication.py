"""Who may call at all: tokens, sessions, and the end of both."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from madang.core import tokens
from madang.node.embed import Server
from madang.rpc.interceptor import OPEN_METHODS
from madang.storage.store import FILE_NAME

from .calls import METHODS, Caller, connect, path_of, sign_in

OPEN = {"GetServer", "SignIn", "Register", "RedeemPasswordReset"}
GUARDED = sorted(METHODS.keys() - OPEN)
MISSING = ("UNAUTHENTICATED", "TOKEN_MISSING")
INVALID = ("UNAUTHENTICATED", "TOKEN_INVALID")
REVOKED = ("UNAUTHENTICATED", "SESSION_REVOKED")

# The least that each method takes as a good request; nothing for those that are not named.
GOOD: dict[str, dict[str, object]] = {
    "AddMember": {"channel_id": 1, "user_id": 1},
    "BanMember": {"channel_id": 1, "user_id": 1},
    "ListBans": {"channel_id": 1},
    "MuteMember": {"channel_id": 1, "user_id": 1},
    "OpenDirectChannel": {"user_ids": [1]},
    "RemoveMember": {"channel_id": 1, "user_id": 1},
    "ReportMessage": {"channel_id": 1, "sequence": 1},
    "ResolveReport": {"report_id": 1},
    "SetMemberRole": {"channel_id": 1, "user_id": 1, "role": 1},
    "UnbanMember": {"channel_id": 1, "user_id": 1},
    "ArchiveChannel": {"channel_id": 1},
    "BatchGetUsers": {"user_ids": [1]},
    "CreateChannel": {"name": "kitchen"},
    "GetChannel": {"channel_id": 1},
    "GetMessage": {"channel_id": 1, "sequence": 1},
    "GetUser": {"user_id": 1},
    "JoinChannel": {"channel_id": 1},
    "LeaveChannel": {"channel_id": 1},
    "ListMembers": {"channel_id": 1},
    "ListMessages": {"channel_id": 1},
    "MarkRead": {"channel_id": 1},
    "Post": {"sends": [{"channel_id": 1, "text": "hello", "request_id": "6f2d6c3e-32c9-4f0c-9d6c-9a2b7a3f6a10"}]},
    "Send": {"channel_id": 1, "text": "hello"},
    "SetStatus": {"status": 2},
    "SetTyping": {"channel_id": 1},
    "UnarchiveChannel": {"channel_id": 1},
    "UpdateChannel": {"channel_id": 1, "topic": "food"},
}


async def test_open_methods_are_these() -> None:
    assert {path_of(method) for method in OPEN} == OPEN_METHODS


@pytest.mark.parametrize("method", GUARDED)
async def test_every_other_method_needs_a_token(nobody: Caller, mina: Caller, method: str) -> None:
    fields = GOOD.get(method, {})
    assert (await nobody.refused(method, **fields)).what == MISSING
    foreign = Caller(nobody.channel, tokens.encode(b"x" * tokens.SECRET_BYTES))
    assert (await foreign.refused(method, **fields)).what == INVALID
    await mina.call("SignOut")
    assert (await mina.refused(method, **fields)).what == REVOKED
    assert not (await (await sign_in(nobody.channel, "nari")).call("ListPresences")).presences, "nothing was done"


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Bearer x", "Basic bWluYTptaW5h", "Bearer " + "x" * 4000, "Bearer madang_" + "!" * 43],
    ids=["empty", "scheme-only", "no-token", "short", "other-scheme", "huge", "wrong-characters"],
)
async def test_malformed_token(nobody: Caller, value: str) -> None:
    nobody.metadata = (("authorization", value),)
    refusal = await nobody.refused("GetMe")
    assert refusal.what == INVALID
    assert "x" * 100 not in refusal.text


async def test_token_of_another_server(mina: Caller) -> None:
    async with Server() as other, connect(other.target) as channel:
        stranger = Caller(channel, mina.token)
        assert (await stranger.refused("GetMe")).what == INVALID
        assert (await stranger.refused("SignIn", token={"token": mina.token})).what == INVALID


async def test_no_token_is_ever_told_again(mina: Caller) -> None:
    again = await mina.call("SignIn", token={"token": mina.token})
    assert again.token == ""
    assert mina.token not in str(await mina.call("GetMe"))


async def test_sign_out_ends_this_session_alone(mina: Caller, nari: Caller) -> None:
    await mina.call("SignOut")
    assert (await mina.refused("GetMe")).what == REVOKED
    assert (await mina.refused("SignIn", token={"token": mina.token})).what == REVOKED
    assert (await nari.call("GetMe")).user.handle == "nari"


async def test_sign_out_ends_the_streams(mina: Caller, nari: Caller, shared: int) -> None:
    lives = [await mina.subscribe(), await mina.subscribe(channel_ids=[shared])]
    other = await nari.subscribe()
    watch = mina.stream("WatchPresence")
    await watch.read()
    post = mina.post()
    await post.write(sends=[{"channel_id": shared, "text": "no request_id"}])
    await post.read()
    await mina.call("SignOut")
    streams = [*(live.stream for live in lives), watch, post]
    endings = [await stream.ending() for stream in streams]
    assert [ending.what for ending in endings] == [REVOKED] * 4
    await other.reaches(shared, await nari.say(shared, "still here"))


async def test_session_that_was_not_used_for_long(tmp_path: Path) -> None:
    async with Server(tmp_path) as server, connect(server.target) as channel:
        token = (await sign_in(channel, "mina")).token
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("UPDATE sessions SET expires_at = 1")
    async with Server(tmp_path) as server, connect(server.target) as channel:
        mina = Caller(channel, token)
        assert (await mina.refused("GetMe")).what == ("UNAUTHENTICATED", "SESSION_EXPIRED")
        assert (await mina.stream("Subscribe").ending()).what == ("UNAUTHENTICATED", "SESSION_EXPIRED")


async def test_session_outlives_the_server(tmp_path: Path) -> None:
    async with Server(tmp_path) as server, connect(server.target) as channel:
        mina = await sign_in(channel, "mina")
    async with Server(tmp_path) as server, connect(server.target) as channel:
        answer = await Caller(channel, mina.token).call("SignIn", token={"token": mina.token})
        assert (answer.user.user_id, answer.token) == (mina.user_id, "")
